/**
 * NVFP4: e2m1 codes, two a byte, under e4m3 scales of 16 values and one global float32 number, which one writer divides by and
 * the other multiplies with; its name tells which.
 *   compressed-tensors 'nvfp4-pack-quantized': weight_packed U8 [N, K / 2], weight_scale F8_E4M3 [N, K / 16],
 *     weight_global_scale F32 [1] DIVIDES: W = e2m1 * (weight_scale / weight_global_scale); input_global_scale F32 [1] likewise
 *   Model Optimizer (quant_method 'modelopt', quant_algo 'NVFP4' or, of x as it is, 'W4A16_NVFP4'): weight U8 [N, K / 2], weight_scale F8_E4M3 [N, K / 16],
 *     weight_scale_2 F32 [] MULTIPLIES; input_scale F32 [] likewise, so that its inverse is the global input scale
 */

import type {Grid} from '../../kernels/layout.js';
import {partsOf} from '../../kernels/words.js';
import type {CompressedScheme} from '../config/compressed_groups.js';
import {integerOf, type Json} from '../config/keys.js';
import {checkModelopt} from '../config/modelopt.js';
import {methodOf} from '../config/quantization.js';
import {UnsupportedError} from '../errors.js';
import {compressedSchemeOf, mayBeCompressed, scaleUseOf, tieOf, withBias} from './compressed_tensors.js';
import {checkBias, matrixShape} from './dense.js';
import {type Float4Weight, lowerFloat4, raiseFloat4, referenceFloat4} from './float4_weight.js';
import {
  type FileTensor,
  type Format,
  type InputScheme,
  type Lowered,
  type Module,
  type ModuleHeader,
  need,
  refuseOthers,
} from './format.js';
import {CACHE_SCALES, cacheScalesOf, raiseCacheScales, type StoredScalar, scalarOf, scalarTensor, schemeOf} from './input_scheme.js';
import {scaleGrid} from './scale_grid.js';
import {needDtype} from './tensors.js';

const GROUP = 16; // values under one scale
const WEIGHT_ONLY = 'W4A16_NVFP4';

interface Dialect {
  readonly name: string;
  readonly codes: string;
  readonly global: string;
  readonly inputGlobal: string;
  readonly divide: boolean;
  recognise(module: ModuleHeader): boolean;
}

const COMPRESSED: Dialect = {
  name: 'nvfp4-pack-quantized',
  codes: 'weight_packed',
  global: 'weight_global_scale',
  inputGlobal: 'input_global_scale',
  divide: true,
  recognise: (module) =>
    mayBeCompressed(module) &&
    module.tensors.get('weight_packed')?.dtype === 'U8' &&
    module.tensors.get('weight_scale')?.dtype === 'F8_E4M3',
};

const MODELOPT: Dialect = {
  name: 'modelopt-nvfp4',
  codes: 'weight',
  global: 'weight_scale_2',
  inputGlobal: 'input_scale',
  divide: false,
  recognise: ({container, tensors, quantization}) =>
    container === 'safetensors' &&
    (quantization === null || methodOf(quantization) === 'modelopt') &&
    tensors.get('weight')?.dtype === 'U8' &&
    tensors.get('weight_scale')?.dtype === 'F8_E4M3',
};

interface Header {
  readonly outDim: number;
  readonly inDim: number;
  readonly grid: Grid;
  readonly scheme: CompressedScheme | null;
}

function headerOf(module: ModuleHeader, dialect: Dialect): Header {
  const {module: name, quantization} = module;
  if (dialect === MODELOPT && quantization !== null) checkConfig(quantization, name);
  refuseOthers(module, dialect.name, [
    dialect.codes,
    'weight_scale',
    dialect.global,
    dialect.inputGlobal,
    'bias',
    ...(dialect === MODELOPT ? CACHE_SCALES : []),
  ]);
  const scheme = dialect === COMPRESSED ? compressedSchemeOf(module, [dialect.name], 'float', [4]) : null;
  const [outDim, halves] = matrixShape(needDtype(module, dialect.codes, ['U8']), `${name}.${dialect.codes}`);
  const inDim = halves * 2;
  const scale = needDtype(module, 'weight_scale', ['F8_E4M3']);
  const use = scaleUseOf(scheme, inDim) ?? {kind: 'group', groupSize: GROUP};
  const grid = scaleGrid(`${name}.weight_scale`, scale.shape, outDim, inDim, use);
  needDtype(module, dialect.global, ['F32']);
  checkBias(module, outDim);
  return {outDim, inDim, grid, scheme};
}

