// Four lanes in plain C++ with the vector types that g++ and clang share: SSE2 on x86-64, NEON on 64-bit Arm.
typedef float F __attribute__((vector_size(16)));
typedef int32_t I __attribute__((vector_size(16)));
typedef int16_t Halves __attribute__((vector_size(16)));
constexpr int kLanes = 4;
constexpr int kTile = 4;  // rows of x in registers at once

static inline F splat(float v) { return F{v, v, v, v}; }
static inline F zero_f() { return splat(0); }
static inline F load(const float* p) {
  F v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
static inline void store(float* p, F v) { std::memcpy(p, &v, sizeof v); }
static inline F add(F a, F b) { return a + b; }
static inline F sub(F a, F b) { return a - b; }
static inline F mul(F a, F b) { return a * b; }
static inline F div(F a, F b) { return a / b; }
static inline F fma(F a, F b, F c) { return a * b + c; }
static inline float total(F v) { return (v[0] + v[1]) + (v[2] + v[3]); }
static inline F to_float(I v) { return F{float(v[0]), float(v[1]), float(v[2]), float(v[3])}; }
static inline F spread(const float* p, I index) { return F{p[index[0]], p[index[1]], p[index[2]], p[index[3]]}; }

static inline void store_i(void* p, I v) { std::memcpy(p, &v, sizeof v); }
static inline I zero_i() { return I{0, 0, 0, 0}; }
static inline I load_i(const void* p) {
  I v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
static inline I splat32(const void* p) {
  int32_t v;
  std::memcpy(&v, p, 4);
  return I{v, v, v, v};
}
static inline I splat16(int v) {
  const int32_t pair = int32_t(uint32_t(v & 0xffff) << 16 | uint32_t(v & 0xffff));
  return I{pair, pair, pair, pair};
}
static inline I both(I a, I b) { return a & b; }
// Each 16-bit half of a lane to the right, zeros in.
template <int N> static inline I right16(I v) {
  typedef uint16_t H __attribute__((vector_size(16)));
  return I(H(v) >> N);
}
static inline I sub16(I a, I b) { return I(Halves(a) - Halves(b)); }
static inline I dot16(I sum, I a, I b) {
  const I low = ((a << 16) >> 16) * ((b << 16) >> 16);
  return sum + low + (a >> 16) * (b >> 16);
}
// The same pair of 16-bit integers, at p, in every lane of b.
static inline I dot16_pair(I sum, I a, const int16_t* p) { return dot16(sum, a, splat32(p)); }

static inline F from_bytes(const uint8_t* p) { return F{float(p[0]), float(p[1]), float(p[2]), float(p[3])}; }

// Exact, subnormals included: 2^112 moves the exponent bias from 15 to 127. The top exponent stays infinity or NaN.
static inline float half_number(uint32_t h) {
  uint32_t bits = (h & 0x7fff) << 13;
  float v;
  if ((h & 0x7c00) == 0x7c00) {
    bits |= 0x7f800000;
    std::memcpy(&v, &bits, 4);
  } else {
    std::memcpy(&v, &bits, 4);
    v *= 5192296858534827628530496329220096.0f;
  }
  return h & 0x8000 ? -v : v;
}
static inline float bfloat_number(uint32_t h) {
  const uint32_t bits = h << 16;
  float v;
  std::memcpy(&v, &bits, 4);
  return v;
}
static inline F from_half(const uint16_t* p) { return F{half_number(p[0]), half_number(p[1]), half_number(p[2]), half_number(p[3])}; }
static inline F from_bfloat(const uint16_t* p) { return F{bfloat_number(p[0]), bfloat_number(p[1]), bfloat_number(p[2]), bfloat_number(p[3])}; }

static inline F from_float8(const uint8_t* p, bool four_exponent_bits, float factor) {
  F v = zero_f();
  for (int i = 0; i < 4; i++) v[i] = half_number(four_exponent_bits ? (p[i] & 128u) << 8 | (p[i] & 127u) << 7 : p[i] << 8) * factor;
  return v;
}

// Sixteen entries of a table.
struct Table {
  const float* numbers;
};
static inline Table table_of(const float* numbers) { return {numbers}; }
static inline F look_up(const Table& t, const uint8_t* c) { return F{t.numbers[c[0]], t.numbers[c[1]], t.numbers[c[2]], t.numbers[c[3]]}; }

// A table of sixteen small integers, and its entries for codes of 0 to 15, one a byte.
static inline I byte_table(const int8_t* table) { return load_i(table); }
static inline I look_up8(I table, I codes) {
  typedef int8_t B __attribute__((vector_size(16)));
  const B t = B(table), c = B(codes);
  B v = c;
  for (int i = 0; i < 16; i++) v[i] = t[c[i]];
  return I(v);
}
// The low and the high byte of each 16-bit half, signed, as the half.
static inline I low_byte(I v) { return I((Halves(v) << 8) >> 8); }
static inline I high_byte(I v) { return I(Halves(v) >> 8); }

// Sixteen small integers of a table, as 16-bit.
static inline void look_up16(const int8_t* table, const uint8_t* codes, int count, int16_t* out) {
  for (int k = 0; k < count; k++) out[k] = table[codes[k]];
}
