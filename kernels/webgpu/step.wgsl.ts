/** What the columns of one step share in one row of W: scale, zero and offset. */
import type {WeightLayout} from '../layout.js';
import {type Numbers, weighted, weightedName} from './numbers.wgsl.js';

/**
 * The step of row `n` that begins at stored column `j`, in variables of the row's number `r`. A weight is
 * (number - zero) * scale + offset; all expressions are at the weights of x.
 */
export function stepOf(layout: WeightLayout, numbers: Numbers, r: number | string) {
  const hasOffset = layout.offsets.length > 0;
  const zero = layout.zero.kind === 'codes' ? `z${r}` : null;
  const number = (i: number, words: (plane: number, word: number) => string) => numbers.expression(i, words, zero);
  return {
    scale: `s${r}`,
    /** Declares scale, zero and offset. */
    declare(n: string, j: string): string {
      const scale = layout.scales.length === 0 ? '1.0' : `scale_of(${n}, ${j})`;
      const lines = [`let s${r} = ${layout.scales[0]?.divide === true ? `1.0 / ${scale}` : scale};`];
      if (zero !== null) lines.push(weighted(numbers, zero, `f32(zero_of(${n}, ${j}))`));
      if (hasOffset) lines.push(weighted(numbers, `o${r}`, `offset_of(${n}, ${j})`));
      return lines.join(' ');
    },
    /** (number - zero) of columns 4i..4i+3. */
    number,
    /** The weights themselves. */
    value(i: number, words: (plane: number, word: number) => string): string {
      return hasOffset ? `fma(${number(i, words)}, vec4<f32>(s${r}), ${weightedName(numbers, `o${r}`, i)})` : `${number(i, words)} * s${r}`;
    },
  };
}
