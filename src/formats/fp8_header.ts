/** Which writer's fp8 tensors these are, and what their scale means. */

import {stringOf, stringsOf} from '../config/keys.js';
import {checkModelopt} from '../config/modelopt.js';
import {moduleSettings, notConverted} from '../config/module_settings.js';
import {checkQuantization, methodOf} from '../config/quantization.js';
import {MissingError, UnsupportedError} from '../errors.js';
import {FLOAT8_DTYPES} from './byte_rows.js';
import {checkBias, matrixShape} from './dense.js';
import type {Float8Weight} from './float8_weight.js';
import {type ModuleHeader, need, refuseOthers} from './format.js';
import {CACHE_SCALES} from './input_scheme.js';
import {type ScaleUse, scaleGrid} from './scale_grid.js';
import {levelTypeOf, needDtype} from './tensors.js';

type Raw = Readonly<Record<string, unknown>>;
type Float8Type = Float8Weight['type'];

export interface Fp8Header {
  readonly weight: Float8Weight;
  /** null, or the local name of a static input scale. */
  readonly inputScale: string | null;
  readonly activations: 'none' | 'static' | 'dynamic' | 'fbgemm';
  /** Columns of a scale block, or null. */
  readonly blockColumns: number | null;
}

/** Names of weight scales: compressed-tensors and AutoFP8, DeepSeek and GPTQModel, ComfyUI. */
const SCALES = ['weight_scale', 'weight_scale_inv', 'scale_weight'];
/** Names of static input scales, in the same files; the last is of transformers. */
const INPUT_SCALES = ['input_scale', 'scale_input', 'activation_scale'];

/** Number types as configs spell them; the short ones leave fn or fnuz to the dtype. */
const TYPES: Readonly<Record<string, readonly Float8Type[]>> = {
  e4m3: ['float8_e4m3fn', 'float8_e4m3fnuz'],
  e4m3fn: ['float8_e4m3fn'],
  e4m3fnuz: ['float8_e4m3fnuz'],
  e5m2: ['float8_e5m2', 'float8_e5m2fnuz'],
  e5m2fnuz: ['float8_e5m2fnuz'],
};
const FNUZ: Readonly<Partial<Record<Float8Type, Float8Type>>> = {float8_e4m3fn: 'float8_e4m3fnuz', float8_e5m2: 'float8_e5m2fnuz'};

export function fp8Header(module: ModuleHeader): Fp8Header {
  const {module: name, quantization} = module;
  const method = quantization === null ? null : checkedMethod(quantization, name);
  refuseOthers(module, 'fp8', ['weight', 'bias', 'input_scale_ub', ...SCALES, ...INPUT_SCALES, ...CACHE_SCALES]);
  const tensor = needDtype(module, 'weight', Object.keys(FLOAT8_DTYPES));
  const [outDim, inDim] = matrixShape(tensor, `${name}.weight`);
  const type = typeOf(name, tensor.dtype, quantization);
  const block = blockOf(quantization);
  const scaleName = scaleNameOf(module, quantization);
  checkBias(module, outDim);
  let scale: Float8Weight['scale'] = null;
  if (scaleName !== null) {
    const scaleTensor = needDtype(module, scaleName, ['F32', 'BF16', 'F16', 'F8_E8M0']);
    const use = scaleUseOf(quantization, block);
    const grid = scaleGrid(`${name}.${scaleName}`, scaleTensor.shape, outDim, inDim, use);
    const divide = scaleName === 'weight_scale_inv' && divides(module, quantization);
    scale = {name: scaleName, grid, type: levelTypeOf(name, scaleName, scaleTensor), divide};
  }
  const inputScale = oneOf(module, INPUT_SCALES);
  const activations = activationsOf(module, method, quantization, inputScale);
  if (module.tensors.has('input_scale_ub') && activations !== 'fbgemm')
    refuseOthers(module, `fp8 (${method})`, ['weight', 'bias', ...SCALES, ...INPUT_SCALES, ...CACHE_SCALES]);
  return {weight: {outDim, inDim, type, scale}, inputScale, activations, blockColumns: block?.[1] ?? null};
}

/** Checks the config's keys and that the module is one it quantises. */
function checkedMethod(quantization: Raw, module: string): string {
  const method = methodOf(quantization);
  if (method === 'modelopt') {
    checkModelopt(quantization, module, ['FP8']);
    return method;
  }
  checkQuantization(quantization);
  const ignored = ['modules_to_not_convert', 'ignored_layers']
    .map((key) => notConverted(stringsOf('quantization_config', quantization, key), module))
    .find((entry) => entry !== null);
  const excludedBy = ignored ?? (method === 'fp8' ? moduleSettings(quantization, module).excludedBy : null);
  if (excludedBy !== null) {
    const expected = `a plain weight: the config leaves this module unquantised (${excludedBy})`;
    throw new UnsupportedError({where: module, expected, received: 'fp8 tensors'});
  }
  if (method === 'fp8' || method === 'fbgemm_fp8') return method;
  throw new UnsupportedError({
    where: module,
    expected: 'quant_method fp8, fbgemm_fp8, or modelopt with quant_algo FP8, as the tensors are',
    received: `'${method}'`,
    why: 'The config and the tensors contradict each other.',
  });
}

