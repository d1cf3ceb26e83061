/**
 * compressed-tensors 'mxfp4-pack-quantized': weight_packed U8 [N, K / 2] of e2m1 codes, weight_scale U8 (or F8_E8M0) [N, ceil(K / 32)] =
 * 2^(code - 127), bias [N]
 */
import type {CompressedScheme} from '../config/compressed_groups.js';
import {compressedSchemeOf, mayBeCompressed, scaleUseOf, tieOf, withBias} from './compressed_tensors.js';
import {checkBias, matrixShape} from './dense.js';
import {type Float4Weight, lowerFloat4, raiseFloat4, referenceFloat4} from './float4_weight.js';
import {type Format, type Lowered, type ModuleHeader, need, refuseOthers} from './format.js';
import {schemeOf} from './input_scheme.js';
import {scaleGrid} from './scale_grid.js';
import {needDtype} from './tensors.js';

const NAME = 'mxfp4-pack-quantized';
const GROUP = 32; // OCP microscaling: one scale for 32 values

function headerOf(module: ModuleHeader): {weight: Float4Weight; scheme: CompressedScheme | null} {
  const {module: name} = module;
  refuseOthers(module, NAME, ['weight_packed', 'weight_scale', 'bias']);
  const scheme = compressedSchemeOf(module, [NAME], 'float', [4]);
  const [outDim, halves] = matrixShape(needDtype(module, 'weight_packed', ['U8']), `${name}.weight_packed`);
  const inDim = halves * 2;
  const scale = needDtype(module, 'weight_scale', ['U8', 'F8_E8M0']);
  const use = scaleUseOf(scheme, inDim) ?? {kind: 'group', groupSize: GROUP};
  const grid = scaleGrid(`${name}.weight_scale`, scale.shape, outDim, inDim, use);
  checkBias(module, outDim);
  const level = {name: 'weight_scale', grid, type: 'float8_e8m0fnu'} as const;
  return {weight: {outDim, inDim, name: 'weight_packed', scale: level, global: null}, scheme};
}

/** `raise` returns the file's tensors byte for byte. */
export const compressedMxfp4: Format = {
  name: NAME,

  recognise(module) {
    const scale = module.tensors.get('weight_scale')?.dtype;
    return mayBeCompressed(module) && module.tensors.get('weight_packed')?.dtype === 'U8' && (scale === 'U8' || scale === 'F8_E8M0');
  },

  validate(module) {
    headerOf(module);
  },

  lower(module): Lowered {
    const {weight, scheme} = headerOf(module);
    const {dtype, shape} = need(module, 'weight_scale');
    return {
      ...lowerFloat4(module, weight),
      bias: module.tensors.get('bias') ?? null,
      inputScheme: schemeOf(module.module, scheme?.input ?? null, null, NAME),
      origin: {format: NAME, details: {scaleDtype: dtype, scaleShape: shape, ...tieOf(scheme)}},
    };
  },

  raise(lowered) {
    const {scaleDtype, scaleShape} = lowered.origin.details as {scaleDtype: string; scaleShape: number[]};
    const scale = {name: 'weight_scale', dtype: scaleDtype, shape: scaleShape};
    return withBias(raiseFloat4(lowered.layout, lowered.words, 'weight_packed', scale), lowered);
  },

  reference(module) {
    return referenceFloat4(module, headerOf(module).weight);
  },
};
