/** Encodings of quantised weights, and the sizes of their blocks. */
import {ArgumentError, didYouMean} from '../errors.js';

/**
 * Names of encodings, as `quantizationEncoding` of a layer takes them. Values are MAX's and ggml's spellings.
 * Source: `max.graph.quantization.QuantizationEncoding`, which has the first four and GPTQ.
 */
export const QuantizationEncoding = {
  Q4_0: 'Q4_0',
  Q4_K: 'Q4_K',
  Q5_K: 'Q5_K',
  Q6_K: 'Q6_K',
  Q4_1: 'Q4_1',
  Q5_0: 'Q5_0',
  Q5_1: 'Q5_1',
  Q8_0: 'Q8_0',
  Q2_K: 'Q2_K',
  Q3_K: 'Q3_K',
  IQ4_NL: 'IQ4_NL',
  IQ4_XS: 'IQ4_XS',
  MXFP4: 'MXFP4',
  NVFP4: 'NVFP4',
  TQ1_0: 'TQ1_0',
  TQ2_0: 'TQ2_0',
  GPTQ: 'GPTQ',
} as const;

export type QuantizationEncoding = (typeof QuantizationEncoding)[keyof typeof QuantizationEncoding];

export interface EncodingInfo {
  /** Values in a block, or null where the encoding has no blocks (GPTQ: its config says the width and the group). */
  readonly elementsPerBlock: number | null;
  readonly bytesPerBlock: number | null;
  readonly isGguf: boolean;
}

const block = (elementsPerBlock: number, bytesPerBlock: number): EncodingInfo =>
  Object.freeze({elementsPerBlock, bytesPerBlock, isGguf: true});

const INFO: Readonly<Record<QuantizationEncoding, EncodingInfo>> = {
  Q4_0: block(32, 18),
  Q4_K: block(256, 144),
  Q5_K: block(256, 176),
  Q6_K: block(256, 210),
  Q4_1: block(32, 20),
  Q5_0: block(32, 22),
  Q5_1: block(32, 24),
  Q8_0: block(32, 34),
  Q2_K: block(256, 84),
  Q3_K: block(256, 110),
  IQ4_NL: block(32, 18),
  IQ4_XS: block(256, 136),
  MXFP4: block(32, 17),
  NVFP4: block(64, 36),
  TQ1_0: block(256, 54),
  TQ2_0: block(256, 66),
  GPTQ: Object.freeze({elementsPerBlock: null, bytesPerBlock: null, isGguf: false}),
};

/**
 * Block sizes of an encoding. Throws ArgumentError for a name that is none.
 *
 * ```js
 * tfl.encodingInfo(tfl.QuantizationEncoding.Q4_K); // {"elementsPerBlock": 256, "bytesPerBlock": 144, "isGguf": true}
 * ```
 */
export function encodingInfo(encoding: QuantizationEncoding): EncodingInfo {
  const info = Object.hasOwn(INFO, encoding) ? INFO[encoding] : undefined;
  if (info !== undefined) return info;
  const names = Object.keys(INFO);
  throw new ArgumentError({
    where: 'quantization encoding',
    expected: `one of ${names.join(', ')}`,
    received: `'${encoding}'.${didYouMean(encoding, names)}`,
  });
}
