/** The add-on: found on disk, registered in the TensorFlow that tfjs-node has loaded, and called as TensorFlow ops. */
import type {TensorInfo} from '@tensorflow/tfjs';
import {ACTIVATIONS} from '../activation.js';
import type {QuantizedMatMulAttrs, UnpackWeightAttrs} from '../attributes.js';
import {INPUT_TYPES, type QuantizeAttrs} from '../input_quantization.js';
import {ATTRIBUTE, type Attribute, DTYPE, type NodeBackend, outputOf} from './backend.js';
import {commonBlock, NATIVE_VARIANTS, type NativeChoice} from './choose.js';
import {type Descriptor, descriptorOf} from './descriptor.js';

/** What native/addon.cc exports. */
export interface AddOn {
  register(binding: string): string[];
  threads(count?: number): number;
}

export interface Native {
  readonly addOn: AddOn;
  /** This processor's, best first. */
  readonly instructionSets: readonly string[];
}

const attributes = (call: readonly number[], {fields, table}: Descriptor): Attribute[] => [
  {name: 'call', type: ATTRIBUTE.int, value: call},
  {name: 'layout', type: ATTRIBUTE.int, value: fields},
  {name: 'table', type: ATTRIBUTE.float, value: table},
];

/** The outputs of one of the add-on's ops. */
export function execute(
  backend: NodeBackend,
  name: string,
  attrs: readonly Attribute[],
  inputs: readonly TensorInfo[],
  outputs = 1,
): TensorInfo[] {
  const handles = backend.binding.executeOp(name, attrs, backend.getInputTensorIds(inputs), outputs);
  return handles.map((handle) => outputOf(backend, handle));
}

/** @param instructions place in `Native.instructionSets` */
export function nativeMatMul(
  backend: NodeBackend,
  {x, words, bias}: {x: TensorInfo; words: TensorInfo; bias?: TensorInfo},
  {layout, rowStart, rowEnd, activation}: QuantizedMatMulAttrs,
  {variant, block}: NativeChoice,
  instructions: number,
): TensorInfo {
  const kind = activation === null ? 0 : 1 + ACTIVATIONS.indexOf(activation);
  const call = [instructions, NATIVE_VARIANTS.indexOf(variant), block, rowStart, rowEnd, kind, bias === undefined ? 0 : 1];
  return execute(backend, 'TfjsLinearQuantizedMatMul', attributes(call, descriptorOf(layout)), [x, words, bias ?? x])[0] as TensorInfo;
}

export function nativeUnpack(
  backend: NodeBackend,
  words: TensorInfo,
  rows: TensorInfo | undefined,
  {layout, rowStart, rowEnd}: UnpackWeightAttrs,
  instructions: number,
): TensorInfo {
  const call = [instructions, commonBlock(layout), rowStart, rowEnd, rows === undefined ? 0 : 1];
  return execute(backend, 'TfjsLinearUnpackWeight', attributes(call, descriptorOf(layout)), [words, rows ?? words])[0] as TensorInfo;
}

/** In the order of `Sharing` in native/layout.h. */
const SHARING = ['tensor', 'colwise', 'rowwise', 'block'] as const;

/** Kind, mantissa bits, bias, NaN, sign bit, has a NaN, is fnuz; and the largest number. */
function typeFields(dtype: QuantizeAttrs['dtype']): {fields: number[]; max: number} {
  if (dtype === 'int8') return {fields: [0, 0, 0, 0, 0, 0, 0], max: 127};
  const {max, mantissaBits, bias, nan, signBit} = INPUT_TYPES[dtype];
  const flags = [dtype === 'float4_e2m1fn' ? 0 : 1, dtype.endsWith('fnuz') ? 1 : 0];
  return {fields: [dtype === 'bfloat16' ? 1 : 2, mantissaBits, bias, nan, signBit, ...flags], max};
}

/** Codes (or numbers) and scales. */
export function nativeQuantize(
  backend: NodeBackend,
  x: TensorInfo,
  scale: TensorInfo | undefined,
  attrs: QuantizeAttrs,
  instructions: number,
): TensorInfo[] {
  const {fields, max} = typeFields(attrs.dtype);
  const divisor = Math.fround(attrs.divisor);
  const flags = [attrs.reciprocal, attrs.values, scale === undefined].map(Number);
  const call = [instructions, SHARING.indexOf(attrs.granularity), attrs.block, ...flags, ...fields];
  const numbers = [max, attrs.scaleUb, attrs.amaxFloor, divisor, attrs.divisor - divisor, attrs.globalScale];
  const attributes: Attribute[] = [
    {name: 'type', type: ATTRIBUTE.type, value: attrs.values ? DTYPE.float32 : DTYPE.int32},
    {name: 'call', type: ATTRIBUTE.int, value: call},
    {name: 'numbers', type: ATTRIBUTE.float, value: numbers},
  ];
  return execute(backend, 'TfjsLinearFp8Quantize', attributes, [x, scale ?? x], 2);
}
