/**
 * Records that no file held (rounded here, stacked, cut), as tensors that common tools read: plain floats as they are, the rest in
 * compressed-tensors' layouts. Origins for `raise`, and the entry of the quantisation config that reads them again.
 */
import type {Grid, Level, WeightLayout} from '../../kernels/layout.js';
import {UnsupportedError} from '../errors.js';
import type {InputScheme, Origin} from './format.js';
import {DIVISORS, type StoredScalar} from './input_scheme.js';
import {standardFloat} from './standard_float.js';
import {dtypeOfLevel} from './tensors.js';

/** A module's entry in `config_groups`, but for its targets. */
export interface SchemeEntry {
  readonly format: string;
  readonly weights: Readonly<Record<string, unknown>>;
  readonly input_activations: Readonly<Record<string, unknown>> | null;
  readonly output_activations: null;
}

export interface StandardLayout {
  readonly origin: Origin;
  /** null: plain floats need no config, and `config` says it for others. */
  readonly entry: SchemeEntry | null;
  /** The whole config of a file, where it is not compressed-tensors'. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** The scale tensor's shape and what compressed-tensors' config says of it. */
export interface ScaleUse {
  readonly shape: readonly number[];
  readonly args: Readonly<Record<string, unknown>>;
}

const FLOAT_DTYPES: Readonly<Record<string, string>> = {float32: 'F32', float16: 'F16', bfloat16: 'BF16'};

/** Throws UnsupportedError, with the reason, for a record that none of these layouts can hold. */
export function standardLayout(layout: WeightLayout, input: InputScheme | null, where: string): StandardLayout {
  const refuse = (received: string): UnsupportedError =>
    new UnsupportedError({
      where,
      expected: 'a record that a safetensors layout can hold: plain floats, or integers or 8-bit floats with one scale each',
      received,
      remedy: 'Save the layer as a tf.js model (layer.save), or the parts that it was made of.',
    });
  const {decode, planes, scales, offsets, zero} = layout;
  const [level] = scales;
  if (offsets.length > 0) throw refuse('codes with an offset');
  if (level === undefined) {
    const dtype = decode.kind === 'float' ? FLOAT_DTYPES[decode.type] : undefined;
    if (dtype === undefined || layout.ordered) throw refuse('codes without a scale');
    if (input !== null) throw refuse('plain floats with a rounding of x, which no config has words for');
    return {origin: {format: 'dense', details: {dtype}}, entry: null};
  }
  const use = scaleUse(level, layout);
  if (use === null) throw refuse('scales cut inside a block, or by input column');
  if (decode.kind === 'float') {
    const found = layout.ordered ? null : standardFloat(layout, use, input, where);
    if (found !== null) return found;
    throw refuse(`${decode.type} codes with ${scalesInWords(layout)}${layout.ordered ? ', in an order of their own' : ''}`);
  }
  if (scales.length > 1) throw refuse('scales of two levels');
  if (level.divide) throw refuse('scales that divide');
  if (dtypeOfLevel(level.type) === undefined) throw refuse(`${level.type} scales`);
  const inputs = inputArgs(input, where);
  const bits = planes.reduce((a, b) => a + b, 0);
  if (decode.kind !== 'integer' || bits > 8 || zero.kind === 'none')
    throw refuse(`${decode.kind} codes of ${bits} bits, zero ${zero.kind}`);
  if (level.grid.rows !== 1 && level.grid.shape[0] !== 1) throw refuse('integers with scales over several rows');
  const middle = 2 ** (bits - 1);
  const symmetric = zero.kind === 'constant' && zero.value === middle;
  const weights = {num_bits: bits, type: 'int', symmetric, dynamic: false, ...use.args, ...(layout.ordered ? {actorder: 'group'} : {})};
  if (bits === 8 && !layout.ordered) {
    const details = {scaleShape: use.shape, zeroPoint: !symmetric, inputScale: inputs.scalar, inputZeroPoint: null};
    return {origin: {format: 'int-quantized', details}, entry: entryOf('int-quantized', weights, inputs.args)};
  }
  if (inputs.scalar !== null) throw refuse('packed integers with a static scale of x');
  const details = {bits, scaleShape: use.shape, zeroPoint: symmetric ? null : 'I32', groupMap: layout.ordered ? 'map' : 'absent'};
  return {origin: {format: 'pack-quantized', details}, entry: entryOf('pack-quantized', weights, inputs.args)};
}

function scalesInWords({scales}: WeightLayout): string {
  return scales.map(({type, divide}) => `${type} scales${divide ? ' that divide' : ''}`).join(' under ');
}

export function entryOf(format: string, weights: Record<string, unknown>, input: Record<string, unknown> | null): SchemeEntry {
  return {format, weights, input_activations: input, output_activations: null};
}

/** null: no such tensor has them. */
function scaleUse({grid}: Level, layout: WeightLayout): ScaleUse | null {
  const {outDim, inDim} = layout;
  const whole = (g: Grid) => g.columns >= inDim && g.shape[1] === 1;
  if (grid.rowPhase !== 0 || grid.columnPhase !== 0) return null;
  if (grid.shape[0] === 1 && whole(grid) && grid.rows >= outDim && outDim > 1) return {shape: [1], args: {strategy: 'tensor'}};
  if (grid.rows === 1 && whole(grid)) return {shape: [outDim, 1], args: {strategy: 'channel'}};
  if (grid.rows === 1) return {shape: grid.shape, args: {strategy: 'group', group_size: grid.columns}};
  if (grid.columns === 1 || grid.columns >= inDim) return null;
  return {shape: grid.shape, args: {strategy: 'block', block_structure: [grid.rows, grid.columns]}};
}

/** `input_activations` of the config and the tensor of a static scale. Throws UnsupportedError for what the config has no words for. */
export function inputArgs(input: InputScheme | null, where: string): {args: Record<string, unknown> | null; scalar: StoredScalar | null} {
  if (input === null) return {args: null, scalar: null};
  const {dtype, origin, granularity, groupSize, scale, scaleUb, divisor, amaxFloor, globalScale} = input;
  const wanted: number | undefined = DIVISORS[dtype];
  // The op's own default for int8 is 127; compressed-tensors means 127.5.
  const actual = divisor ?? (dtype === 'int8' ? 127 : wanted);
  const plain = scaleUb === undefined && amaxFloor === undefined && globalScale === undefined && wanted !== undefined;
  const said = origin === 'static' ? granularity === 'tensor' && scale !== undefined : actual === wanted;
  if (!plain || !said || dtype === 'float4_e2m1fn') {
    throw new UnsupportedError({
      where: `${where}: rounding of x`,
      expected: 'int8 or float8 by tensor, token or group with a plain dynamic scale, or one static scale',
      received: JSON.stringify(input),
      why: "compressed-tensors' config has no words for it.",
    });
  }
  const args = {
    num_bits: 8,
    type: dtype === 'int8' ? 'int' : 'float',
    symmetric: true,
    dynamic: origin === 'dynamic',
    strategy: granularity,
    ...(granularity === 'group' ? {group_size: groupSize} : {}),
  };
  return {args, scalar: origin === 'static' ? {dtype: 'F32', shape: [1], value: scale as number, code: scale as number} : null};
}
