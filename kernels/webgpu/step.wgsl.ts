/** What the columns of one step share in one row of W: its scale, its zero, and what it adds for each unit of x. */
import type {WeightLayout} from '../layout.js';
import {centerOf} from './chunk.js';
import {type Numbers, weighted, weightedName} from './numbers.wgsl.js';

export type Step = ReturnType<typeof stepOf>;

/**
 * The step of row `n` that begins at stored column `j`, in variables of the row's number `r`. A weight is
 * (number - zero) * scale + term.
 */
export function stepOf(layout: WeightLayout, numbers: Numbers, r: number | string) {
  const center = centerOf(layout);
  const hasTerm = layout.offsets.length > 0;
  const hasZero = layout.zero.kind === 'codes';
  const zero = hasZero ? `z${r}` : null;
  const head = (n: string, j: string) => {
    const scale = layout.scales.length === 0 ? '1.0' : `scale_of(${n}, ${j})`;
    const lines = [`let s${r} = ${layout.scales[0]?.divide === true ? `1.0 / ${scale}` : scale};`];
    if (hasZero) lines.push(weighted(numbers, `z${r}`, `f32(zero_of(${n}, ${j}))`));
    if (hasTerm) lines.push(`let t${r} = offset_of(${n}, ${j})${center === 0 ? '' : ` + s${r} * ${center}.0`};`);
    return lines.join(' ');
  };
  return {
    hasTerm,
    scale: `s${r}`,
    term: `t${r}`,
    /** Declares scale, zero and term. */
    declare: head,
    /** The same, for `value`. */
    declareWeighted: (n: string, j: string) => `${head(n, j)}${hasTerm ? ` ${weighted(numbers, `o${r}`, `t${r}`)}` : ''}`,
    /** (number - zero) of columns 4i..4i+3, at their weights. */
    number: (i: number, words: (plane: number, word: number) => string) => numbers.expression(i, words, zero),
    /** The weights themselves, at their weights; after declareWeighted. */
    value: (i: number, words: (plane: number, word: number) => string) => {
      const scaled = `${numbers.expression(i, words, zero)} * s${r}`;
      return hasTerm ? `fma(${numbers.expression(i, words, zero)}, vec4<f32>(s${r}), ${weightedName(numbers, `o${r}`, i)})` : scaled;
    },
  };
}
