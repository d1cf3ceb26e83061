/** Records of 8-bit and 4-bit floats that no file held, in the layouts of compressed-tensors, and of the plain fp8 files where those have none. */
import type {Level, WeightLayout} from '../../kernels/layout.js';
import type {InputScheme} from './format.js';
import type {StoredScalar} from './input_scheme.js';
import {entryOf, inputArgs, type ScaleUse, type StandardLayout} from './standard.js';
import {dtypeOfLevel} from './tensors.js';

const COMPRESSED: Readonly<Record<string, string>> = {float8_e4m3fn: 'F8_E4M3', float8_e5m2: 'F8_E5M2'};
const FNUZ: Readonly<Record<string, string>> = {float8_e4m3fnuz: 'F8_E4M3FNUZ', float8_e5m2fnuz: 'F8_E5M2FNUZ'};
/** Values under one scale: OCP microscaling, and NVFP4. */
const MX_GROUP = 32;
const NV_GROUP = 16;

/** null: none of them has these scales. Throws UnsupportedError for a rounding of x that none has words for. */
export function standardFloat(layout: WeightLayout, use: ScaleUse, input: InputScheme | null, where: string): StandardLayout | null {
  const [level, global] = layout.scales as [Level, Level | undefined];
  const type = layout.decode.kind === 'float' ? layout.decode.type : '';
  const float = {type: 'float', symmetric: true, dynamic: false};
  const rowGroups = level.grid.rows === 1 && use.args.strategy === 'group' ? use.args.group_size : null;
  if (type === 'float4_e2m1fn') {
    if (global !== undefined) return rowGroups === NV_GROUP ? nvfp4(layout, use, input, where) : null;
    if (level.type !== 'float8_e8m0fnu' || rowGroups !== MX_GROUP) return null;
    return mx('mxfp4-pack-quantized', {num_bits: 4, ...float, ...use.args}, use, input, where);
  }
  if (global !== undefined) return null;
  if (level.type === 'float8_e8m0fnu') {
    if (type !== 'float8_e4m3fn' || rowGroups !== MX_GROUP) return null;
    return mx('mxfp8-quantized', {num_bits: 8, ...float, ...use.args}, use, input, where);
  }
  if (dtypeOfLevel(level.type) === undefined) return null;
  const dtype = COMPRESSED[type];
  if (dtype === undefined || level.divide || input?.scaleUb !== undefined) return plain(layout, use, input);
  const {args, scalar} = inputArgs(input, where);
  const details = {dtype, scaleShape: use.shape, inputScale: scalar, zeroPoint: null, inputZeroPoint: null};
  return {
    origin: {format: 'float-quantized', details},
    entry: entryOf('float-quantized', {num_bits: 8, ...float, ...use.args}, args),
  };
}

function mx(format: string, weights: Record<string, unknown>, use: ScaleUse, input: InputScheme | null, where: string): StandardLayout {
  const {args} = inputArgs(input, where);
  return {origin: {format, details: {scaleDtype: 'U8', scaleShape: use.shape}}, entry: entryOf(format, weights, args)};
}

/** e4m3 scales under one number that divides them (compressed-tensors), or multiplies (Model Optimizer: its own kind of file). */
function nvfp4({scales}: WeightLayout, use: ScaleUse, input: InputScheme | null, where: string): StandardLayout | null {
  const [level, global] = scales as [Level, Level];
  if (level.type !== 'float8_e4m3fn' || global.type !== 'float32' || global.grid.shape.some((n) => n !== 1)) return null;
  const own =
    input?.dtype === 'float4_e2m1fn' &&
    input.globalScale !== undefined &&
    input.groupSize === NV_GROUP &&
    input.divisor === 6 &&
    (input.scaleUb ?? input.amaxFloor) === undefined;
  const stored = (value: number, shape: readonly number[]): StoredScalar => ({dtype: 'F32', shape, value, code: value});
  if (!global.divide) {
    // The file's number is the inverse, and has to be it exactly.
    const inverse = own ? Math.fround(1 / (input.globalScale as number)) : null;
    if (input !== null && (inverse === null || Math.fround(1 / inverse) !== input.globalScale)) return null;
    const scalar = inverse === null ? null : stored(inverse, []);
    return {
      origin: {format: 'modelopt-nvfp4', details: {scaleShape: use.shape, globalShape: [], input: scalar}},
      entry: null,
      config: {quant_method: 'modelopt', quant_algo: 'NVFP4'},
    };
  }
  const groups = {num_bits: 4, type: 'float', symmetric: true, strategy: 'tensor_group', group_size: NV_GROUP};
  const scalar = own ? stored(input.globalScale as number, [1]) : null;
  const args = own ? {...groups, dynamic: 'local'} : inputArgs(input, where).args;
  return {
    origin: {format: 'nvfp4-pack-quantized', details: {scaleShape: use.shape, globalShape: [1], input: scalar}},
    entry: entryOf('nvfp4-pack-quantized', {...groups, dynamic: false}, args),
  };
}

/** fnuz codes, scales that divide, and FBGEMM's bounded rows of x. */
function plain({decode, scales}: WeightLayout, use: ScaleUse, input: InputScheme | null): StandardLayout | null {
  const [level] = scales as [Level];
  const dtype = decode.kind === 'float' ? (COMPRESSED[decode.type] ?? FNUZ[decode.type]) : undefined;
  if (dtype === undefined) return null;
  const details = {
    dtype,
    scale: {name: level.divide ? 'weight_scale_inv' : 'weight_scale', shape: use.shape},
    input: null,
    upperBound: null,
  };
  const origin = {format: 'fp8', details};
  if (input !== null) {
    const {dtype: rounded, origin: when, granularity, divisor, amaxFloor, globalScale, scaleUb} = input;
    const bounded =
      rounded === 'float8_e4m3fn' &&
      when === 'dynamic' &&
      granularity === 'token' &&
      (divisor ?? 448) === 448 &&
      (amaxFloor ?? globalScale) === undefined;
    if (!bounded || scaleUb === undefined || level.divide || use.args.strategy !== 'channel') return null;
    return {origin, entry: null, config: {quant_method: 'fbgemm_fp8', activation_scale_ub: scaleUb}};
  }
  const block = use.args.block_structure;
  const method = {tensor: 'tensor', channel: 'row', block: 'block'}[String(use.args.strategy)];
  if (method === undefined) return null;
  return {
    origin,
    entry: null,
    config: {
      quant_method: 'fp8',
      weight_scale_method: method,
      ...(level.divide ? {weight_scale_semantics: 'inverse'} : {}),
      ...(block === undefined ? {} : {weight_block_size: block}),
    },
  };
}
