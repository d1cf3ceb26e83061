/** Bytes held by packed weights, per backend, beside tf.memory(). */
import * as tf from '@tensorflow/tfjs';
import {holderNameOf} from './holder.js';
import {sectionsOf, type WeightLayout} from './layout.js';

interface Entry {
  readonly bytes: number;
  readonly float32Bytes: number;
  readonly backendName: string;
}

export interface MemoryInfo extends tf.MemoryInfo {
  /** Bytes of packed weights alive: codes, scales, zeros and orders. Part of numBytes. */
  codesBytes: number;
  /** What the same weights would take as float32. */
  float32Bytes: number;
  /** codesBytes by the backend that holds each weight now. */
  codesBytesByBackend: Record<string, number>;
}

const live = new Map<tf.Tensor, Entry>();

/** Counts `words` until it is disposed. A tensor counted before keeps its first entry. */
export function track(words: tf.Tensor, layout: WeightLayout, backendName: string): void {
  if (live.has(words)) return;
  live.set(words, {bytes: sectionsOf(layout).length * 4, float32Bytes: layout.outDim * layout.inDim * 4, backendName});
}

/**
 * tf.memory() plus what packed weights hold.
 *
 * ```js
 * const before = tfl.memory().codesBytes;
 * const layer = new tfl.Linear({inDim: 64, outDim: 2, quantizationEncoding: 'Q4_0'});
 * tfl.memory().codesBytes - before; // 72
 * ```
 */
export function memory(): MemoryInfo {
  let codesBytes = 0;
  let float32Bytes = 0;
  const codesBytesByBackend: Record<string, number> = {};
  for (const [words, entry] of live) {
    if (words.isDisposed) {
      live.delete(words);
      continue;
    }
    codesBytes += entry.bytes;
    float32Bytes += entry.float32Bytes;
    const holder = holderNameOf(words) ?? entry.backendName;
    codesBytesByBackend[holder] = (codesBytesByBackend[holder] ?? 0) + entry.bytes;
  }
  return {...tf.memory(), codesBytes, float32Bytes, codesBytesByBackend};
}
