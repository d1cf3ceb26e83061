/** What the columns of one step share in one row of W: scale, zero and offset. */
import type {WeightLayout} from '../layout.js';
import {DEVICE_ARITHMETIC, hoisted, levelsExpression} from './grids.wgsl.js';
import {type Numbers, type Words, weighted, weightedName} from './numbers.wgsl.js';
import type {Params} from './params.js';

/**
 * The steps of a shader. A weight is (number - zero) * scale + offset; all expressions are at the weights of x.
 * @param flagged NaN codes are told apart from the numbers (Numbers.flagged), where the weight has them
 */
export function stepsOf(layout: WeightLayout, numbers: Numbers, params: Params, flagged: boolean) {
  const {once, row, column, read} = hoisted(layout, params);
  const hasOffset = layout.offsets.length > 0;
  const zeroOf = (r: number | string) => (layout.zero.kind === 'codes' ? `z${r}` : null);
  const number = (r: number | string, i: number, words: Words) =>
    (flagged ? numbers.flagged?.expression(i, words) : undefined) ?? numbers.expression(i, words, zeroOf(r));
  return {
    /** To be declared once, once a row (number r, row n), and once a step of columns that begins at j. */
    once,
    row,
    column,
    /** Declares scale, zero and offset of row r, after the three above. */
    declare(r: number | string): string {
      const reads = (name: string) => read(r, name);
      const scale = layout.scales.length === 0 ? '1.0' : levelsExpression(layout, 'scale', DEVICE_ARITHMETIC, reads);
      const lines = [`let s${r} = ${layout.scales[0]?.divide === true ? `1.0 / ${scale}` : scale};`];
      const zero = zeroOf(r);
      if (zero !== null) lines.push(weighted(numbers, zero, `f32(${reads('zero')})`, true));
      if (hasOffset) lines.push(weighted(numbers, `o${r}`, levelsExpression(layout, 'offset', DEVICE_ARITHMETIC, reads)));
      return lines.join(' ');
    },
    scale: (r: number | string) => `s${r}`,
    /** (number - zero) of columns 4i..4i+3. */
    number,
    /** The weights themselves. */
    value(r: number | string, i: number, words: Words): string {
      const text = number(r, i, words);
      return hasOffset ? `fma(${text}, vec4<f32>(s${r}), ${weightedName(numbers, `o${r}`, i)})` : `${text} * s${r}`;
    },
  };
}
