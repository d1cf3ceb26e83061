// Columns k0..k1 of one row of W (at most kChunk, k0 a multiple of it): as float32, exact, or as 16-bit integers without scale.

static inline const uint8_t* plane_at(const Weight& w, int n, int p) {
  return reinterpret_cast<const uint8_t*>(w.words + size_t(n) * w.layout.row_words + w.layout.plane_start[p]);
}

#if defined(__SSE2__)
// Bytes of two fields of `width` bits to bytes of one: the low halves of `v` and its high halves.
template <int WIDTH> static inline void halve(__m128i v, __m128i* low, __m128i* high) {
  const __m128i mask = _mm_set1_epi8((1 << WIDTH) - 1);
  const __m128i even = _mm_and_si128(v, mask), odd = _mm_and_si128(_mm_srli_epi16(v, WIDTH), mask);
  *low = _mm_unpacklo_epi8(even, odd);
  *high = _mm_unpackhi_epi8(even, odd);
}

// 32 fields.
template <int BITS> static inline void spread32(const uint8_t* p, __m128i* low, __m128i* high) {
  __m128i v, none;
  if constexpr (BITS == 4) {
    v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  } else if constexpr (BITS == 2) {
    halve<4>(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)), &v, &none);
  } else {
    int32_t bits;
    std::memcpy(&bits, p, 4);
    halve<4>(_mm_cvtsi32_si128(bits), &v, &none);
    halve<2>(v, &v, &none);
  }
  halve<BITS>(v, low, high);
}
#endif

// Fields of one plane, added to `out` at bit `low`.
template <int BITS> static inline void spread_plane(const uint8_t* p, int count, int low, uint8_t* out) {
  constexpr int kPerByte = 8 / BITS;
  int k = 0;
#if defined(__SSE2__)
  const __m128i shift = _mm_cvtsi32_si128(low);
  for (; k + 32 <= count; k += 32, p += 4 * BITS) {
    __m128i* at = reinterpret_cast<__m128i*>(out + k);
    __m128i a, b;
    spread32<BITS>(p, &a, &b);
    _mm_storeu_si128(at, low ? _mm_or_si128(_mm_loadu_si128(at), _mm_sll_epi16(a, shift)) : a);
    _mm_storeu_si128(at + 1, low ? _mm_or_si128(_mm_loadu_si128(at + 1), _mm_sll_epi16(b, shift)) : b);
  }
#endif
  for (int i = 0; k < count; i++, k++) {
    const uint8_t code = uint8_t(((p[i / kPerByte] >> (BITS * (i % kPerByte))) & ((1 << BITS) - 1)) << low);
    out[k] = low ? uint8_t(out[k] | code) : code;
  }
}

// Codes of at most 8 bits, one a byte.
static void chunk_codes(const Weight& w, int n, int k0, int k1, uint8_t* out) {
  for (int p = 0, low = 0; p < w.layout.planes; low += w.layout.bits[p++]) {
    const int bits = w.layout.bits[p];
    const uint8_t* at = plane_at(w, n, p) + size_t(k0) * bits / 8;
    if (bits == 8) std::memcpy(out, at, k1 - k0);
    else if (bits == 4) spread_plane<4>(at, k1 - k0, low, out);
    else if (bits == 2) spread_plane<2>(at, k1 - k0, low, out);
    else spread_plane<1>(at, k1 - k0, low, out);
  }
}

// Is one of the codes not a number? Those have no place in the decode through half.
static bool has_nan(const uint8_t* codes, int count, Decode decode) {
  uint8_t found = 0;
  if (decode == Decode::kE4m3) {
    for (int i = 0; i < count; i++) found |= uint8_t((codes[i] & 127) == 127);
  } else {
    for (int i = 0; i < count; i++) found |= uint8_t(codes[i] == 128);
  }
  return found != 0;
}

static void float8_numbers(const Weight& w, const uint8_t* codes, int count, float* out) {
  const Decode d = w.layout.decode;
  int k = 0;
  if (kLanes > 4 && d != Decode::kE5m2Fnuz && !(d != Decode::kE5m2 && has_nan(codes, count, d))) {
    const float factor = d == Decode::kE5m2 ? 1.0f : d == Decode::kE4m3 ? 256.0f : 128.0f;
    for (; k + kLanes <= count; k += kLanes) store(out + k, from_float8(codes + k, d != Decode::kE5m2, factor));
  }
  for (; k < count; k++) out[k] = w.decoded[codes[k]];
}

