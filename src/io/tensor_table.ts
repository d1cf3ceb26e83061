/** What is known of a checkpoint's tensors once all headers are read. */
import type {ByteSource} from './source.js';

export interface TensorInfo {
  readonly name: string;
  /** The file's own spelling: 'F32', 'BF16', 'F8_E4M3' in safetensors, 'F16', 'Q4_1' in GGUF. */
  readonly dtype: string;
  /** Outermost dimension first: [N, K]. */
  readonly shape: readonly number[];
  readonly byteLength: number;
  readonly container: 'safetensors' | 'gguf';
  readonly file: string;
}

export interface StoredTensor extends TensorInfo {
  readonly source: ByteSource;
  /** First byte in the file. */
  readonly begin: number;
}

export interface TensorTable {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** Headers of so many files are read at a time: enough to hide a server's delay, few enough for a browser's connections. */
const AT_A_TIME = 6;

/**
 * `work` on each item, a few at a time; results in the items' order. After a failure no more are begun, and it is thrown once
 * those begun have ended: what they opened can be closed then.
 */
export async function forEachFile<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const index = next++;
      try {
        results[index] = await work(items[index] as T);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({length: Math.min(AT_A_TIME, items.length)}, worker));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return results;
}
