/** Fp8Quantize on wasm. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import {INPUT_TYPES, type QuantizeAttrs, scaleCount, scaleShape} from '../input_quantization.js';
import {heapOf, type WasmBackend} from './module.js';

const FIELDS = 16;

const GRANULARITIES = {tensor: 0, colwise: 1, rowwise: 2, block: 3} as const;

function describe(attrs: QuantizeAttrs, scales: number): Int32Array {
  const fields = new Int32Array(FIELDS);
  const floats = new Float32Array(fields.buffer);
  fields.set([GRANULARITIES[attrs.granularity], attrs.block]);
  if (attrs.dtype === 'int8') fields[2] = -1;
  else {
    const {max, mantissaBits, bias, nan, signBit} = INPUT_TYPES[attrs.dtype];
    fields.set([mantissaBits, bias, nan, signBit], 2);
    floats[6] = max;
    fields[14] = attrs.dtype.endsWith('fnuz') ? 1 : 0;
  }
  floats.set([attrs.scaleUb, attrs.amaxFloor, attrs.divisor], 7);
  fields[10] = attrs.reciprocal ? 1 : 0;
  floats[11] = attrs.globalScale;
  fields.set([attrs.values ? 1 : 0, scales], 12);
  return fields;
}

export const fp8Quantize: KernelFunc = ({inputs, backend, attrs}) => {
  const quantize = attrs as unknown as QuantizeAttrs;
  const wasm = backend as unknown as WasmBackend;
  const heap = heapOf(backend);
  const x = inputs.x as TensorInfo;
  const scale = inputs.scale as TensorInfo | undefined;
  const [m, k] = x.shape as [number, number];
  const count = scaleCount(quantize.granularity, m, k, quantize.block);
  const out = wasm.makeOutput([m, k], quantize.values ? 'float32' : 'int32');
  const scales = wasm.makeOutput(scaleShape(quantize.granularity, m, k, quantize.block), 'float32');
  const fields = describe(quantize, scale === undefined ? 0 : scale.shape.reduce((a, b) => a * b, 1));
  const base = heap.scratch(FIELDS * 4 + count * 4);
  heap.write(base, fields);
  const given = scale === undefined ? 0 : heap.address(scale);
  heap.exports.quantize(base, heap.address(x), given, m, k, count, heap.address(out), heap.address(scales), base + FIELDS * 4);
  return [out, scales] as unknown as TensorInfo[];
};
