/** What quantizeModel did. */
import type {QuantizeMode} from './round.js';

export interface QuantizedLayer {
  /** Names from the model down, joined by '/'. */
  readonly path: string;
  /** Class of the layer in the source model. */
  readonly className: string;
  /** N, K */
  readonly outDim: number;
  readonly inDim: number;
  /** Weight and bias in the source. */
  readonly bytesBefore: number;
  /** Weight with its scales, and bias. */
  readonly bytesAfter: number;
  /** Largest |w - w'|. */
  readonly maxError: number;
  /** |W - W'| / |W|, 2-norm. */
  readonly relativeError: number;
  /** Settings of the source layer that have no meaning for a weight that does not train. */
  readonly dropped: readonly string[];
}

export interface SkippedLayer {
  readonly path: string;
  readonly className: string;
  readonly reason: string;
  /** Bytes of its weights, which the new model has as they were. */
  readonly bytes: number;
}

export interface QuantizeReport {
  readonly mode: QuantizeMode;
  /** null where the mode has no groups; -1: one scale an output channel. */
  readonly groupSize: number | null;
  readonly layers: readonly QuantizedLayer[];
  /** Every other layer that has weights. */
  readonly skipped: readonly SkippedLayer[];
  /** All weights of the source model and of the new one. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}
