/**
 * compressed-tensors 'float-quantized' ('naive-quantized' with an fp8 weight): one 8-bit float a code,
 *   weight F8_E4M3 or F8_E5M2 [N, K]; weight_scale F32, BF16 or F16 MULTIPLIES: [1], [N, 1] or [ceil(N / rows), ceil(K / columns)];
 *   static inputs: input_scale [1]; older files also hold zero points, all 0; bias [N]
 */
import type {CompressedScheme} from '../config/compressed_groups.js';
import {methodOf} from '../config/quantization.js';
import {FLOAT8_DTYPES} from './byte_rows.js';
import {compressedSchemeOf, scaleUseOf, tieOf, withBias} from './compressed_tensors.js';
import {checkBias, matrixShape} from './dense.js';
import {beginFloat8, type Float8Weight, float8Pieces, raiseFloat8, referenceFloat8} from './float8_weight.js';
import {type Format, type Lowered, type Lowering, lowerWhole, type ModuleHeader, need, refuseOthers} from './format.js';
import {type StoredScalar, scalarOf, scalarTensor, schemeOf} from './input_scheme.js';
import {scaleGrid} from './scale_grid.js';
import {levelTypeOf, needDtype, wholeBytes} from './tensors.js';
import {idleZeroPoint, zeroTensor} from './zero_points.js';

const NAME = 'float-quantized';
const TENSORS = ['weight', 'weight_scale', 'weight_zero_point', 'input_scale', 'input_zero_point', 'bias'];

interface Idle {
  readonly dtype: string;
  readonly shape: readonly number[];
}

interface Details {
  readonly dtype: string;
  readonly scaleShape: readonly number[];
  readonly inputScale: StoredScalar | null;
  readonly zeroPoint: Idle | null;
  readonly inputZeroPoint: Idle | null;
  readonly alsoMatched?: readonly string[];
}

function headerOf(module: ModuleHeader): {weight: Float8Weight; scheme: CompressedScheme | null} {
  const {module: name} = module;
  refuseOthers(module, NAME, TENSORS);
  const scheme = compressedSchemeOf(module, [NAME, 'naive-quantized'], 'float', [8]);
  const tensor = needDtype(module, 'weight', ['F8_E4M3', 'F8_E5M2']);
  const [outDim, inDim] = matrixShape(tensor, `${name}.weight`);
  const scale = needDtype(module, 'weight_scale', ['F32', 'BF16', 'F16']);
  const grid = scaleGrid(`${name}.weight_scale`, scale.shape, outDim, inDim, scaleUseOf(scheme, inDim));
  checkBias(module, outDim);
  const type = FLOAT8_DTYPES[tensor.dtype] as Float8Weight['type'];
  const scaleType = levelTypeOf(name, 'weight_scale', scale);
  return {weight: {outDim, inDim, type, scale: {name: 'weight_scale', grid, type: scaleType, divide: false}}, scheme};
}

/** `raise` returns the file's tensors byte for byte. */
export const compressedFloat: Format = {
  name: NAME,

  recognise({container, tensors, quantization}) {
    const scale = tensors.get('weight_scale')?.dtype;
    // Without a config the plain fp8 format reads the same tensors.
    if (container !== 'safetensors' || methodOf(quantization) !== 'compressed-tensors') return false;
    return FLOAT8_DTYPES[tensors.get('weight')?.dtype ?? ''] !== undefined && scale !== 'U8' && scale !== 'F8_E8M0';
  },

  validate(module) {
    headerOf(module);
  },

  pieces(module) {
    return float8Pieces(headerOf(module).weight);
  },

  lower(module): Lowered {
    return lowerWhole(compressedFloat.begin!(module), wholeBytes(module, 'weight'));
  },

  begin(module, memory): Lowering {
    const {weight, scheme} = headerOf(module);
    const {layout, record, add} = beginFloat8(module, weight, memory);
    const inputScale = scalarOf(module, 'input_scale');
    const details: Details = {
      dtype: need(module, 'weight').dtype,
      scaleShape: need(module, 'weight_scale').shape,
      inputScale,
      zeroPoint: idleZeroPoint(module, 'weight_zero_point'),
      inputZeroPoint: idleZeroPoint(module, 'input_zero_point'),
      ...tieOf(scheme),
    };
    const bias = module.tensors.get('bias') ?? null;
    const inputScheme = schemeOf(module.module, scheme?.input ?? null, inputScale?.value ?? null, NAME);
    return {add, finish: () => ({layout, words: record.words, bias, inputScheme, origin: {format: NAME, details: {...details}}})};
  },

  raise(lowered) {
    const {dtype, scaleShape, inputScale, zeroPoint, inputZeroPoint} = lowered.origin.details as unknown as Details;
    const tensors = raiseFloat8(lowered.layout, lowered.words, dtype, {name: 'weight_scale', shape: scaleShape});
    if (inputScale !== null) tensors.set('input_scale', scalarTensor(inputScale));
    if (zeroPoint !== null) tensors.set('weight_zero_point', zeroTensor(zeroPoint));
    if (inputZeroPoint !== null) tensors.set('input_zero_point', zeroTensor(inputZeroPoint));
    return withBias(tensors, lowered);
  },

  reference(module) {
    return referenceFloat8(module, headerOf(module).weight);
  },
};
