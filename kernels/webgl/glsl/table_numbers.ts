/** GLSL for 4-bit codes that stand for 16 numbers of a table: a polynomial where one is near, else looked up. */
import {maskFields} from '../../fields.js';
import {polynomialText, roundedPolynomial} from '../../rounded_polynomial.js';
import {maskedField} from './integer_numbers.js';
import type {Params} from './params.js';

const VECTORS = [0, 1];

/** The functions that `tableNumbers` calls. */
export function tableFunctions(table: readonly number[], params: Params): string {
  const polynomial = roundedPolynomial(table);
  if (polynomial === null) {
    params.table = table;
    const entry = (l: string) => `decode_table[c.${l} >> 2][c.${l} & 3u]`;
    return `vec4 table4(uvec4 c) { return vec4(${[...'xyzw'].map(entry).join(', ')}); }\n`;
  }
  return VECTORS.map((v) => {
    const field = maskFields(4, v);
    return `vec4 numbers_${v}(uint w) { vec4 t = ${maskedField(field, 'w')}; return ${polynomialText(polynomial, field, 'vec4')}; }\n`;
  }).join('');
}

/** The vec4 of numbers of codes 4v..4v+3 of a run, that lie in `word`; `codes` is the text of their uvec4. */
export function tableNumbers(table: readonly number[], v: number, word: string, codes: string): string {
  return roundedPolynomial(table) === null ? `table4(${codes})` : `numbers_${v % VECTORS.length}(${word})`;
}
