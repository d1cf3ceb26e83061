/** The op functions of 8-bit floats: quantise x, and multiply it with a packed weight. */
import * as tf from '@tensorflow/tfjs';
import {asFloats, checkOptions, checkTensor} from '../src/arguments.js';
import {ArgumentError} from '../src/errors.js';
import {FP8_QUANTIZE} from './attributes.js';
import {checkWeight, quantizedMatMul} from './contract.js';
import {INPUT_OPTIONS, type InputGranularity, type InputQuantization, type InputType, quantizeAttrs} from './input_quantization.js';
import {scaleFor} from './power_scales.js';
import type {QuantizedWeight} from './quantized_weight.js';

export interface Fp8QuantizeOptions extends Omit<InputQuantization, 'dtype'> {
  /** What x is rounded to. Throws ArgumentError for another name. */
  dtype: InputType;
  /** Columns of a block, with granularity 'block'. Default 128, the usual cut of x. */
  block?: number;
}

const BLOCK = 128;

/**
 * x [..., K] to codes and scales: q = round(clamp(x / scale)), nearest, ties to even, saturating.
 * @returns codes int32 [..., K] (0..255; int8: -128..127), scales float32: [] (tensor), [..., 1] (colwise: one a token), [K] (rowwise),
 *   [..., ceil(K / block)] (block)
 * A zero row has scale 0 and codes 0. Throws ArgumentError for a scheme that contradicts itself, ShapeError for a static scale of another shape.
 *
 * ```js
 * const {codes, scales} = tfl.ops.fp8Quantize(tf.tensor2d([[448, -224]]), {dtype: 'float8_e4m3fn', granularity: 'tensor', origin: 'dynamic'});
 * codes.print(); // [[126, 246]]
 * ```
 */
export function fp8Quantize(x: tf.Tensor, given: Fp8QuantizeOptions): {codes: tf.Tensor; scales: tf.Tensor} {
  checkTensor('fp8Quantize: x', x);
  checkOptions('fp8Quantize', given, INPUT_OPTIONS);
  const options: Fp8QuantizeOptions = given.granularity === 'block' && given.block === undefined ? {...given, block: BLOCK} : given;
  if (x.rank < 1) throw new ArgumentError({where: 'fp8Quantize: x', expected: 'rank 1 or more', received: 'a scalar'});
  const k = x.shape[x.rank - 1] as number;
  const lead = x.shape.slice(0, -1);
  const m = lead.reduce((a, b) => a * b, 1);
  const attrs = quantizeAttrs(options, false);
  return tf.tidy(() => {
    const rows = asFloats(tf.reshape(x, [m, k])) as tf.Tensor2D;
    const inputs: tf.NamedTensorMap = {x: rows};
    const scale = scaleFor(options, rows);
    if (scale !== null) inputs.scale = scale;
    const [codes, scales] = tf.engine().runKernel(FP8_QUANTIZE, inputs, attrs as unknown as tf.NamedAttrMap) as unknown as [
      tf.Tensor,
      tf.Tensor,
    ];
    const perRow = options.granularity === 'colwise' || options.granularity === 'block';
    return {codes: tf.reshape(codes, x.shape), scales: perRow ? tf.reshape(scales, [...lead, scales.shape[1] as number]) : scales};
  });
}

export interface Fp8ScaledMatMulOptions {
  /** Default: the weight's own 8-bit type, e4m3fn where it is not one. */
  dtype?: InputType;
  /** The static scale: a number, or a tensor of the shape of its granularity. Needed with origin 'static', and only there. */
  inputScale?: number | tf.Tensor;
  /** 'static': inputScale; 'dynamic': from x itself. */
  inputOrigin: 'static' | 'dynamic';
  /** Which entries of x share a scale; see InputGranularity. */
  inputGranularity: InputGranularity;
  /** Columns of a block of x, with inputGranularity 'block'. Default: those of the weight's own blocks or groups, else 128. */
  block?: number;
  /** dynamic: upper bound of amax. Honoured (MAX reads it and drops it). */
  activationScaleUb?: number;
  /** [N] float32, added after the scales. Default null: none. */
  bias?: tf.Tensor | null;
  /** 'bfloat16' rounds y (held as float32), as MAX's op does. Default 'float32'. */
  outputDtype?: 'float32' | 'bfloat16';
  /** Multiply by the reciprocal of the scale, as MAX's static path does. */
  reciprocal?: boolean;
}

const OPTIONS = 'dtype inputScale inputOrigin inputGranularity block activationScaleUb bias outputDtype reciprocal'.split(' ');
const FLOAT8 = ['float8_e4m3fn', 'float8_e5m2', 'float8_e4m3fnuz', 'float8_e5m2fnuz'] as const;

/**
 * x [..., K] rounded to 8-bit floats, times a packed weight N x K of any layout, float32 sums, plus bias -> [..., N].
 * The weight's own scales (tensor, output channel, input column, block) are part of it. Source: MAX `quantize_static_scaled_float8`,
 * `dynamic_scaled_matmul`; here every granularity of x goes with every one of W.
 *
 * ```js
 * const layer = new tfl.Linear({inDim: 2, outDim: 1, float8Config: {
 *   inputScale: {granularity: 'tensor', origin: 'dynamic'}, weightScale: {granularity: 'tensor'},
 * }});
 * layer.loadStateDict({weight: tf.tensor2d([[1, 2]]), weight_scale: tf.scalar(0.5)});
 * tfl.ops.fp8ScaledMatMul(tf.tensor2d([[448, 448]]), layer.weight, {inputOrigin: 'dynamic', inputGranularity: 'tensor'}).print(); // [[672]]
 * ```
 */
export function fp8ScaledMatMul(x: tf.Tensor, weight: QuantizedWeight, options: Fp8ScaledMatMulOptions): tf.Tensor {
  const where = 'fp8ScaledMatMul';
  checkOptions(where, options, OPTIONS);
  checkWeight(weight, where);
  const {outputDtype = 'float32'} = options;
  if (outputDtype !== 'float32' && outputDtype !== 'bfloat16') {
    throw new ArgumentError({where: `${where}: outputDtype`, expected: 'float32 or bfloat16', received: outputDtype});
  }
  const {decode} = weight.layout;
  const block = options.block ?? (options.inputGranularity === 'block' ? blockColumns(weight) : undefined);
  const own = decode.kind === 'float' ? FLOAT8.find((t) => t === decode.type) : undefined;
  const inputQuantization: InputQuantization = {
    dtype: options.dtype ?? own ?? 'float8_e4m3fn',
    origin: options.inputOrigin,
    granularity: options.inputGranularity,
    ...(block === undefined ? {} : {block}),
    ...(options.inputScale === undefined ? {} : {scale: options.inputScale}),
    ...(options.activationScaleUb === undefined ? {} : {scaleUb: options.activationScaleUb}),
    ...(options.reciprocal === undefined ? {} : {reciprocal: options.reciprocal}),
  };
  const bfloat16Output = outputDtype === 'bfloat16';
  return quantizedMatMul(x, weight, {bias: options.bias ?? null, inputQuantization, bfloat16Output});
}

/** Columns that share a scale of the weight, where that is neither one nor all of them. */
function blockColumns({layout, inDim}: QuantizedWeight): number {
  const columns = layout.scales[0]?.grid.columns ?? inDim;
  return columns > 1 && columns < inDim ? columns : BLOCK;
}
