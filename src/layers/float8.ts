/** Linear with 8-bit float weights from a Float8Config: its layout, its values, its scales. */
import * as tf from '@tensorflow/tfjs';
import {levelNumber} from '../../kernels/cpu/row.js';
import {decodeTable, encodeFloat, toBfloat16} from '../../kernels/float_codes.js';
import type {InputQuantization} from '../../kernels/input_quantization.js';
import {floatLayout, grid, type Level, type LevelType, type WeightLayout} from '../../kernels/layout.js';
import {allocateWords, packCodes, partsOf} from '../../kernels/words.js';
import {type Float8Config, Float8ScaleGranularity} from '../config/float8.js';
import {ArgumentError, ShapeError, UnsupportedError} from '../errors.js';

/** Codes e4m3fn [N, K], one level of scales as the config says. */
export function float8Layout(config: Float8Config, outDim: number, inDim: number): WeightLayout {
  const {weightScale} = config;
  const [rows, columns] = {
    [Float8ScaleGranularity.TENSOR]: [outDim, inDim],
    [Float8ScaleGranularity.ROWWISE]: [1, inDim],
    [Float8ScaleGranularity.COLWISE]: [outDim, 1],
    [Float8ScaleGranularity.BLOCK]: weightScale.blockSize ?? [1, 1],
  }[weightScale.granularity] as [number, number];
  const scale = {grid: grid(outDim, inDim, Math.max(1, rows), columns), type: weightScale.dtype as LevelType, divide: false};
  return floatLayout('float8_e4m3fn', outDim, inDim, [scale]);
}

/** Shapes a weight scale may have. */
function weightScaleShapes(config: Float8Config, n: number, k: number): number[][] {
  const {granularity, blockSize} = config.weightScale;
  switch (granularity) {
    case 'tensor':
      return [[], [1]];
    case 'rowwise':
      return [[n], [n, 1]];
    case 'colwise':
      return [[k], [1, k]];
    case 'block': {
      const [bn, bk] = blockSize as readonly [number, number];
      return [[Math.ceil(n / bn), Math.ceil(k / bk)]];
    }
  }
}

function checkShapes(t: tf.Tensor, allowed: readonly number[][], where: string): void {
  if (allowed.some((s) => s.length === t.rank && s.every((d, i) => d === t.shape[i]))) return;
  throw new ShapeError({where, expected: allowed.map((s) => `[${s}]`).join(' or '), received: `[${t.shape}]`});
}

/**
 * Words of an fp8 weight. weight [N, K]: float32 numbers that e4m3fn has, or int32 codes 0..255. scale: float32, of a shape of its granularity.
 * Throws ShapeError, and ArgumentError with the place of a number that e4m3fn does not have, a NaN, or a scale that is not finite.
 */
export function float8Words(config: Float8Config, layout: WeightLayout, weight: tf.Tensor, scale: tf.Tensor, where: string): Int32Array {
  const {outDim, inDim} = layout;
  checkShapes(weight, [[outDim, inDim]], `${where}: weight`);
  checkShapes(scale, weightScaleShapes(config, outDim, inDim), `${where}: weight_scale`);
  const values = weight.dataSync();
  const table = decodeTable('float8_e4m3fn');
  const codes = new Uint8Array(outDim * inDim);
  for (let i = 0; i < codes.length; i++) {
    const value = values[i] as number;
    const code = weight.dtype === 'int32' ? value : encodeFloat('float8_e4m3fn', value);
    const exact = weight.dtype === 'int32' ? Number.isInteger(code) && code >= 0 && code <= 255 : table[code] === value;
    if (!exact || Number.isNaN(table[code] as number)) {
      throw new ArgumentError({
        where: `${where}: weight[${Math.floor(i / inDim)}, ${i % inDim}]`,
        expected: weight.dtype === 'int32' ? 'an e4m3fn code other than NaN' : 'a number that float8_e4m3fn has',
        received: value,
        remedy: 'Divide by the scale and round first (ops.fp8Quantize), or pack a float model with quantizeModel.',
      });
    }
    codes[i] = code;
  }
  const words = allocateWords(layout);
  const parts = partsOf(layout, words);
  packCodes(layout, parts, codes);
  const level = layout.scales[0] as Level;
  const scales = scale.dataSync();
  for (let i = 0; i < scales.length; i++) {
    const value = scales[i] as number;
    if (!Number.isFinite(value))
      throw new ArgumentError({where: `${where}: weight_scale[${i}]`, expected: 'a finite number', received: value});
    (parts.scales[0] as Float32Array)[i] =
      level.type === 'bfloat16' ? toBfloat16(value) : level.type === 'float16' ? encodeFloat('float16', value) : value;
  }
  return words;
}

/** The weight's scales as float32: [] (tensor), [N, 1], [1, K] or the blocks' grid. */
export function weightScaleOf(config: Float8Config, layout: WeightLayout, words: Int32Array): tf.Tensor {
  const level = layout.scales[0] as Level;
  const stored = partsOf(layout, words).scales[0] as ArrayLike<number>;
  const values = Float32Array.from({length: stored.length}, (_, i) => levelNumber(level, stored as Float32Array, i));
  return tf.tensor(values, config.weightScale.isTensor ? [] : [...level.grid.shape], 'float32');
}

/** How x is rounded under this config, without a static scale: that is a weight. */
export function inputQuantizationOf(config: Float8Config): InputQuantization {
  const {granularity, origin, activationScaleUb, blockSize} = config.inputScale;
  return {
    dtype: 'float8_e4m3fn',
    origin,
    granularity,
    ...(blockSize === null ? {} : {block: blockSize}),
    ...(activationScaleUb === null ? {} : {scaleUb: activationScaleUb}),
  };
}

/** Shape of a layer's stored input scale; null: dynamic. Throws UnsupportedError where it would depend on the rows of x. */
export function inputScaleShape(config: Float8Config, inDim: number, where: string): number[] | null {
  const {granularity, origin} = config.inputScale;
  if (origin === 'dynamic') return null;
  if (granularity === 'block') {
    throw new UnsupportedError({
      where: `${where}: float8Config`,
      expected: 'a static input scale that does not depend on the rows of x',
      received: 'static BLOCK',
      remedy: 'Use ops.fp8ScaledMatMul with a scale [M, ceil(K / block)], or a dynamic origin.',
    });
  }
  return granularity === 'rowwise' ? [inDim] : [];
}
