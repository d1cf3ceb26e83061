/** Arguments of quantizeModel, checked. */
import type * as tf from '@tensorflow/tfjs';
import {checkOptions} from '../arguments.js';
import {checkGroupSize} from '../config/quantization.js';
import {ArgumentError, didYouMean} from '../errors.js';
import type {QuantizeMode, Rounding} from './round.js';

export interface QuantizeConfig {
  /**
   * int8 (one scale an output channel), int4 (groups of 128 inputs), float8 (e4m3fn, one scale an output channel), float16, bfloat16.
   * Source of the names: `keras.Model.quantize`.
   */
  mode: QuantizeMode;
  /** int8 and int4: inputs that share a scale, the last group short where it does not divide; -1: one scale an output channel. */
  groupSize?: number;
}

/** Regular expressions (search, not match) on a layer's path, any of which must fit; or a function. */
export type LayerFilter = string | RegExp | readonly (string | RegExp)[] | ((layer: tf.layers.Layer, path: string) => boolean);

export interface QuantizeOptions {
  /** Which of the Dense layers to quantise, by path ('block/up'). Default: all. */
  filters?: LayerFilter;
  /** Called after each layer. */
  onProgress?: (progress: {path: string; done: number; total: number}) => void;
  /** Stops between two layers: the promise is rejected with the signal's reason, and nothing is left. */
  signal?: AbortSignal;
}

export const QUANTIZE_OPTIONS: readonly (keyof QuantizeOptions)[] = ['filters', 'onProgress', 'signal'];

const MODES: readonly QuantizeMode[] = ['int8', 'int4', 'float8', 'float16', 'bfloat16'];

/** Throws ArgumentError for an unknown mode or option, and for a group size where the mode has no groups. */
export function checkConfig(config: QuantizeConfig): Rounding {
  const where = 'quantizeModel';
  checkOptions(where, config, ['mode', 'groupSize']);
  const {mode, groupSize} = config;
  if (!MODES.includes(mode)) {
    throw new ArgumentError({where: `${where}: mode`, expected: MODES.join(', '), received: `${mode}.${didYouMean(String(mode), MODES)}`});
  }
  if (groupSize === undefined) return {mode, groupSize: mode === 'int4' ? 128 : -1};
  checkGroupSize(`${where}: groupSize`, groupSize);
  if (mode !== 'int8' && mode !== 'int4') {
    throw new ArgumentError({where: `${where}: groupSize`, expected: `none with mode '${mode}'`, received: groupSize});
  }
  return {mode, groupSize};
}

/** Throws ArgumentError for what is no filter, or a pattern that is no regular expression. */
export function checkFilter(filter: LayerFilter | undefined): void {
  if (filter === undefined || typeof filter === 'function') return;
  const patterns = Array.isArray(filter) ? filter : [filter];
  const bad = patterns.find((pattern) => !(pattern instanceof RegExp || (typeof pattern === 'string' && isPattern(pattern))));
  if (bad === undefined && patterns.length > 0) return;
  const received = patterns.length === 0 ? 'an empty list' : bad;
  throw new ArgumentError({where: 'quantizeModel: filters', expected: 'regular expressions, or a function', received});
}

function isPattern(source: string): boolean {
  try {
    return new RegExp(source) instanceof RegExp;
  } catch {
    return false;
  }
}

export function passes(filter: LayerFilter | undefined, layer: tf.layers.Layer, path: string): boolean {
  if (filter === undefined) return true;
  if (typeof filter === 'function') return filter(layer, path);
  const patterns = typeof filter === 'string' || filter instanceof RegExp ? [filter] : filter;
  // A fresh expression: one with the flag g remembers where it stopped.
  return patterns.some((pattern) => new RegExp(pattern).test(path));
}
