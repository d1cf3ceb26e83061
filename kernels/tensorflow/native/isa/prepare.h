// One row of x as a variant takes it: gathered into stored order, rounded to 16-bit integers with a step for each block, laid out.

static inline size_t padded(int in_dim) { return (size_t(in_dim) + 511) & ~size_t(511); }

// Column k of a run of `fields` fields to a 16-bit half: strips of kLanes * 2 * fields columns, field f of every half together.
static void lay_out_fields(const int16_t* plain, size_t count, int fields, int16_t* out) {
  constexpr int kHalves = 2 * kLanes;
  for (size_t strip = 0; strip < count; strip += size_t(kHalves) * fields) {
    for (int f = 0; f < fields; f++) {
      for (int t = 0; t < kHalves; t++) out[strip + size_t(f) * kHalves + t] = plain[strip + size_t(fields) * t + f];
    }
  }
}

// Where panels take codes as they come out of a word: the columns of a word, the first of its second half right after the first of its first.
static inline bool in_words(const Layout& l) { return l.planes == 1 && (l.bits[0] == 4 || l.bits[0] == 8); }

static void lay_out_pairs(const int16_t* plain, size_t count, int columns, int16_t* out) {
  for (size_t k = 0; k < count; k += columns) {
    for (int j = 0; j < columns / 2; j++) {
      out[k + 2 * j] = plain[k + j];
      out[k + 2 * j + 1] = plain[k + columns / 2 + j];
    }
  }
}

static float sum_of_squares(const float* x, int count) {
  constexpr int kStrands = 16;  // independent, so that they become lanes
  float sums[kStrands] = {}, all = 0;
  int j = 0;
  for (; j + kStrands <= count; j += kStrands) {
    for (int t = 0; t < kStrands; t++) sums[t] += x[j + t] * x[j + t];
  }
  for (; j < count; j++) all += x[j] * x[j];
  for (int t = 0; t < kStrands; t++) all += sums[t];
  return all;
}

// float32 [K] -> integers in [-32767, 32767], steps and sums (step times the sum of the integers) of each block. The largest magnitude of a block
// is 32767 steps. false: NaN, infinity, a block whose largest magnitude is below 1e-30, or outliers that make the steps of wide blocks too coarse:
// with weights of any sign y is off by sqrt(block * sum of most^2 / 12) / (32767 |x|) of itself, which may be what blocks of 32 can come to, 5e-5.
static bool round_row(const float* x, int in_dim, int block, int16_t* out, float* steps, float* sums) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  bool good = true;
  double tops = 0, squares = 0;
  for (int k = 0, b = 0; k < in_dim; k += block, b++) {
    const int end = least(in_dim, k + block);
    int32_t top = 0;
    for (int j = k; j < end; j++) {
      int32_t bits;
      std::memcpy(&bits, x + j, 4);
      bits &= 0x7fffffff;
      top = bits > top ? bits : top;
    }
    float most;
    std::memcpy(&most, &top, 4);
    if (top >= 0x7f7fffff || (top > 0 && most < 1e-30f)) good = false;
    tops += double(most) * most;
    squares += sum_of_squares(x + k, end - k);
    const float inverse = top > 0 ? 32767.0f / most : 0.0f;
    int32_t sum = 0;
    for (int j = k; j < end; j++) {
      const float moved = x[j] * inverse + kMagic;
      int32_t bits;
      std::memcpy(&bits, &moved, 4);
      out[j] = int16_t(bits);
      sum += out[j];
    }
    steps[b] = most / 32767.0f;
    sums[b] = float(sum) * steps[b];
  }
  return good && (block <= kFineBlock || block * tops <= kFineBlock * squares);
}

static bool prepare_row(const Product& p, int m, char* memory) {
  const Layout& l = p.weight.layout;
  const int in_dim = l.in_dim;
  Scratch s{memory};
  const float* x = p.x + size_t(m) * in_dim;
  if (l.order >= 0) {
    const uint32_t* order = p.weight.words + l.order;
    float* gathered = s.take<float>(in_dim);
    for (int k = 0; k < in_dim; k++) gathered[k] = x[order[k]];
    x = gathered;
  }
  if (p.variant == Variant::kFloatRows) {
    if (p.floats) std::memcpy(p.floats + size_t(m) * in_dim, x, size_t(in_dim) * 4);
    return true;
  }
  if (p.variant == Variant::kFloatPanels) {
    for (int k = 0; k < in_dim; k += kChunk) {
      std::memcpy(p.floats + (size_t(k) * p.height + size_t(m) * kChunk), x + k, size_t(least(kChunk, in_dim - k)) * 4);
    }
    return true;
  }
  const size_t width = padded(in_dim);
  int16_t* plain = s.take<int16_t>(width);
  if (!round_row(x, in_dim, p.block, plain, p.steps + size_t(m) * p.stride, p.sums + size_t(m) * p.stride)) return false;
  std::memset(plain + in_dim, 0, (width - in_dim) * 2);
  if (p.variant == Variant::kRowsInPlace) {
    for (int i = 0; i < l.planes; i++) {
      lay_out_fields(plain, width, 16 / l.bits[i], p.integers + (size_t(m) * l.planes + i) * width);
    }
  } else if (p.variant == Variant::kRowsOfBytes) {
    lay_out_fields(plain, width, 2, p.integers + size_t(m) * width);
  } else {
    for (size_t k = 0; k < width; k += kChunk) {
      int16_t* out = p.integers + (k * p.height + size_t(m) * kChunk);
      if (in_words(l)) lay_out_pairs(plain + k, kChunk, 32 / l.bits[0], out);
      else std::memcpy(out, plain + k, kChunk * 2);
    }
  }
  return true;
}
