/** Layouts that are nothing but words: one row of unscaled integer codes. */
import type {WeightLayout} from '../../kernels/layout.js';

/** `count` words of codes of so many bits, [1, count * 32 / bits]. */
export function layoutWords(count: number, bits = 4): WeightLayout {
  return {
    outDim: 1,
    inDim: (count * 32) / bits,
    planes: [bits],
    decode: {kind: 'integer'},
    zero: {kind: 'none'},
    scales: [],
    offsets: [],
    ordered: false,
    indexed: false,
  };
}