/** Rounding of x that goes with these tensors: to 4 bits, or none. */
const ALGOS = ['NVFP4', WEIGHT_ONLY];

function checkConfig(quantization: Json, module: string): void {
  checkModelopt(quantization, module, ALGOS);
  const size = integerOf('quantization_config', quantization, 'group_size') ?? GROUP;
  if (size === GROUP) return;
  throw new UnsupportedError({
    where: `${module}: group_size`,
    expected: `${GROUP} with ${quantization.quant_algo}`,
    received: size,
  });
}

/**
 * The global number. Convention is by name, and checked by size: scales are at most 448 and e2m1 at most 6, so that a divisor below
 * 1 would mean weights in the thousands, and a multiplier above 1 as well.
 */
function globalOf(module: Module, dialect: Dialect): StoredScalar {
  const scalar = scalarOf(module, dialect.global) as StoredScalar;
  if (dialect.divide ? scalar.value >= 1 : scalar.value <= 1) return scalar;
  throw new UnsupportedError({
    where: `${module.module}.${dialect.global}`,
    expected: dialect.divide ? 'a divisor (448 * 6 / absmax, above 1)' : 'a multiplier (absmax / (448 * 6), below 1)',
    received: scalar.value,
    why: `It looks like the ${dialect.divide ? 'multiplier that Model Optimizer calls weight_scale_2' : 'divisor that compressed-tensors calls weight_global_scale'}.`,
    remedy: 'Name the tensor by its convention.',
  });
}

function weightOf(module: Module, dialect: Dialect): {weight: Float4Weight; global: StoredScalar; scheme: CompressedScheme | null} {
  const {outDim, inDim, grid, scheme} = headerOf(module, dialect);
  const global = globalOf(module, dialect);
  const scale = {name: 'weight_scale', grid, type: 'float8_e4m3fn'} as const;
  const weight = {outDim, inDim, name: dialect.codes, scale, global: {value: global.value, divide: dialect.divide}};
  return {weight, global, scheme};
}

function inputSchemeOf(module: Module, dialect: Dialect, scheme: CompressedScheme | null, input: StoredScalar | null): InputScheme | null {
  if (dialect === COMPRESSED) return schemeOf(module.module, scheme?.input ?? null, input?.value ?? null, dialect.name);
  if (input === null || module.quantization?.quant_algo === WEIGHT_ONLY) return null;
  const globalScale = Math.fround(1 / input.value);
  return {
    dtype: 'float4_e2m1fn',
    origin: 'dynamic',
    granularity: 'group',
    groupSize: GROUP,
    divisor: 6,
    globalScale,
    scaleType: 'float8_e4m3fn',
  };
}

function formatOf(dialect: Dialect): Format {
  return {
    name: dialect.name,
    recognise: dialect.recognise,

    validate(module) {
      headerOf(module, dialect);
    },

    lower(module): Lowered {
      const {weight, global, scheme} = weightOf(module, dialect);
      const input = scalarOf(module, dialect.inputGlobal);
      const details = {
        scaleShape: need(module, 'weight_scale').shape,
        globalShape: global.shape,
        input,
        ...tieOf(scheme),
        ...cacheScalesOf(module),
      };
      return {
        ...lowerFloat4(module, weight),
        bias: module.tensors.get('bias') ?? null,
        inputScheme: inputSchemeOf(module, dialect, scheme, input),
        origin: {format: dialect.name, details},
      };
    },

    raise(lowered) {
      const {layout, words, origin} = lowered;
      const details = origin.details as {scaleShape: number[]; globalShape: number[]; input: StoredScalar | null};
      const scale = {name: 'weight_scale', dtype: 'F8_E4M3', shape: details.scaleShape};
      const tensors: Map<string, FileTensor> = raiseFloat4(layout, words, dialect.codes, scale);
      const value = partsOf(layout, words).scales[1]![0] as number;
      tensors.set(dialect.global, scalarTensor({dtype: 'F32', shape: details.globalShape, value, code: value}));
      if (details.input !== null) tensors.set(dialect.inputGlobal, scalarTensor(details.input));
      raiseCacheScales(origin.details, tensors);
      return withBias(tensors, lowered);
    },

    reference(module) {
      return referenceFloat4(module, weightOf(module, dialect).weight);
    },
  };
}

/** `raise` returns the file's tensors byte for byte. */
export const compressedNvfp4: Format = formatOf(COMPRESSED);
/** `raise` returns the file's tensors byte for byte. */
export const modeloptNvfp4: Format = formatOf(MODELOPT);
