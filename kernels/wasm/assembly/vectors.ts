// Small vector helpers that the kernels share.

/** Columns summed in float32 before they join a float64 sum: long float32 sums alone would miss 1e-6 where terms cancel. */
export const RUN: i32 = 128;

/**
 * The same for 8-bit floats, whose steps to float64 would take a twelfth of the time in runs of 256. Of 5 outputs of 1024 columns the worst of 600 rows was
 * off by 5e-7, of 16 of 4096 by 3e-7.
 */
export const LONG_RUN: i32 = 512;

/** Sum of four float32 lanes. */
// @ts-ignore: decorator
@inline
export function total(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/** Sums of lanes 0 and 2, and of 1 and 3, of two vectors side by side. */
// @ts-ignore: decorator
@inline
export function halved(v: v128, u: v128): v128 {
  return f32x4.add(i32x4.shuffle(v, u, 0, 4, 1, 5), i32x4.shuffle(v, u, 2, 6, 3, 7));
}

/** The even ones of sixteen integers, and the odd ones. */
// @ts-ignore: decorator
@inline
export function even(v: v128, u: v128): v128 {
  return i16x8.shuffle(v, u, 0, 2, 4, 6, 8, 10, 12, 14);
}

// @ts-ignore: decorator
@inline
export function odd(v: v128, u: v128): v128 {
  return i16x8.shuffle(v, u, 1, 3, 5, 7, 9, 11, 13, 15);
}

/** High bytes of sixteen integers, rounded so that signed low bytes are what is left. */
// @ts-ignore: decorator
@inline
export function highBytes(v: v128, u: v128): v128 {
  const half = i16x8.splat(128);
  return i8x16.narrow_i16x8_s(i16x8.shr_s(i16x8.add(v, half), 8), i16x8.shr_s(i16x8.add(u, half), 8));
}

// @ts-ignore: decorator
@inline
export function lowBytes(v: v128, u: v128): v128 {
  return i8x16.narrow_i16x8_s(i16x8.shr_s(i16x8.shl(v, 8), 8), i16x8.shr_s(i16x8.shl(u, 8), 8));
}

/** f + a * b: one instruction, rounded once, in the relaxed builds. */
// @ts-ignore: decorator
@inline
export function fma(f: v128, a: v128, b: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, f);
  return f32x4.add(f, f32x4.mul(a, b));
}

/**
 * v itself, computed before what follows in the source. A sum is the last operand of `fma`: where it is only used there, the compiler moves all that goes
 * into it behind the other operands, which wait in registers until these run out. scripts/assembly.mjs takes the calls out again.
 */
// @ts-ignore: decorator
@external('env', 'ordered')
export declare function ordered(v: v128): v128;

/** Bytes of a table at indices of at most 15. */
// @ts-ignore: decorator
@inline
export function looked(table: v128, index: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i8x16.relaxed_swizzle(table, index) : i8x16.swizzle(table, index);
}

/** Four vectors of four 32-bit lanes, transposed; results `apart` bytes from each other. */
// @ts-ignore: decorator
@inline
export function transpose(v0: v128, v1: v128, v2: v128, v3: v128, out: usize, apart: usize): void {
  const a = i32x4.shuffle(v0, v1, 0, 4, 1, 5), b = i32x4.shuffle(v0, v1, 2, 6, 3, 7), c = i32x4.shuffle(v2, v3, 0, 4, 1, 5), e = i32x4.shuffle(v2, v3, 2, 6, 3, 7);
  v128.store(out, i64x2.shuffle(a, c, 0, 2));
  v128.store(out + apart, i64x2.shuffle(a, c, 1, 3));
  v128.store(out + 2 * apart, i64x2.shuffle(b, e, 0, 2));
  v128.store(out + 3 * apart, i64x2.shuffle(b, e, 1, 3));
}

/** Both halves of four float32 sums, added in float64. */
// @ts-ignore: decorator
@inline
export function widen(sum: v128, f: v128): v128 {
  return f64x2.add(sum, f64x2.add(f64x2.promote_low_f32x4(f), f64x2.promote_low_f32x4(i8x16.shuffle(f, f, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7))));
}

// @ts-ignore: decorator
@inline
export function total64(v: v128): f64 {
  return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1);
}

/**
 * Magnitudes of small floats whose exponents were raised to a float32's: those below `edge` are subnormal and were read as if a bit stood above theirs.
 * Their own line is the one that starts at the edge, drawn on downwards; above the edge it lies over all others. One product of float32 subnormals
 * would do it too, some hundred cycles each on many CPUs.
 */
// @ts-ignore: decorator
@inline
export function ordinary(f: v128, edge: v128): v128 {
  return f32x4.pmin(f, f32x4.sub(f32x4.add(f, f), edge));
}

/**
 * Four float16 at p as float32, exact, subnormals included; the top exponent is one more, not inf or NaN. The rest: MAGNITUDE .. TOP, each splat and
 * `kept` before the loop.
 */
// @ts-ignore: decorator
@inline
export function halves(p: usize, magnitude: v128, bias: v128, edge: v128, top: v128): v128 {
  const h = i32x4.shl(v128.load16x4_s(p), 13);
  return v128.or(ordinary(i32x4.add(v128.and(h, magnitude), bias), edge), v128.and(h, top));
}

export const MAGNITUDE: i32 = 0x0fffe000;
export const BIAS: i32 = 0x38000000;
export const EDGE: i32 = 0x38800000;
export const TOP: i32 = 0x80000000;
