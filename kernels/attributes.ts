/** Op names and attributes: what a backend's kernels receive. */
import type {Activation} from './activation.js';
import type {WeightLayout} from './layout.js';

export const QUANTIZED_MATMUL = 'QuantizedMatMul';
export const UNPACK_WEIGHT = 'UnpackWeight';
export const FP8_QUANTIZE = 'Fp8Quantize';
export const FP8_SCALED_MATMUL = 'Fp8ScaledMatMul';

/**
 * How x enters a product. 'auto' lets a backend round each row's blocks of x to 16-bit integers where that is faster
 * (relative error below 1e-4, about 2e-5); 'float32' keeps x as it is (1e-6).
 */
export type InputPrecision = 'auto' | 'float32';

/**
 * Whether 'auto' may round x for this weight. Each output is off by 2e-5 of its usual size, so that a row of y whose outputs nearly all cancel is
 * off by more than 1e-4 of itself: a single output in one row of eight, small layers with one large output in one of a hundred. Small layers
 * cost little as float32.
 */
export function mayRoundX({outDim, inDim}: {outDim: number; inDim: number}): boolean {
  return outDim >= 16 && outDim * inDim > 2 ** 16;
}

/**
 * QuantizedMatMul: x [M, K] float32, words [L] int32, bias [rows] float32 or none -> act(x . W^T + bias) [M, rows] float32,
 * with rows rowStart..rowEnd of W.
 */
export interface QuantizedMatMulAttrs {
  readonly layout: WeightLayout;
  readonly rowStart: number;
  readonly rowEnd: number;
  readonly activation: Activation | null;
  readonly inputPrecision: InputPrecision;
}

/** UnpackWeight: words [L] int32, rows [R] int32 or none -> W's rows [R, K] (or rowStart..rowEnd) float32. */
export interface UnpackWeightAttrs {
  readonly layout: WeightLayout;
  readonly rowStart: number;
  readonly rowEnd: number;
}
