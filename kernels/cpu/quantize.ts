/** Fp8Quantize on cpu: the oracle. Every step rounds to float32. */
import type {KernelFunc, TensorInfo, TypedArray} from '@tensorflow/tfjs';
import {decodeTable, encodeFloat, roundHalfEven} from '../float_codes.js';
import {INPUT_TYPES, type InputType, type QuantizeAttrs, scaleShape} from '../input_quantization.js';

const fround = Math.fround;

/** Code of v, saturating; NaN keeps its code (int8: 0). */
export function encodeInput(dtype: InputType, v: number): number {
  if (dtype === 'int8') return Number.isNaN(v) ? 0 : Math.max(-128, Math.min(127, roundHalfEven(Math.max(-1000, Math.min(1000, v)))));
  const {max, nan} = INPUT_TYPES[dtype];
  return Number.isNaN(v) ? nan : encodeFloat(dtype, Math.max(-max, Math.min(max, v)));
}

export function decodeInput(dtype: InputType, code: number): number {
  return dtype === 'int8' ? code : (decodeTable(dtype)[code] as number);
}

/** Index of the scale of (m, k). */
function entryOf(attrs: QuantizeAttrs, blocks: number, m: number, k: number): number {
  switch (attrs.granularity) {
    case 'tensor':
      return 0;
    case 'colwise':
      return m;
    case 'rowwise':
      return k;
    case 'block':
      return m * blocks + Math.floor(k / attrs.block);
  }
}

/** The dynamic scale of an absolute maximum. */
export function dynamicScale(attrs: QuantizeAttrs, amax: number): number {
  const bounded = fround(Math.min(Math.max(amax, attrs.amaxFloor), attrs.scaleUb));
  if (attrs.globalScale === 0) return fround(bounded / attrs.divisor);
  const global = fround(attrs.globalScale);
  const level = encodeInput('float8_e4m3fn', fround(global * fround(bounded / attrs.divisor)));
  return fround(decodeInput('float8_e4m3fn', level) / global);
}

export interface Quantized {
  out: Int32Array | Float32Array;
  scales: Float32Array;
}

/** x [m, k]; scale: one for all, one an entry, or null (dynamic). */
export function quantizeRows(x: Float32Array, scale: ArrayLike<number> | null, m: number, k: number, attrs: QuantizeAttrs): Quantized {
  const blocks = attrs.block === 0 ? 1 : Math.ceil(k / attrs.block);
  const count = scaleShape(attrs.granularity, m, k, attrs.block).reduce((a, b) => a * b, 1);
  const scales = new Float32Array(count);
  const inverses = new Float32Array(count);
  if (scale !== null) for (let e = 0; e < count; e++) scales[e] = scale[scale.length === 1 ? 0 : e] as number;
  else {
    const amax = new Float32Array(count);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < k; j++) {
        const e = entryOf(attrs, blocks, i, j);
        const v = Math.abs(x[i * k + j] as number);
        if (v > (amax[e] as number) || Number.isNaN(v)) amax[e] = v;
      }
    }
    for (let e = 0; e < count; e++) {
      scales[e] = dynamicScale(attrs, amax[e] as number);
      const bounded = Math.min(Math.max(amax[e] as number, attrs.amaxFloor), attrs.scaleUb);
      inverses[e] = bounded === 0 ? 0 : attrs.divisor / fround(bounded);
    }
  }
  const out = attrs.values ? new Float32Array(m * k) : new Int32Array(m * k);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < k; j++) {
      const e = entryOf(attrs, blocks, i, j);
      const s = scales[e] as number;
      const v = x[i * k + j] as number;
      const inverse = scale === null ? (inverses[e] as number) : fround(1 / s);
      const scaled = s === 0 ? (Number.isNaN(v) ? v : 0) : attrs.reciprocal ? fround(v * inverse) : fround(v / s);
      const code = encodeInput(attrs.dtype, scaled);
      out[i * k + j] = attrs.values ? decodeInput(attrs.dtype, code) * s : code;
    }
  }
  return {out, scales};
}

interface CpuBackend {
  data: {get(dataId: object): {values: TypedArray}};
  makeTensorInfo(shape: number[], dtype: string, values: TypedArray): TensorInfo;
}

export const fp8Quantize: KernelFunc = ({inputs, backend, attrs}) => {
  const cpu = backend as unknown as CpuBackend;
  const quantize = attrs as unknown as QuantizeAttrs;
  const [m, k] = (inputs.x as TensorInfo).shape as [number, number];
  const values = (t: TensorInfo) => cpu.data.get(t.dataId).values as Float32Array;
  const scale = inputs.scale === undefined ? null : values(inputs.scale as TensorInfo);
  const {out, scales} = quantizeRows(values(inputs.x as TensorInfo), scale, m, k, quantize);
  return [
    cpu.makeTensorInfo([m, k], quantize.values ? 'float32' : 'int32', out),
    cpu.makeTensorInfo(scaleShape(quantize.granularity, m, k, quantize.block), 'float32', scales),
  ];
};
