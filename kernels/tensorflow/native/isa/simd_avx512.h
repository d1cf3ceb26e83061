// Sixteen lanes of AVX-512 (F, BW, VL, DQ), with VNNI's dot product where TFL_VNNI is defined.
using F = __m512;
using I = __m512i;
constexpr int kLanes = 16;
constexpr int kTile = 8;  // rows of x in registers at once

static inline F zero_f() { return _mm512_setzero_ps(); }
static inline F splat(float v) { return _mm512_set1_ps(v); }
static inline F load(const float* p) { return _mm512_loadu_ps(p); }
static inline void store(float* p, F v) { _mm512_storeu_ps(p, v); }
static inline F add(F a, F b) { return _mm512_add_ps(a, b); }
static inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
static inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
static inline F div(F a, F b) { return _mm512_div_ps(a, b); }
static inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
static inline float total(F v) { return _mm512_reduce_add_ps(v); }
static inline F to_float(I v) { return _mm512_cvtepi32_ps(v); }
static inline F spread(const float* p, I index) { return _mm512_permutexvar_ps(index, _mm512_loadu_ps(p)); }

static inline void store_i(void* p, I v) { _mm512_storeu_si512(p, v); }
static inline I zero_i() { return _mm512_setzero_si512(); }
static inline I load_i(const void* p) { return _mm512_loadu_si512(p); }
static inline I splat32(const void* p) {
  int32_t v;
  std::memcpy(&v, p, 4);
  return _mm512_set1_epi32(v);
}
static inline I splat16(int v) { return _mm512_set1_epi16(int16_t(v)); }
static inline I both(I a, I b) { return _mm512_and_si512(a, b); }
template <int N> static inline I right16(I v) { return _mm512_srli_epi16(v, N); }
static inline I sub16(I a, I b) { return _mm512_sub_epi16(a, b); }
static inline I dot16(I sum, I a, I b) {
#ifdef TFL_VNNI
  // Not the intrinsic: g++ 12 copies the sum into another register before and after each.
  asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "vm"(b));
  return sum;
#else
  return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
#endif
}
// The same pair of 16-bit integers, at p, in every lane of b.
static inline I dot16_pair(I sum, I a, const int16_t* p) {
#ifdef TFL_VNNI
  asm("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(a), "m"(*reinterpret_cast<const int32_t(*)>(p)));
  return sum;
#else
  return dot16(sum, a, splat32(p));
#endif
}

static inline F from_bytes(const uint8_t* p) { return to_float(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))); }
static inline F from_halves(__m256i h) { return _mm512_cvtph_ps(h); }
static inline F from_half(const uint16_t* p) { return from_halves(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
static inline F from_bfloat(const uint16_t* p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
}

// 8-bit floats through half, which has the same subnormals.
static inline F from_float8(const uint8_t* p, bool four_exponent_bits, float factor) {
  const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  __m256i h = _mm256_slli_epi16(wide, 8);
  if (four_exponent_bits) h = _mm256_and_si256(_mm256_srai_epi16(h, 1), _mm256_set1_epi16(int16_t(0xbf80)));
  return mul(from_halves(h), splat(factor));
}

// Sixteen entries of a table.
struct Table {
  F numbers;
};
static inline Table table_of(const float* numbers) { return {load(numbers)}; }
static inline F look_up(const Table& t, const uint8_t* codes) {
  return _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes))), t.numbers);
}

// A table of sixteen small integers, and its entries for codes of 0 to 15, one a byte.
static inline I byte_table(const int8_t* table) { return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))); }
static inline I look_up8(I table, I codes) { return _mm512_shuffle_epi8(table, codes); }
// The low and the high byte of each 16-bit half, signed, as the half.
static inline I low_byte(I v) { return _mm512_srai_epi16(_mm512_slli_epi16(v, 8), 8); }
static inline I high_byte(I v) { return _mm512_srai_epi16(v, 8); }

// Sixteen small integers of a table, as 16-bit: `count` codes, a multiple of 16.
static inline void look_up16(const int8_t* table, const uint8_t* codes, int count, int16_t* out) {
  const __m128i t = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  for (int k = 0; k < count; k += 16) {
    const __m128i v = _mm_shuffle_epi8(t, _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + k)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + k), _mm256_cvtepi8_epi16(v));
  }
}
