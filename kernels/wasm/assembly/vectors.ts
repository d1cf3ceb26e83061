// Small vector helpers that the kernels share.

/** Sum of four float32 lanes. */
// @ts-ignore: decorator
@inline
export function total(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/** f + a * b: one instruction, rounded once, in the relaxed builds. */
// @ts-ignore: decorator
@inline
export function fma(f: v128, a: v128, b: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, f);
  return f32x4.add(f, f32x4.mul(a, b));
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
