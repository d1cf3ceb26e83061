// Scale, zero and offset of each block of columns of one row, as float32; each step rounded.
struct Scratch {
  char* at;
  template <class T> T* take(size_t count) {
    T* here = reinterpret_cast<T*>(at);
    at += (count * sizeof(T) + 63) & ~size_t(63);
    return here;
  }
};

// blocks + 16 numbers each; null where the layout has none.
struct Terms {
  float *scale, *zero, *offset;
};

static inline int least(int a, int b) { return a < b ? a : b; }

static inline int grid_column(const Weight& w, const Grid& g, int k) {
  if (g.indexed) return int(w.words[w.layout.group_index + k]);
  return (k + g.column_phase) / g.columns;
}

static inline int grid_row(const Grid& g, int n) { return g.rows == 1 ? n : (n + g.row_phase) / g.rows; }

// `count` entries of a level from `first`.
static void entries(const Weight& w, const Level& l, size_t first, int count, float* out) {
  const char* p = reinterpret_cast<const char*>(w.words + l.start);
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(p) + first;
  const uint16_t* halves = reinterpret_cast<const uint16_t*>(p) + first;
  int i = 0;
  switch (l.type) {
    case LevelType::kFloat32:
      std::memcpy(out, p + first * 4, size_t(count) * 4);
      return;
    case LevelType::kFloat16:
    case LevelType::kBfloat16: {
      const bool half = l.type == LevelType::kFloat16;
      for (; i + kLanes <= count; i += kLanes) store(out + i, half ? from_half(halves + i) : from_bfloat(halves + i));
      if (i == count) return;
      uint16_t rest[kLanes] = {};
      float numbers[kLanes];
      std::memcpy(rest, halves + i, size_t(count - i) * 2);
      store(numbers, half ? from_half(rest) : from_bfloat(rest));
      std::memcpy(out + i, numbers, size_t(count - i) * 4);
      return;
    }
    case LevelType::kE8m0:
      for (; i < count; i++) {
        const uint32_t code = bytes[i], bits = code == 255 ? 0x7fc00000 : code == 0 ? 0x00400000 : code << 23;
        std::memcpy(out + i, &bits, 4);
      }
      return;
    case LevelType::kE4m3:
      for (; i < count; i++) out[i] = w.e4m3[bytes[i]];
      return;
    case LevelType::kInt8:
      for (; i < count; i++) out[i] = float(int8_t(bytes[i]));
      return;
    case LevelType::kUint8:
      for (; i < count; i++) out[i] = float(bytes[i]);
      return;
  }
}

static inline uint32_t field(const uint32_t* words, int bits, size_t i) {
  const size_t bit = i * size_t(bits);
  return (words[bit >> 5] >> (bit & 31)) & (bits == 32 ? ~0u : (1u << bits) - 1);
}

static uint32_t zero_code(const Weight& w, size_t entry) {
  const Layout& l = w.layout;
  uint32_t code = 0;
  for (int p = 0, low = 0; p < l.planes; low += l.bits[p++]) code |= field(w.words + l.zero_start[p], l.bits[p], entry) << low;
  return code;
}

// The zero at (n, k) as the unsigned integer it is.
static uint32_t zero_at(const Weight& w, int n, int k) {
  const Layout& l = w.layout;
  if (l.zero_kind != ZeroKind::kCodes) return uint32_t(l.zero_value);
  return zero_code(w, size_t(grid_row(l.zero_grid, n)) * l.zero_grid.width + grid_column(w, l.zero_grid, k));
}

static void zero_entries(const Weight& w, size_t first, int count, float* out) {
  const Layout& l = w.layout;
  const size_t bit = first * size_t(l.bits[0]);
  if (l.planes == 1 && l.bits[0] == 4 && (bit & 7) == 0) {
    const uint8_t* p = reinterpret_cast<const uint8_t*>(w.words + l.zero_start[0]) + (bit >> 3);
    for (int i = 0; i < count / 2; i++) {
      out[2 * i] = float(p[i] & 15);
      out[2 * i + 1] = float(p[i] >> 4);
    }
    if (count & 1) out[count - 1] = float(p[count / 2] & 15);
    return;
  }
  for (int i = 0; i < count; i++) out[i] = float(zero_code(w, first + i));
}

// Grid entries of row n spread over blocks. read(first, count, out) gives entries. out: blocks + 16.
template <class Read>
static void over_blocks(const Weight& w, const Grid& g, int n, int block, int blocks, float* out, float* spare, Read read) {
  const size_t row = size_t(grid_row(g, n)) * g.width;
  if (g.width == 1) {
    read(row, 1, out);
    for (int b = 1; b < blocks; b++) out[b] = out[0];
    return;
  }
  if (!g.indexed && g.column_phase == 0 && g.columns == block) return read(row, blocks, out);
  if (g.width > w.layout.in_dim) {
    for (int b = 0; b < blocks; b++) read(row + grid_column(w, g, b * block), 1, out + b);
    return;
  }
  read(row, g.width, spare);
  if (!g.indexed && g.column_phase == 0 && g.columns % block == 0) {
    const int repeat = g.columns / block;
    for (int e = 0, b = 0; b < blocks; e++) {
      const int end = least(blocks, b + repeat);
      for (; b < end; b++) out[b] = spare[e];
    }
    return;
  }
  for (int b = 0; b < blocks; b++) out[b] = spare[grid_column(w, g, b * block)];
}

static void levels_over_blocks(const Weight& w, const Level* levels, int count, const int32_t* divide, int n, int block, int blocks,
                               float* out, float* spare) {
  auto one = [&](const Level& l, float* to, float* room) {
    over_blocks(w, l.grid, n, block, blocks, to, room, [&](size_t first, int c, float* o) { entries(w, l, first, c, o); });
  };
  one(levels[0], out, spare);
  if (count == 1) return;
  float* second = spare + w.layout.in_dim + 16;
  one(levels[1], second, spare);
  if (divide[1]) {
    for (int b = 0; b < blocks; b++) out[b] /= second[b];
  } else {
    for (int b = 0; b < blocks; b++) out[b] *= second[b];
  }
}

static Terms take_terms(const Weight& w, int blocks, Scratch& s) {
  const Layout& l = w.layout;
  const size_t count = size_t(blocks) + 16;
  return {l.scales ? s.take<float>(count) : nullptr, l.zero_kind != ZeroKind::kNone ? s.take<float>(count) : nullptr,
          l.offsets ? s.take<float>(count) : nullptr};
}

// spare: 2 K + 64 numbers.
static void row_terms(const Weight& w, int n, int block, int blocks, const Terms& t, float* spare) {
  static const int32_t multiply[2] = {0, 0};
  const Layout& l = w.layout;
  if (t.scale) levels_over_blocks(w, l.scale, l.scales, l.divide, n, block, blocks, t.scale, spare);
  if (t.offset) levels_over_blocks(w, l.offset, l.offsets, multiply, n, block, blocks, t.offset, spare);
  if (l.zero_kind == ZeroKind::kConstant) {
    for (int b = 0; b < blocks; b++) t.zero[b] = float(uint32_t(l.zero_value));
  } else if (l.zero_kind == ZeroKind::kCodes) {
    over_blocks(w, l.zero_grid, n, block, blocks, t.zero, spare, [&](size_t first, int c, float* o) { zero_entries(w, first, c, o); });
  }
}
