// Many rows of x: kLanes rows of W expanded a chunk at a time into a panel, lanes along N, which meets every row of x.

constexpr int kFloatTile = 8;  // rows of x in registers at once

// out[c * kLanes + r] = in[r * kChunk + c]: 32-bit elements, kLanes rows, `columns` a multiple of 4.
static void transpose(const uint32_t* in, int columns, uint32_t* out) {
#if defined(__SSE2__)
  for (int r = 0; r < kLanes; r += 4) {
    for (int c = 0; c < columns; c += 4) {
      auto row = [&](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + (r + i) * kChunk + c)); };
      auto put = [&](int i, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(out + (c + i) * kLanes + r), v); };
      const __m128i a = row(0), b = row(1), d = row(2), e = row(3);
      const __m128i ab = _mm_unpacklo_epi32(a, b), de = _mm_unpacklo_epi32(d, e), AB = _mm_unpackhi_epi32(a, b), DE = _mm_unpackhi_epi32(d, e);
      put(0, _mm_unpacklo_epi64(ab, de));
      put(1, _mm_unpackhi_epi64(ab, de));
      put(2, _mm_unpacklo_epi64(AB, DE));
      put(3, _mm_unpackhi_epi64(AB, DE));
    }
  }
#else
  for (int c = 0; c < columns; c++) {
    for (int r = 0; r < kLanes; r++) out[c * kLanes + r] = in[r * kChunk + c];
  }
#endif
}

// The terms of kLanes rows of W, and their scales and offsets with the row fastest: [blocks][kLanes].
struct Panel {
  int rows[kLanes];
  Terms terms[kLanes];
  float *scales, *offsets, *sums, *spare;
  int32_t* zeros;  // each in both halves
  uint32_t *chunk, *turned;
};

static Panel take_panel(const Product& p, Scratch& s) {
  Panel panel;
  const size_t blocks = size_t(p.blocks());
  for (Terms& t : panel.terms) t = take_terms(p.weight, p.blocks(), s);
  const bool integers = p.variant == Variant::kPanels;
  panel.scales = integers ? s.take<float>(blocks * kLanes) : nullptr;
  panel.offsets = integers ? s.take<float>(blocks * kLanes) : nullptr;
  panel.zeros = integers && panel.terms[0].zero ? s.take<int32_t>(blocks * kLanes) : nullptr;
  panel.sums = s.take<float>(size_t(kMaxRows) * kLanes);
  panel.spare = s.take<float>(2 * size_t(p.weight.layout.in_dim) + 64);
  panel.chunk = s.take<uint32_t>(size_t(kLanes) * kChunk);
  panel.turned = s.take<uint32_t>(size_t(kLanes) * kChunk);
  return panel;
}

// Rows i.. of the product; past `end` the last one again.
static void fill_panel(const Product& p, int i, int end, Panel& panel) {
  const int blocks = p.blocks();
  for (int r = 0; r < kLanes; r++) {
    panel.rows[r] = p.begin + least(i + r, end - 1);
    row_terms(p.weight, panel.rows[r], p.block, blocks, panel.terms[r], panel.spare);
  }
  std::memset(panel.sums, 0, size_t(p.height) * kLanes * sizeof(float));
}

static void turn_factors(const Product& p, Panel& panel) {
  const int blocks = p.blocks();
  for (int r = 0; r < kLanes; r++) {
    block_factors(p.weight.layout, panel.terms[r], blocks, panel.spare);
    for (int b = 0; b < blocks; b++) panel.scales[size_t(b) * kLanes + r] = panel.spare[b];
    if (panel.zeros) {
      for (int b = 0; b < blocks; b++) panel.zeros[size_t(b) * kLanes + r] = int32_t(panel.terms[r].zero[b]) * 0x10001;
    }
    if (!panel.terms[r].offset) continue;
    for (int b = 0; b < blocks; b++) panel.offsets[size_t(b) * kLanes + r] = panel.terms[r].offset[b];
  }
}

