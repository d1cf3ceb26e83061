/**
 * Fp8ScaledMatMul, for every backend: x rounded to 8 bits and back, times the packed weight, rounded to bfloat16 where asked.
 * x' = q * s is float32 and keeps q's bits, so the product with float32 sums is that of the codes, scaled.
 */
import type {KernelFunc, NamedAttrMap, TensorInfo} from '@tensorflow/tfjs';
import type {QuantizedMatMulAttrs} from './attributes.js';
import type {QuantizeAttrs} from './input_quantization.js';

/** Fp8ScaledMatMul: x [M, K], words, scale or none, bias or none -> act(x' . W^T + bias) [M, rows]. */
export interface ScaledMatMulAttrs extends QuantizedMatMulAttrs {
  readonly quantize: QuantizeAttrs;
  /** Round y to bfloat16 (held as float32), as MAX's own op does. */
  readonly bfloat16Output: boolean;
}

const TO_BFLOAT16: QuantizeAttrs = {
  dtype: 'bfloat16',
  granularity: 'tensor',
  block: 0,
  scaleUb: Number.POSITIVE_INFINITY,
  amaxFloor: 0,
  divisor: 1,
  reciprocal: false,
  powersOfTwo: false,
  globalScale: 0,
  values: true,
};

interface Disposer {
  disposeIntermediateTensorInfo?(t: TensorInfo): void;
  disposeData(dataId: object): void;
  makeTensorInfo?(shape: number[], dtype: string, values: Float32Array): TensorInfo;
  makeOutput?(shape: number[], dtype: string, memoryOffset?: number, values?: Float32Array): TensorInfo;
}

/** The kernel of a backend from its two halves. */
export function scaledMatMul(quantize: KernelFunc, matMul: KernelFunc): KernelFunc {
  return ({inputs, backend, attrs}) => {
    const {quantize: quantizeAttrs, bfloat16Output, ...matMulAttrs} = attrs as unknown as ScaledMatMulAttrs;
    const disposer = backend as unknown as Disposer;
    const free = (t: TensorInfo) => {
      if (disposer.disposeIntermediateTensorInfo !== undefined) disposer.disposeIntermediateTensorInfo(t);
      else disposer.disposeData(t.dataId);
    };
    const run = (x: TensorInfo, scale: TensorInfo | undefined, a: QuantizeAttrs): TensorInfo => {
      const parts = scale === undefined ? {x} : {x, scale};
      const [values, scales] = quantize({inputs: parts, backend, attrs: a as unknown as NamedAttrMap}) as [TensorInfo, TensorInfo];
      free(scales);
      return values;
    };
    const {x, scale, ...rest} = inputs;
    const rounded = run(x as TensorInfo, scale, {...quantizeAttrs, values: true});
    const y = matMul({inputs: {x: rounded, ...rest}, backend, attrs: matMulAttrs as unknown as NamedAttrMap}) as TensorInfo;
    free(rounded);
    if (!bfloat16Output) return y;
    const one = oneScale(disposer);
    const out = run(y, one, TO_BFLOAT16);
    free(one);
    free(y);
    return out;
  };
}

function oneScale(backend: Disposer): TensorInfo {
  const values = Float32Array.of(1);
  if (backend.makeTensorInfo !== undefined) return backend.makeTensorInfo([1], 'float32', values);
  return (backend.makeOutput as NonNullable<Disposer['makeOutput']>)([1], 'float32', undefined, values);
}
