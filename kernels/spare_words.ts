/** Memory of records that a device has its own copy of, for the records that come next: touching fresh memory costs more than lowering into it. */

import type {WeightLayout} from './layout.js';
import {hostRecord, type RecordMemory, type RecordWords} from './record_words.js';

/** Held at most. */
const MOST_BYTES = 32 * 2 ** 20;

export class SpareWords implements RecordMemory {
  /** The one given first at the front. */
  private held: Int32Array[] = [];

  /** Words, zeroed from the one at `from` on. A model has few sizes of weights, so memory of just this one is there or will not be. */
  take(length: number, from = 0): Int32Array {
    const at = this.held.findIndex((words) => words.length === length);
    if (at === -1) return new Int32Array(length);
    const [words] = this.held.splice(at, 1) as [Int32Array];
    return words.fill(0, from);
  }

  record(layout: WeightLayout, overwritten?: boolean): RecordWords {
    return hostRecord(layout, this, overwritten);
  }

  /** Words that nobody reads any more. */
  give(words: Int32Array): void {
    if (words.byteLength !== words.buffer.byteLength) return;
    this.held.push(words);
    let bytes = this.held.reduce((sum, {byteLength}) => sum + byteLength, 0);
    while (bytes > MOST_BYTES) bytes -= (this.held.shift() as Int32Array).byteLength;
  }

  clear(): void {
    this.held = [];
  }
}