// Columns k0..k1 of the panel's rows, number - zero, as pairs of 16-bit integers: [pairs][kLanes][2] in panel.chunk. Words of one plane are turned
// first, so that every row's codes come out of a vector at once; the pairs are lay_out_pairs' own.
template <int BITS, bool TABLE, int J = 0> static inline void put_fields(I q, I table, const I* zero, int16_t* out) {
  const I v = field16<BITS, TABLE, J>(q, table);
  store_i(out + J * 2 * kLanes, zero ? sub16(v, *zero) : v);
  if constexpr (J + 1 < 16 / BITS) put_fields<BITS, TABLE, J + 1>(q, table, zero, out);
}

template <int BITS, bool TABLE> static void expand_words(const Product& p, int k0, int k1, I table, Panel& panel) {
  constexpr int kColumns = 32 / BITS;
  const int words = (k1 - k0 + kColumns - 1) / kColumns, first = k0 / p.block, last = (k1 - k0 + p.block - 1) / p.block * p.block / kColumns;
  for (int r = 0; r < kLanes; r++) {
    uint32_t* row = panel.chunk + r * kChunk;
    const uint8_t* codes = plane_at(p.weight, panel.rows[r], 0) + size_t(k0) * BITS / 8;
    // The next chunk of this row: so many rows at once are no stream that the processor foresees.
    for (int at = 0; at < kChunk * BITS / 8; at += 64) __builtin_prefetch(codes + kChunk * BITS / 8 + at);
    std::memcpy(row, codes, size_t(words) * 4);
    std::memset(row + words, 0, size_t(((last + 3) & ~3) - words) * 4);
  }
  transpose(panel.chunk, (last + 3) & ~3, panel.turned);
  int16_t* out = reinterpret_cast<int16_t*>(panel.chunk);
  for (int i = 0; i < last; i++, out += 32 / BITS * kLanes) {
    const I q = load_i(panel.turned + i * kLanes);
    if (panel.zeros) {
      const I zero = load_i(panel.zeros + size_t(first + i * kColumns / p.block) * kLanes);
      put_fields<BITS, TABLE>(q, table, &zero, out);
    } else {
      put_fields<BITS, TABLE>(q, table, nullptr, out);
    }
  }
}

// The same for any codes, one row at a time, in order.
static void expand_rows(const Product& p, int k0, int k1, Panel& panel) {
  int16_t* rows = reinterpret_cast<int16_t*>(panel.turned);
  for (int r = 0; r < kLanes; r++) chunk_integers(p.weight, p.block, panel.terms[r], panel.rows[r], k0, k1, rows + r * 2 * kChunk);
  transpose(panel.turned, kChunk / 2, panel.chunk);
}

// MR rows of x times one chunk of integers. panel: pairs of columns, [pairs][kLanes][2]. x: rows kChunk apart. sums [MR][kLanes].
template <int MR>
static inline void integer_tile(const int16_t* panel, const int16_t* x, int blocks, int pairs, const float* scales, const float* steps,
                                int stride, float* sums) {
  F f[MR];
  for (int i = 0; i < MR; i++) f[i] = zero_f();
  for (int b = 0; b < blocks; b++) {
    I c[MR];
    for (int i = 0; i < MR; i++) c[i] = zero_i();
    for (int j = 0; j < pairs; j++, panel += 2 * kLanes, x += 2) {
      const I q = load_i(panel);
      for (int i = 0; i < MR; i++) c[i] = dot16_pair(c[i], q, x + i * kChunk);
    }
    const F s = load(scales + size_t(b) * kLanes);
    for (int i = 0; i < MR; i++) f[i] = fma(to_float(c[i]), mul(s, splat(steps[size_t(i) * stride + b])), f[i]);
  }
  for (int i = 0; i < MR; i++) store(sums + i * kLanes, add(load(sums + i * kLanes), f[i]));
}

// The same for float32: panel [columns][kLanes].
template <int MR> static inline void float_tile(const float* panel, const float* x, int columns, float* sums) {
  F f[MR];
  for (int i = 0; i < MR; i++) f[i] = zero_f();
  for (int k = 0; k < columns; k++, panel += kLanes) {
    const F q = load(panel);
    for (int i = 0; i < MR; i++) f[i] = fma(q, splat(x[i * kChunk + k]), f[i]);
  }
  for (int i = 0; i < MR; i++) store(sums + i * kLanes, add(load(sums + i * kLanes), f[i]));
}

