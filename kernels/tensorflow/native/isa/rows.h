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

// Field J of each 16-bit half. TABLE: 4-bit codes as the entries of a byte table.
template <int BITS, bool TABLE, int J> static inline I field16(I q, I table) {
  constexpr int kFields = 16 / BITS;
  if constexpr (TABLE) {
    const I entries = look_up8(table, both(J % 2 ? right16<4>(q) : q, splat16(0x0f0f)));
    return J < 2 ? low_byte(entries) : high_byte(entries);
  } else {
    const I moved = J == 0 ? q : right16<BITS * J>(q);
    return J == kFields - 1 ? moved : both(moved, splat16((1 << BITS) - 1));
  }
}

template <int BITS, bool TABLE, int R, int J = 0> static inline void add_fields(const I* q, I table, const int16_t* x, I* c) {
  const I v = load_i(x + J * 2 * kLanes);
  for (int r = 0; r < R; r++) c[r] = dot16(c[r], field16<BITS, TABLE, J>(q[r], table), v);
  if constexpr (J + 1 < 16 / BITS) add_fields<BITS, TABLE, R, J + 1>(q, table, x, c);
}

// sum[r] += weight * (row r's codes . x), scaled a block at a time. A strip is one vector of codes; lane j of its sums covers 2 * fields
// columns, which never straddle blocks. x as lay_out_fields leaves it.
template <int BITS, bool TABLE, int R>
static inline void plane_dot(const uint8_t* const* rows, I table, const int16_t* x, int in_dim, int block, const float* const* scales,
                             float weight, F* sum) {
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
    add_fields<BITS, TABLE, R>(q, table, x + k, c);
    for (int r = 0; r < R; r++) f[r] = fma(to_float(c[r]), spread(scales[r] + (k >> shift), index), f[r]);
  }
  const F v = splat(weight);
  for (int r = 0; r < R; r++) sum[r] = fma(f[r], v, sum[r]);
}

// The planes of R rows of codes as plane_dot reads them, to the end of their last strip.
template <int R> struct Rows {
  int planes, bits[3];
  const uint8_t* codes[3][R];
};

// Where they lie; the last rows of the tensor are copied to `room` (padded(K) bytes a row and plane), since their strips reach past its end.
template <int R> static void rows_in_place(const Weight& w, int n, uint8_t* room, Rows<R>& rows) {
  const Layout& l = w.layout;
  const uint8_t* end = reinterpret_cast<const uint8_t*>(w.words + w.length);
  rows.planes = l.planes;
  for (int p = 0; p < l.planes; p++) {
    rows.bits[p] = l.bits[p];
    const size_t bytes = padded(l.in_dim) * l.bits[p] / 8, own = (size_t(l.in_dim) * l.bits[p] + 31) / 32 * 4;
    for (int r = 0; r < R; r++, room += padded(l.in_dim)) {
      const uint8_t* here = plane_at(w, n + r, p);
      rows.codes[p][r] = here + bytes <= end ? here : room;
      if (here + bytes <= end) continue;
      std::memcpy(room, here, own);
      std::memset(room + own, 0, bytes - own);
    }
  }
}

// One byte a code, in `room`.
template <int R> static void rows_of_bytes(const Weight& w, int n, uint8_t* room, Rows<R>& rows) {
  const int in_dim = w.layout.in_dim;
  rows.planes = 1;
  rows.bits[0] = 8;
  for (int r = 0; r < R; r++, room += padded(in_dim)) {
    rows.codes[0][r] = room;
    for (int k0 = 0; k0 < in_dim; k0 += kChunk) chunk_codes(w, n + r, k0, least(in_dim, k0 + kChunk), room + k0);
    std::memset(room + in_dim, 0, padded(in_dim) - in_dim);
  }
}

// y of R rows of W from `n`, for every row of x.
template <int R>
static void integer_dots(const Product& p, int n, const Rows<R>& rows, const float* const* factors, float* const* scales,
                         const float* const* corrections) {
  const int in_dim = p.weight.layout.in_dim, blocks = p.blocks(), columns = p.end - p.begin;
  const bool from_table = p.weight.layout.decode == Decode::kTable;
  const size_t width = padded(in_dim);
  int8_t entries[16];
  table_integers(p.weight, entries);
  const I table = byte_table(entries);
  for (int m = 0; m < p.m; m++) {
    const float* steps = p.steps + size_t(m) * p.stride;
    F sum[R];
    for (int r = 0; r < R; r++) {
      sum[r] = zero_f();
      for (int b = 0; b < blocks; b++) scales[r][b] = factors[r][b] * steps[b];
    }
    for (int i = 0, low = 0; i < rows.planes; low += rows.bits[i++]) {
      const int16_t* x = p.integers + (size_t(m) * rows.planes + i) * width;
      const float weight = float(1 << low);
      if (from_table) plane_dot<4, true, R>(rows.codes[i], table, x, in_dim, p.block, scales, weight, sum);
      else if (rows.bits[i] == 8) plane_dot<8, false, R>(rows.codes[i], table, x, in_dim, p.block, scales, weight, sum);
      else if (rows.bits[i] == 4) plane_dot<4, false, R>(rows.codes[i], table, x, in_dim, p.block, scales, weight, sum);
      else if (rows.bits[i] == 2) plane_dot<2, false, R>(rows.codes[i], table, x, in_dim, p.block, scales, weight, sum);
      else plane_dot<1, false, R>(rows.codes[i], table, x, in_dim, p.block, scales, weight, sum);
    }
    for (int r = 0; r < R; r++) {
      const float more = corrections ? dot_runs(corrections[r], p.sums + size_t(m) * p.stride, blocks) : 0.0f;
      p.y[size_t(m) * columns + (n + r - p.begin)] = total(sum[r]) + more;
    }
  }
}

// Columns begin..end of y for the variants of 16-bit integers along a row: codes as they lie, or as bytes.
static void integer_rows(const Product& p, int begin, int end, char* memory) {
  constexpr int R = 4;
  const Weight& w = p.weight;
  const int blocks = p.blocks();
  const bool in_place = p.variant == Variant::kRowsInPlace;
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
  uint8_t* room = s.take<uint8_t>(3 * R * padded(w.layout.in_dim));
  const bool corrected = terms.zero || terms.offset;
  auto terms_of = [&](int n, int r) {
    row_terms(w, n, p.block, blocks, terms, spare);
    block_factors(w.layout, terms, blocks, factors[r]);
    if (!corrected) return;
    for (int b = 0; b < blocks; b++) {
      corrections[r][b] = (terms.offset ? terms.offset[b] : 0.0f) - (terms.zero ? terms.zero[b] * factors[r][b] : 0.0f);
    }
  };
  int n = p.begin + begin;
  const int stop = p.begin + end;
  for (; n + R <= stop; n += R) {
    Rows<R> rows;
    for (int r = 0; r < R; r++) terms_of(n + r, r);
    if (in_place) rows_in_place(w, n, room, rows);
    else rows_of_bytes(w, n, room, rows);
    integer_dots<R>(p, n, rows, factors, scales, corrected ? corrections : nullptr);
  }
  for (; n < stop; n++) {
    Rows<1> rows;
    terms_of(n, 0);
    if (in_place) rows_in_place(w, n, room, rows);
    else rows_of_bytes(w, n, room, rows);
    integer_dots<1>(p, n, rows, factors, scales, corrected ? corrections : nullptr);
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
