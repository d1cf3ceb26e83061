// Rounding of x to small numbers. Plain loops, which the compiler turns into vectors.

static inline uint32_t bits_of(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return bits;
}
static inline float number_of(uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, 4);
  return v;
}
static inline float within(float v, float low, float high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

// Each rounds a number to the type's nearest, ties to even, saturated.
struct RoundInteger {
  explicit RoundInteger(const SmallType&) {}
  float number(float v) const {
    constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23
    const float near = (within(v, -1000.0f, 1000.0f) + kMagic) - kMagic;
    return v != v ? 0.0f : within(near, -128.0f, 127.0f);
  }
  int32_t code(float v) const { return int32_t(number(v)); }
};

struct RoundBfloat {
  explicit RoundBfloat(const SmallType& t) : type(t) {}
  SmallType type;
  float number(float v) const {
    const uint32_t bits = bits_of(within(v, -type.max, type.max));
    const uint32_t near = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u;
    return v != v ? v : number_of(near);
  }
  int32_t code(float v) const { return v != v ? type.nan : int32_t(bits_of(number(v)) >> 16); }
};

// A float of few bits: adding 1.5 * 2^23 steps and taking them away rounds to a step.
struct RoundFloat {
  explicit RoundFloat(const SmallType& t)
      : type(t), least_power(number_of(uint32_t(128 - t.bias) << 23)), steps(number_of(uint32_t(126 + t.bias + t.mantissa_bits) << 23)),
        magic(1.5f * number_of(uint32_t(127 + 23 - t.mantissa_bits) << 23)) {}
  SmallType type;
  float least_power, steps, magic;
  float near(float v) const {
    const float in = within(v, -type.max, type.max);
    const float power = number_of(bits_of(in) & 0x7f800000u);
    const float shift = (power < least_power ? least_power : power) * magic;
    return (in + shift) - shift;
  }
  float number(float v) const { return v != v ? (type.has_nan ? v : 0.0f) : near(v); }
  int32_t code(float v) const {
    const uint32_t sign = bits_of(v) >> 31 ? uint32_t(type.sign_bit) : 0u;
    const float magnitude = number_of(bits_of(near(v)) & 0x7fffffffu);
    const uint32_t normal = (bits_of(magnitude) >> (23 - type.mantissa_bits)) - (uint32_t(127 - type.bias) << type.mantissa_bits);
    const uint32_t value = magnitude < least_power ? uint32_t(int32_t(magnitude * steps)) : normal;
    return v != v ? type.nan : int32_t(type.fnuz && value == 0 ? 0u : value | sign);
  }
};

// `count` columns that share a scale, or (each) have one apiece.
template <class Round>
static inline void quantize_run(const Quantize& q, const Round& round, const float* x, const float* scale, const float* inverse, bool each,
                                int count, void* out) {
  float* numbers = static_cast<float*>(out);
  int32_t* codes = static_cast<int32_t*>(out);
  auto scaled = [&](int j) {
    const float s = scale[each ? j : 0], v = x[j];
    return s == 0.0f ? (v != v ? v : 0.0f) : q.reciprocal ? v * inverse[each ? j : 0] : v / s;
  };
  if (q.values) {
    for (int j = 0; j < count; j++) numbers[j] = round.number(scaled(j)) * scale[each ? j : 0];
  } else {
    for (int j = 0; j < count; j++) codes[j] = round.code(scaled(j));
  }
}

template <class Round> static void quantize_with(const Quantize& q, int begin, int end) {
  const Round round(q.type);
  for (int m = begin; m < end; m++) {
    const float* x = q.x + size_t(m) * q.columns;
    char* out = static_cast<char*>(q.out) + size_t(m) * q.columns * 4;
    if (q.sharing == Sharing::kRow) {
      quantize_run(q, round, x, q.scales, q.inverses, true, q.columns, out);
      continue;
    }
    const int width = q.sharing == Sharing::kBlock ? q.block : q.columns, blocks = (q.columns + width - 1) / width;
    const size_t first = q.sharing == Sharing::kTensor ? 0 : size_t(m) * blocks;
    for (int b = 0; b < blocks; b++) {
      const int k = b * width;
      quantize_run(q, round, x + k, q.scales + first + b, q.inverses + first + b, false, least(width, q.columns - k), out + size_t(k) * 4);
    }
  }
}

// Rows begin..end.
static void quantize_rows(const Quantize& q, int begin, int end) {
  if (q.type.kind == SmallKind::kInteger) quantize_with<RoundInteger>(q, begin, end);
  else if (q.type.kind == SmallKind::kBfloat) quantize_with<RoundBfloat>(q, begin, end);
  else quantize_with<RoundFloat>(q, begin, end);
}

// Largest magnitude of `count` numbers and `most`; NaN where one is NaN, as its bits are the largest.
static float largest(const float* x, int count, float most) {
  uint32_t top = bits_of(most);
  for (int i = 0; i < count; i++) {
    const uint32_t bits = bits_of(x[i]) & 0x7fffffffu;
    top = bits > top ? bits : top;
  }
  return number_of(top);
}

// amax [entries] of x [rows, columns], zeros before.
static void largest_of(const Quantize& q, int rows, float* amax) {
  for (int m = 0; m < rows; m++) {
    const float* x = q.x + size_t(m) * q.columns;
    if (q.sharing == Sharing::kRow) {
      for (int k = 0; k < q.columns; k++) amax[k] = largest(x + k, 1, amax[k]);
      continue;
    }
    const int width = q.sharing == Sharing::kBlock ? q.block : q.columns, blocks = (q.columns + width - 1) / width;
    float* entry = q.sharing == Sharing::kTensor ? amax : amax + size_t(m) * blocks;
    for (int b = 0; b < blocks; b++) entry[b] = largest(x + b * width, least(width, q.columns - b * width), entry[b]);
  }
}
