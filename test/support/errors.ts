/**
 * The largest of |y - ref| / |ref| over rows of `n`, in the 2-norm; a row of norm 0 counts its absolute error.
 * `norms`: rows whose norms to divide by, where they are not the reference's own.
 */
export function rowErrors(y: ArrayLike<number>, ref: ArrayLike<number>, n: number, norms: ArrayLike<number> = ref): number {
  if (y.length !== ref.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let begin = 0; begin < ref.length; begin += n) {
    let difference = 0;
    let norm = 0;
    for (let i = begin; i < begin + n; i++) {
      difference += ((y[i] as number) - (ref[i] as number)) ** 2;
      norm += (norms[i] as number) ** 2;
    }
    const error = Math.sqrt(norm === 0 ? difference : difference / norm);
    // A NaN anywhere fails: max() would drop it.
    if (!(error <= worst)) worst = error;
    if (Number.isNaN(worst)) return worst;
  }
  return worst;
}