static void put_sums(const Product& p, const Panel& panel, int i, int end) {
  const int columns = p.end - p.begin, count = least(kLanes, end - i);
  for (int m = 0; m < p.m; m++) std::memcpy(p.y + size_t(m) * columns + i, panel.sums + m * kLanes, size_t(count) * 4);
}

static void integer_panels(const Product& p, int begin, int end, char* memory) {
  const Layout& l = p.weight.layout;
  const int blocks = p.blocks(), pairs = p.block / 2;
  Scratch s{memory};
  Panel panel = take_panel(p, s);
  int8_t entries[16];
  table_integers(p.weight, entries);
  const I table = byte_table(entries);
  for (int i = begin; i < end; i += kLanes) {
    fill_panel(p, i, end, panel);
    turn_factors(p, panel);
    for (int k0 = 0; k0 < l.in_dim; k0 += kChunk) {
      const int k1 = least(l.in_dim, k0 + kChunk), first = k0 / p.block, count = least(kChunk / p.block, blocks - first);
      if (!in_words(l)) expand_rows(p, k0, k1, panel);
      else if (l.decode == Decode::kTable) expand_words<4, true>(p, k0, k1, table, panel);
      else if (l.bits[0] == 4) expand_words<4, false>(p, k0, k1, table, panel);
      else expand_words<8, false>(p, k0, k1, table, panel);
      const int16_t* q = reinterpret_cast<const int16_t*>(panel.chunk);
      const int16_t* x = p.integers + size_t(k0) * p.height;
      const float* scales = panel.scales + size_t(first) * kLanes;
      for (int m = 0; m < p.m; m += kTile) {
        integer_tile<kTile>(q, x + m * kChunk, count, pairs, scales, p.steps + size_t(m) * p.stride + first, p.stride, panel.sums + m * kLanes);
      }
    }
    if (l.offsets) {
      for (int m = 0; m < p.m; m++) {
        F sum = load(panel.sums + m * kLanes);
        for (int b = 0; b < blocks; b++) sum = fma(load(panel.offsets + size_t(b) * kLanes), splat(p.sums[size_t(m) * p.stride + b]), sum);
        store(panel.sums + m * kLanes, sum);
      }
    }
    put_sums(p, panel, i, end);
  }
}

static void float_panels(const Product& p, int begin, int end, char* memory) {
  const int in_dim = p.weight.layout.in_dim;
  Scratch s{memory};
  Panel panel = take_panel(p, s);
  for (int i = begin; i < end; i += kLanes) {
    fill_panel(p, i, end, panel);
    for (int k0 = 0; k0 < in_dim; k0 += kChunk) {
      const int k1 = least(in_dim, k0 + kChunk);
      float* rows = reinterpret_cast<float*>(panel.chunk);
      for (int r = 0; r < kLanes; r++) chunk_floats(p.weight, p.block, panel.terms[r], panel.rows[r], k0, k1, rows + r * kChunk);
      transpose(panel.chunk, (k1 - k0 + 3) & ~3, panel.turned);
      const float* q = reinterpret_cast<const float*>(panel.turned);
      const float* x = p.floats + size_t(k0) * p.height;
      for (int m = 0; m < p.m; m += kFloatTile) float_tile<kFloatTile>(q, x + m * kChunk, k1 - k0, panel.sums + m * kLanes);
    }
    put_sums(p, panel, i, end);
  }
}

static void multiply(const Product& p, int begin, int end, char* scratch) {
  switch (p.variant) {
    case Variant::kRowsInPlace:
    case Variant::kRowsOfBytes:
      integer_rows(p, begin, end, scratch);
      break;
    case Variant::kPanels:
      integer_panels(p, begin, end, scratch);
      break;
    case Variant::kFloatRows:
      float_rows(p, begin, end, scratch);
      break;
    case Variant::kFloatPanels:
      float_panels(p, begin, end, scratch);
      break;
  }
}