// The numbers that codes stand for, before zero and scale. Of 32-bit codes the zero is taken off here, before the one rounding.
// out: kChunk numbers; the whole of it may be written.
static void chunk_numbers(const Weight& w, int n, int k0, int k1, float* out) {
  const Layout& l = w.layout;
  const int count = k1 - k0;
  const uint8_t* p = plane_at(w, n, 0);
  const uint16_t* halves = reinterpret_cast<const uint16_t*>(p) + k0;
  int k = 0;
  if (l.decode == Decode::kFloat32) {
    std::memcpy(out, p + size_t(k0) * 4, size_t(count) * 4);
    return;
  }
  if (l.decode == Decode::kFloat16 || l.decode == Decode::kBfloat16) {
    const bool half = l.decode == Decode::kFloat16;
    for (; k + kLanes <= count; k += kLanes) store(out + k, half ? from_half(halves + k) : from_bfloat(halves + k));
    if (k == count) return;
    uint16_t rest[kLanes] = {};
    std::memcpy(rest, halves + k, size_t(count - k) * 2);
    store(out + k, half ? from_half(rest) : from_bfloat(rest));
    return;
  }
  if (l.decode == Decode::kInteger && l.bits[0] == 32) {
    const uint32_t* codes = reinterpret_cast<const uint32_t*>(p) + k0;
    const bool constant = l.zero_kind != ZeroKind::kCodes;
    for (; k < count; k++) out[k] = float(double(codes[k]) - double(constant ? uint32_t(l.zero_value) : zero_at(w, n, k0 + k)));
    return;
  }
  if (l.decode == Decode::kInteger && l.bits[0] == 16) {
    for (; k < count; k++) out[k] = float(halves[k]);
    return;
  }
  alignas(64) uint8_t codes[kChunk + 64];
  if (l.decode == Decode::kInteger || l.decode == Decode::kTable) {
    std::memset(codes + count, 0, 64);
    chunk_codes(w, n, k0, k1, codes);
    if (l.decode == Decode::kInteger) {
      for (; k < count; k += kLanes) store(out + k, from_bytes(codes + k));
    } else {
      const Table table = table_of(w.table);
      for (; k < count; k += kLanes) store(out + k, look_up(table, codes + k));
    }
    return;
  }
  float8_numbers(w, p + k0, count, out);
}

// out = (out - zero) * scale + offset over one block, each step rounded.
static inline void apply(float* out, int count, const float* zero, const float* scale, bool divide, const float* offset) {
  const F z = splat(zero ? *zero : 0), s = splat(scale ? *scale : 1), o = splat(offset ? *offset : 0);
  int k = 0;
  for (; k + kLanes <= count; k += kLanes) {
    F v = load(out + k);
    if (zero) v = sub(v, z);
    if (scale) v = divide ? div(v, s) : mul(v, s);
    store(out + k, offset ? add(v, o) : v);
  }
  for (; k < count; k++) {
    float v = out[k];
    if (zero) v -= *zero;
    if (scale) v = divide ? v / *scale : v * *scale;
    out[k] = offset ? v + *offset : v;
  }
}

// Columns k0..k1 of row n in stored order, `terms` the row's. out: kChunk numbers.
static void chunk_floats(const Weight& w, int block, const Terms& terms, int n, int k0, int k1, float* out) {
  chunk_numbers(w, n, k0, k1, out);
  const bool divide = w.layout.divide[0] != 0, wide = w.layout.decode == Decode::kInteger && w.layout.bits[0] == 32;
  const float* zero = wide ? nullptr : terms.zero;
  if (!zero && !terms.scale && !terms.offset) return;
  for (int k = k0; k < k1; k += block) {
    const int b = k / block;
    apply(out + (k - k0), least(block, k1 - k), zero ? zero + b : nullptr, terms.scale ? terms.scale + b : nullptr, divide,
          terms.offset ? terms.offset + b : nullptr);
  }
}

// A table's numbers as integers, doubled where table_halves is 2.
static inline void table_integers(const Weight& w, int8_t* out) {
  for (int i = 0; i < 16; i++) out[i] = int8_t(w.table[i] * float(w.layout.table_halves));
}

// number - zero as integers (a table's as table_integers has them); zeros up to kChunk. Blocks are multiples of 8.
static void chunk_integers(const Weight& w, int block, const Terms& terms, int n, int k0, int k1, int16_t* out) {
  alignas(64) uint8_t codes[kChunk];
  if (k1 - k0 < kChunk) std::memset(codes, 0, kChunk);
  chunk_codes(w, n, k0, k1, codes);
  if (w.layout.decode == Decode::kTable) {
    int8_t table[16];
    table_integers(w, table);
    look_up16(table, codes, kChunk, out);
  } else if (!terms.zero) {
    for (int k = 0; k < k1 - k0; k++) out[k] = int16_t(codes[k]);
  } else {
    const int step = w.layout.zero_kind == ZeroKind::kConstant ? kChunk : block;
    for (int k = k0; k < k1; k += step) {
      const int end = least(k1, k + step) - k0;
      const int16_t zero = int16_t(terms.zero[k / block]);
      for (int j = k - k0; j < end; j++) out[j] = int16_t(codes[j] - zero);
    }
  }
  for (int k = k1 - k0; k < kChunk; k++) out[k] = 0;
}

// Rows of W in the weight's own column order.
static void unpack_rows(const Unpack& u, int begin, int end, char* memory) {
  const Weight& w = u.weight;
  const int in_dim = w.layout.in_dim, blocks = (in_dim + u.block - 1) / u.block;
  Scratch s{memory};
  const Terms terms = take_terms(w, blocks, s);
  float* spare = s.take<float>(2 * size_t(in_dim) + 64);
  float* chunk = s.take<float>(kChunk + 64);
  const int32_t* order = w.layout.order < 0 ? nullptr : reinterpret_cast<const int32_t*>(w.words + w.layout.order);
  for (int i = begin; i < end; i++) {
    const int n = u.first + (u.rows ? u.rows[i] : i);
    float* out = u.out + size_t(i) * in_dim;
    row_terms(w, n, u.block, blocks, terms, spare);
    for (int k0 = 0; k0 < in_dim; k0 += kChunk) {
      const int k1 = least(in_dim, k0 + kChunk);
      const bool direct = !order && k1 - k0 == kChunk;
      chunk_floats(w, u.block, terms, n, k0, k1, direct ? out + k0 : chunk);
      if (order) {
        for (int k = k0; k < k1; k++) out[order[k]] = chunk[k - k0];
      } else if (!direct) {
        std::memcpy(out + k0, chunk, size_t(k1 - k0) * 4);
      }
    }
  }
}
