/** Where a packed layer's numbers came from: what saving them in the same layout needs. Plain data, part of a layer's config. */
import type {Origin} from '../formats/format.js';

export interface PartOrigin {
  /** Rows of the layer that this part is, in order. */
  readonly rows: number;
  /** The format and its details. */
  readonly origin: Origin;
  /** The file's dtype of the bias, or null without one. */
  readonly biasType: string | null;
}

export interface LayerOrigin {
  /** The checkpoint's quantisation config as parsed JSON, or null. */
  readonly quantization: Readonly<Record<string, unknown>> | null;
  /** One, or one for each of several weights stacked by rows. */
  readonly parts: readonly PartOrigin[];
}