/** The dtype's type, or the fnuz one of the same width of exponent where the config names it. */
function typeOf(module: string, dtype: string, quantization: Raw | null): Float8Type {
  const stored = FLOAT8_DTYPES[dtype] as Float8Type;
  const where = 'quantization_config';
  for (const key of ['fmt', 'format', 'checkpoint_format']) {
    const named = quantization === null ? undefined : stringOf(where, quantization, key)?.toLowerCase();
    if (named === undefined) continue;
    const allowed = TYPES[named.replace(/^(torch\.)?float8_/, '')];
    if (allowed?.includes(stored)) continue;
    const fnuz = FNUZ[stored];
    if (allowed?.length === 1 && fnuz !== undefined && allowed[0] === fnuz) return fnuz;
    throw new UnsupportedError({where: `${module}: ${key}`, expected: `the type of weight, ${dtype}`, received: `'${named}'`});
  }
  return stored;
}

function oneOf(module: ModuleHeader, names: readonly string[]): string | null {
  const found = names.filter((name) => module.tensors.has(name));
  if (found.length < 2) return found[0] ?? null;
  throw new UnsupportedError({
    where: module.module,
    expected: `one of ${names.join(', ')}`,
    received: found.join(' and '),
    why: 'They are different conventions, and only one can be right.',
  });
}

/** The scale's name, or null where the config declares scale 1. Throws MissingError where there is none. */
function scaleNameOf(module: ModuleHeader, quantization: Raw | null): string | null {
  const found = oneOf(module, SCALES);
  const declared = quantization?.weight_scale;
  if (found !== null && (declared === undefined || declared === null)) return found;
  if (found === null && declared === 1) return null;
  throw new MissingError({
    where: `${module.module}.weight_scale`,
    expected:
      declared === undefined ? `a scale for the fp8 weight (${SCALES.join(', ')})` : 'no scale tensor, and weight_scale 1 in the config',
    received: `${[...module.tensors.keys()].join(', ')}${declared === undefined ? '' : `, and weight_scale ${JSON.stringify(declared)}`}`,
    why: 'fp8 codes without their scale are not the weight.',
    remedy: "If the codes are the values themselves, say so in config.json: quantization_config {quant_method: 'fp8', weight_scale: 1}.",
  });
}

/** weight_scale_inv divides in GPTQModel's files and multiplies in DeepSeek's. */
function divides(module: ModuleHeader, quantization: Raw | null): boolean {
  if (quantization === null) {
    throw new UnsupportedError({
      where: `${module.module}.weight_scale_inv`,
      expected: 'a config that tells whose files these are',
      received: 'none',
      why: 'DeepSeek multiplies by this tensor, GPTQModel divides by it.',
      remedy: 'Open the folder with its config.json.',
    });
  }
  const semantics = quantization.weight_scale_semantics ?? null;
  if (semantics === 'inverse') return true;
  if (semantics !== null) {
    throw new UnsupportedError({
      where: 'quantization_config.weight_scale_semantics',
      expected: "'inverse', or nothing",
      received: JSON.stringify(semantics),
    });
  }
  const quantizer = JSON.stringify((quantization.meta as Raw | null | undefined)?.quantizer ?? '');
  return quantization.weight_scale_method !== undefined || quantizer.includes('gptqmodel');
}

function blockOf(quantization: Raw | null): readonly [number, number] | null {
  const block = quantization?.weight_block_size ?? null;
  if (block === null) return null;
  if (Array.isArray(block) && block.length === 2 && block.every((size) => Number.isInteger(size) && size > 0))
    return block as [number, number];
  throw new UnsupportedError({
    where: 'quantization_config.weight_block_size',
    expected: '[rows, columns]',
    received: JSON.stringify(block),
  });
}

function scaleUseOf(quantization: Raw | null, block: readonly [number, number] | null): ScaleUse {
  const method = quantization?.weight_scale_method ?? null;
  if (method === 'tensor') return {kind: 'tensor'};
  if (method === 'row') return {kind: 'channel'};
  if (method !== null && (method !== 'block' || block === null)) {
    const where = 'quantization_config.weight_scale_method';
    throw new UnsupportedError({where, expected: 'tensor, row, or block with weight_block_size', received: JSON.stringify(method)});
  }
  return block === null ? null : {kind: 'block', block};
}

function activationsOf(
  module: ModuleHeader,
  method: string | null,
  quantization: Raw | null,
  inputScale: string | null,
): Fp8Header['activations'] {
  if (method === 'fbgemm_fp8') return 'fbgemm';
  const scheme = quantization?.activation_scheme ?? null;
  if (scheme === 'dynamic') {
    if (inputScale === null) return 'dynamic';
    throw new UnsupportedError({
      where: `${module.module}.${inputScale}`,
      expected: 'none: activation_scheme is dynamic',
      received: 'an input scale',
    });
  }
  if (scheme === 'static') need(module, inputScale ?? 'input_scale');
  else if (scheme !== null) {
    const where = 'quantization_config.activation_scheme';
    throw new UnsupportedError({where, expected: 'static or dynamic', received: JSON.stringify(scheme)});
  }
  return inputScale === null ? 'none' : 'static';
}

/** Whether the tensors are plain fp8 with or without a scale, and the config's method is not one with a format of its own. */
export function looksLikeFp8({container, tensors, quantization}: ModuleHeader): boolean {
  if (container !== 'safetensors' || FLOAT8_DTYPES[tensors.get('weight')?.dtype ?? ''] === undefined) return false;
  const scale = tensors.get('weight_scale')?.dtype;
  const method = methodOf(quantization);
  if (method === 'compressed-tensors') return false;
  // mxfp8 without a config
  return !(method === null && (scale === 'U8' || scale === 'F8_E8M0'));
}
