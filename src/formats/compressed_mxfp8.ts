/**
 * compressed-tensors 'mxfp8-quantized': weight F8_E4M3 [N, K], weight_scale U8 (or F8_E8M0) [N, ceil(K / 32)] = 2^(code - 127), bias [N]
 */
import type {CompressedScheme} from '../config/compressed_groups.js';
import {compressedSchemeOf, mayBeCompressed, scaleUseOf, tieOf, withBias} from './compressed_tensors.js';
import {checkBias, matrixShape} from './dense.js';
import {beginFloat8, type Float8Weight, float8Pieces, raiseFloat8, referenceFloat8} from './float8_weight.js';
import {type Format, type Lowered, type Lowering, lowerWhole, type ModuleHeader, need, refuseOthers} from './format.js';
import {schemeOf} from './input_scheme.js';
import {scaleGrid} from './scale_grid.js';
import {needDtype, wholeBytes} from './tensors.js';

const NAME = 'mxfp8-quantized';
const GROUP = 32; // OCP microscaling: one scale for 32 values

function headerOf(module: ModuleHeader): {weight: Float8Weight; scheme: CompressedScheme | null} {
  const {module: name} = module;
  refuseOthers(module, NAME, ['weight', 'weight_scale', 'bias']);
  const scheme = compressedSchemeOf(module, [NAME], 'float', [8]);
  const [outDim, inDim] = matrixShape(needDtype(module, 'weight', ['F8_E4M3']), `${name}.weight`);
  const scale = needDtype(module, 'weight_scale', ['U8', 'F8_E8M0']);
  const use = scaleUseOf(scheme, inDim) ?? {kind: 'group', groupSize: GROUP};
  const grid = scaleGrid(`${name}.weight_scale`, scale.shape, outDim, inDim, use);
  checkBias(module, outDim);
  const level = {name: 'weight_scale', grid, type: 'float8_e8m0fnu', divide: false} as const;
  return {weight: {outDim, inDim, type: 'float8_e4m3fn', scale: level}, scheme};
}

/** `raise` returns the file's tensors byte for byte. */
export const compressedMxfp8: Format = {
  name: NAME,

  recognise(module) {
    const scale = module.tensors.get('weight_scale')?.dtype;
    return mayBeCompressed(module) && module.tensors.get('weight')?.dtype === 'F8_E4M3' && (scale === 'U8' || scale === 'F8_E8M0');
  },

  validate(module) {
    headerOf(module);
  },

  pieces(module) {
    return float8Pieces(headerOf(module).weight);
  },

  lower(module): Lowered {
    return lowerWhole(compressedMxfp8.begin!(module), wholeBytes(module, 'weight'));
  },

  begin(module, memory): Lowering {
    const {weight, scheme} = headerOf(module);
    const scale = need(module, 'weight_scale');
    const {layout, record, add} = beginFloat8(module, weight, memory);
    const bias = module.tensors.get('bias') ?? null;
    const inputScheme = schemeOf(module.module, scheme?.input ?? null, null, NAME);
    const details = {scaleDtype: scale.dtype, scaleShape: scale.shape, ...tieOf(scheme)};
    return {add, finish: () => ({layout, words: record.words, bias, inputScheme, origin: {format: NAME, details}})};
  },

  raise(lowered) {
    const {scaleDtype, scaleShape} = lowered.origin.details as {scaleDtype: string; scaleShape: number[]};
    const scale = {name: 'weight_scale', shape: scaleShape, dtype: scaleDtype};
    return withBias(raiseFloat8(lowered.layout, lowered.words, 'F8_E4M3', scale), lowered);
  },

  reference(module) {
    return referenceFloat8(module, headerOf(module).weight);
  },
};
