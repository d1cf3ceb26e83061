/**
 * fp8 weights outside compressed-tensors: weight F8_E4M3, F8_E5M2 or a fnuz type [N, K], bias [N], and a scale [], [1], [N], [N, 1], [1, K] or in blocks:
 *   DeepSeek (quant_method 'fp8'): weight_scale_inv F32 [ceil(N / 128), ceil(K / 128)] MULTIPLIES, despite its name
 *   AutoFP8 (the same): weight_scale [] multiplies; static inputs: input_scale []
 *   GPTQModel ('fp8', weight_scale_semantics 'inverse'): weight_scale_inv DIVIDES
 *   FBGEMM ('fbgemm_fp8'): weight_scale F32 [N, 1] multiplies; input_scale_ub F32 [1] bounds a row's absmax
 *   transformers (the same): static inputs: activation_scale []
 *   Model Optimizer ('modelopt', quant_algo 'FP8'): weight_scale [] and input_scale []; k_scale, v_scale [] of a cache
 *   ComfyUI: scale_weight [] multiplies; scale_input []
 */
import {FileFormatError} from '../errors.js';
import {beginFloat8, float8Pieces, raiseFloat8, referenceFloat8} from './float8_weight.js';
import {type Format, type InputScheme, type Lowered, type Lowering, lowerWhole, type Module, need} from './format.js';
import {type Fp8Header, fp8Header, looksLikeFp8} from './fp8_header.js';
import {cacheScalesOf, raiseCacheScales, type StoredScalar, scalarOf, scalarTensor} from './input_scheme.js';
import {wholeBytes} from './tensors.js';

const NAME = 'fp8';
const LARGEST = 448; // of e4m3fn, which x is quantised to
const AMAX_FLOOR = 1e-4; // DeepGEMM's per-token cast never divides by a smaller absmax

interface Details {
  readonly dtype: string;
  readonly scale: {readonly name: string; readonly shape: readonly number[]} | null;
  readonly input: {readonly name: string; readonly scalar: StoredScalar} | null;
  readonly upperBound: StoredScalar | null;
}

function inputSchemeOf(
  module: Module,
  {activations, blockColumns}: Fp8Header,
  input: StoredScalar | null,
  bound: StoredScalar | null,
): InputScheme | null {
  const dtype = 'float8_e4m3fn';
  switch (activations) {
    case 'none':
      return null;
    case 'static':
      return {dtype, origin: 'static', granularity: 'tensor', scale: (input as StoredScalar).value};
    case 'fbgemm': {
      const configured = module.quantization?.activation_scale_ub ?? null;
      if (bound !== null && configured !== null && bound.value !== Math.fround(configured as number)) {
        throw new FileFormatError({
          where: `${module.module}.input_scale_ub`,
          expected: `activation_scale_ub of the config, ${configured}`,
          received: bound.value,
        });
      }
      const scaleUb = bound?.value ?? (configured as number | null);
      return {dtype, origin: 'dynamic', granularity: 'token', divisor: LARGEST, ...(scaleUb === null ? {} : {scaleUb})};
    }
    case 'dynamic':
      // Without blocks one scale for the tensor, as AutoFP8 means it.
      if (blockColumns === null) return {dtype, origin: 'dynamic', granularity: 'tensor', divisor: LARGEST};
      return {
        dtype,
        origin: 'dynamic',
        granularity: 'group',
        groupSize: blockColumns,
        divisor: LARGEST,
        amaxFloor: AMAX_FLOOR,
        // As round_scale in act_quant of DeepSeek V3.2's inference/kernel.py.
        ...(module.quantization?.scale_fmt === 'ue8m0' ? {powersOfTwo: true} : {}),
      };
  }
}

/** `raise` returns the file's tensors byte for byte. */
export const fp8: Format = {
  name: NAME,
  recognise: looksLikeFp8,

  validate(module) {
    fp8Header(module);
  },

  pieces(module) {
    return float8Pieces(fp8Header(module).weight);
  },

  lower(module): Lowered {
    return lowerWhole(fp8.begin!(module), wholeBytes(module, 'weight'));
  },

  begin(module, memory): Lowering {
    const header = fp8Header(module);
    const {weight, inputScale} = header;
    const {layout, record, add} = beginFloat8(module, weight, memory);
    const scalar = inputScale === null ? null : scalarOf(module, inputScale);
    const upperBound = scalarOf(module, 'input_scale_ub');
    const details: Details = {
      dtype: need(module, 'weight').dtype,
      scale: weight.scale === null ? null : {name: weight.scale.name, shape: need(module, weight.scale.name).shape},
      input: inputScale === null || scalar === null ? null : {name: inputScale, scalar},
      upperBound,
      ...cacheScalesOf(module),
    };
    const inputScheme = inputSchemeOf(module, header, scalar, upperBound);
    const bias = module.tensors.get('bias') ?? null;
    return {add, finish: () => ({layout, words: record.words, bias, inputScheme, origin: {format: NAME, details: {...details}}})};
  },

  raise({layout, words, bias, origin}) {
    const {dtype, scale, input, upperBound} = origin.details as unknown as Details;
    const tensors = raiseFloat8(layout, words, dtype, scale);
    if (input !== null) tensors.set(input.name, scalarTensor(input.scalar));
    if (upperBound !== null) tensors.set('input_scale_ub', scalarTensor(upperBound));
    if (bias !== null) tensors.set('bias', bias);
    raiseCacheScales(origin.details, tensors);
    return tensors;
  },

  reference(module) {
    return referenceFloat8(module, fp8Header(module).weight);
  },
};
