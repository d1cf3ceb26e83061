// Few rows of x: dot products along a row of W, lanes along K.

// Zeroed, so that what lies past the last block adds nothing.
static float* take_zeroed(size_t count, Scratch& s) {
  float* p = s.take<float>(count);
  std::memset(p, 0, count * sizeof(float));
  return p;
}

// What integer products are multiplied by, for each block, from a row's terms.
static void block_factors(const Layout& l, const Terms& t, int blocks, float* out) {
  const float halves = l.table_halves == 2 ? 0.5f : 1.0f;
  for (int b = 0; b < blocks; b++) {
    const float s = t.scale ? t.scale[b] : 1.0f;
    out[b] = (l.divide[0] ? 1.0f / s : s) * halves;
  }
}

// Runs padded with zeros to a whole number of vectors.
static float dot_runs(const float* a, const float* b, int count) {
  F sum = zero_f();
  for (int i = 0; i < count; i += kLanes) sum = fma(load(a + i), load(b + i), sum);
  return total(sum);
}

template <int BITS, int J> static inline I field16(I q) {
  constexpr int kFields = 16 / BITS;
  if constexpr (BITS == 16) return q;
  else if constexpr (J == kFields - 1) return right16<BITS * J>(q);
  else if constexpr (J == 0) return both(q, splat16((1 << BITS) - 1));
  else return both(right16<BITS * J>(q), splat16((1 << BITS) - 1));
}

template <int BITS, int R, int J = 0> static inline void add_fields(const I* q, const int16_t* x, I* c) {
  const I v = load_i(x + J * 2 * kLanes);
  for (int r = 0; r < R; r++) c[r] = dot16(c[r], field16<BITS, J>(q[r]), v);
  if constexpr (J + 1 < 16 / BITS) add_fields<BITS, R, J + 1>(q, x, c);
}

// sum[r] += weight * (row r's codes . x), scaled a block at a time. A strip is one vector of codes; lane j of its sums covers 2 * fields columns, which
// never straddle blocks. x as lay_out_fields leaves it.
template <int BITS, int R>
static inline void plane_dot(const uint8_t* const* rows, const int16_t* x, int in_dim, int block, const float* const* scales, float weight, F* sum) {
  constexpr int kFields = 16 / BITS, kColumns = 2 * kLanes * kFields;
  int32_t lanes[kLanes];
  for (int j = 0; j < kLanes; j++) lanes[j] = j * 2 * kFields / block;
  const I index = load_i(lanes);
  const int shift = __builtin_ctz(unsigned(block));
  F f[R];
  for (int r = 0; r < R; r++) f[r] = zero_f();
  for (int k = 0; k < in_dim; k += kColumns) {
    const size_t at = size_t(k) * BITS / 8;
    I q[R], c[R];
    for (int r = 0; r < R; r++) {
      q[r] = load_i(rows[r] + at);
      c[r] = zero_i();
    }
    add_fields<BITS, R>(q, x + k, c);
    for (int r = 0; r < R; r++) f[r] = fma(to_float(c[r]), spread(scales[r] + (k >> shift), index), f[r]);
  }
  const F v = splat(weight);
  for (int r = 0; r < R; r++) sum[r] = fma(f[r], v, sum[r]);
}

// Rows of codes that may be read to the end of their last strip; the last ones of the tensor are copied to where that is so.
struct Reach {
  const uint8_t* end;
  uint8_t* room;  // padded(K) bytes for each row and plane of a group
  const uint8_t* at(const Weight& w, int n, int p, int slot) const {
    const int bits = w.layout.bits[p];
    const uint8_t* here = plane_at(w, n, p);
    const size_t bytes = padded(w.layout.in_dim) * bits / 8, own = (size_t(w.layout.in_dim) * bits + 31) / 32 * 4;
    if (here + bytes <= end) return here;
    uint8_t* copy = room + size_t(slot) * padded(w.layout.in_dim);
    std::memset(copy + own, 0, bytes - own);
    std::memcpy(copy, here, own);
    return copy;
  }
};

template <int R> static void fused_rows(const Product& p, int n, const float* const* factors, float* const* scales, const float* const* corrections, const Reach& reach) {
  const Layout& l = p.weight.layout;
  const int blocks = p.blocks(), columns = p.end - p.begin;
  const size_t width = padded(l.in_dim);
  const uint8_t* rows[3][R];
  for (int i = 0; i < l.planes; i++) {
    for (int r = 0; r < R; r++) rows[i][r] = reach.at(p.weight, n + r, i, i * R + r);
  }
  for (int m = 0; m < p.m; m++) {
    const float* steps = p.steps + size_t(m) * p.stride;
    F sum[R];
    for (int r = 0; r < R; r++) {
      sum[r] = zero_f();
      for (int b = 0; b < blocks; b++) scales[r][b] = factors[r][b] * steps[b];
    }
    for (int i = 0, low = 0; i < l.planes; low += l.bits[i++]) {
      const int16_t* x = p.integers + (size_t(m) * l.planes + i) * width;
      const float weight = float(1 << low);
      if (l.bits[i] == 8) plane_dot<8, R>(rows[i], x, l.in_dim, p.block, scales, weight, sum);
      else if (l.bits[i] == 4) plane_dot<4, R>(rows[i], x, l.in_dim, p.block, scales, weight, sum);
      else if (l.bits[i] == 2) plane_dot<2, R>(rows[i], x, l.in_dim, p.block, scales, weight, sum);
      else plane_dot<1, R>(rows[i], x, l.in_dim, p.block, scales, weight, sum);
    }
    for (int r = 0; r < R; r++) {
      const float more = corrections ? dot_runs(corrections[r], p.sums + size_t(m) * p.stride, blocks) : 0.0f;
      p.y[size_t(m) * columns + (n + r - p.begin)] = total(sum[r]) + more;
    }
  }
}

// One row of W widened a chunk at a time, for codes that do not come out of a register ready to multiply.
static void expanded_row(const Product& p, int n, const Terms& terms, const float* factors, float* scales, const float* correction, float* sums) {
  const Layout& l = p.weight.layout;
  const int blocks = p.blocks(), columns = p.end - p.begin;
  for (int m = 0; m < p.m; m++) sums[m] = 0;
  alignas(64) int16_t chunk[kChunk];
  for (int k0 = 0; k0 < l.in_dim; k0 += kChunk) {
    const int k1 = least(l.in_dim, k0 + kChunk), first = k0 / p.block, count = least(kChunk / p.block, blocks - first);
    chunk_integers(p.weight, p.block, terms, n, k0, k1, chunk);
    for (int m = 0; m < p.m; m++) {
      const float* steps = p.steps + size_t(m) * p.stride + first;
      for (int b = 0; b < kChunk / p.block; b++) scales[b] = b < count ? factors[first + b] * steps[b] : 0.0f;
      const uint8_t* row = reinterpret_cast<const uint8_t*>(chunk);
      F sum = zero_f();
      plane_dot<16, 1>(&row, p.integers + size_t(m) * padded(l.in_dim) + k0, kChunk, p.block, &scales, 1.0f, &sum);
      sums[m] += total(sum);
    }
  }
  for (int m = 0; m < p.m; m++) {
    const float more = correction ? dot_runs(correction, p.sums + size_t(m) * p.stride, blocks) : 0.0f;
    p.y[size_t(m) * columns + (n - p.begin)] = sums[m] + more;
  }
}

// Columns begin..end of y for the variants of 16-bit integers along a row.
static void integer_rows(const Product& p, int begin, int end, char* memory) {
  constexpr int R = 4;
  const Weight& w = p.weight;
  const int blocks = p.blocks();
  const bool fused = p.variant == Variant::kFusedInt16;
  const size_t run = padded(w.layout.in_dim) / size_t(p.block) + 64;
  Scratch s{memory};
  const Terms terms = take_terms(w, blocks, s);
  float* spare = s.take<float>(2 * size_t(w.layout.in_dim) + 64);
  float *factors[R], *scales[R], *corrections[R];
  for (int r = 0; r < R; r++) {
    factors[r] = take_zeroed(run, s);
    scales[r] = take_zeroed(run, s);
    corrections[r] = take_zeroed(run, s);
  }
  const Reach reach{reinterpret_cast<const uint8_t*>(w.words + w.length), s.take<uint8_t>(3 * R * padded(w.layout.in_dim))};
  float* sums = s.take<float>(kMaxRows);
  const bool minus = fused && terms.zero;
  const bool corrected = minus || terms.offset;
  auto ready = [&](int n, int r) {
    row_terms(w, n, p.block, blocks, terms, spare);
    block_factors(w.layout, terms, blocks, factors[r]);
    if (!corrected) return;
    for (int b = 0; b < blocks; b++) corrections[r][b] = (terms.offset ? terms.offset[b] : 0.0f) - (minus ? terms.zero[b] * factors[r][b] : 0.0f);
  };
  int n = p.begin + begin;
  const int stop = p.begin + end;
  if (fused) {
    for (; n + R <= stop; n += R) {
      for (int r = 0; r < R; r++) ready(n + r, r);
      fused_rows<R>(p, n, factors, scales, corrected ? corrections : nullptr, reach);
    }
  }
  for (; n < stop; n++) {
    ready(n, 0);
    if (fused) fused_rows<1>(p, n, factors, scales, corrected ? corrections : nullptr, reach);
    else expanded_row(p, n, terms, factors[0], scales[0], corrected ? corrections[0] : nullptr, sums);
  }
}

// Columns begin..end of y with x as it is. Sums of kChunk products join a second sum: long float32 sums alone would miss 1e-6.
static void float_rows(const Product& p, int begin, int end, char* memory) {
  const Weight& w = p.weight;
  const int in_dim = w.layout.in_dim, blocks = p.blocks(), columns = p.end - p.begin;
  const float* x = p.floats ? p.floats : p.x;
  Scratch s{memory};
  const Terms terms = take_terms(w, blocks, s);
  float* spare = s.take<float>(2 * size_t(in_dim) + 64);
  float* chunk = s.take<float>(kChunk + 64);
  F* sums = s.take<F>(kMaxRows);
  float* rest = s.take<float>(kMaxRows);
  for (int i = begin; i < end; i++) {
    row_terms(w, p.begin + i, p.block, blocks, terms, spare);
    for (int m = 0; m < p.m; m++) {
      sums[m] = zero_f();
      rest[m] = 0;
    }
    for (int k0 = 0; k0 < in_dim; k0 += kChunk) {
      const int count = least(in_dim - k0, kChunk);
      chunk_floats(w, p.block, terms, p.begin + i, k0, k0 + count, chunk);
      for (int m = 0; m < p.m; m++) {
        const float* at = x + size_t(m) * in_dim + k0;
        F a = zero_f(), b = zero_f();
        int k = 0;
        for (; k + 2 * kLanes <= count; k += 2 * kLanes) {
          a = fma(load(chunk + k), load(at + k), a);
          b = fma(load(chunk + k + kLanes), load(at + k + kLanes), b);
        }
        sums[m] = add(sums[m], add(a, b));
        for (; k < count; k++) rest[m] += chunk[k] * at[k];
      }
    }
    for (int m = 0; m < p.m; m++) p.y[size_t(m) * columns + i] = total(sums[m]) + rest[m];
  }
}
