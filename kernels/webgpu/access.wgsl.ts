/**
 * WGSL functions that read one weight by (row n, stored column j): its codes, numbers and values, and the order of its columns.
 * Structure is in the text (so that divisions are by constants and absent parts cost nothing), sizes are in uniforms (so
 * that one pipeline serves all weights of a structure).
 */
import {FLOAT_FORMATS} from '../float_codes.js';
import {codeBits, sectionsOf, type WeightLayout} from '../layout.js';
import {floatBitsFunction} from './float_bits.wgsl.js';
import {type Arithmetic, codeReader, gridFunctions, levelsExpression, planeStartNames, readWhole} from './grids.wgsl.js';
import type {Params} from './params.js';

/** A word by its place in the weight's tensor: the binding may begin elsewhere, in a weight over the binding limit. */
export const WORD_READER = `fn word(at: u32) -> u32 { return words[at - params.words_base]; }
`;

/** Adds where bindings begin. */
export function addBases(params: Params): void {
  params.add('words_base', 0);
  params.add('codes_base', 0);
}

/** What every kernel reads with: scales, offsets and zeros (grids.wgsl.ts), and `column_of(j)`, the place of stored column j in x. */
export function accessFunctions(layout: WeightLayout, params: Params): string {
  const sections = sectionsOf(layout);
  addBases(params);
  params.add('row_words', sections.rowWords);
  planeStartNames('plane', sections.planeStarts, params);
  const groupIndex = layout.indexed ? params.add('group_index_start', sections.groupIndex.start) : '';
  const column = layout.ordered ? `word(${params.add('order_start', sections.order.start)} + j)` : 'j';
  return `${WORD_READER}${gridFunctions(layout, params, groupIndex)}fn column_of(j: u32) -> u32 { return ${column}; }\n`;
}

/** `fn number_of(code: u32) -> f32` and, for a decode that gives bits, `fn number_bits(code: u32) -> u32`; or `fn difference(code, zero)`. */
function numberFunctions(layout: WeightLayout, params: Params): string {
  const {decode, zero} = layout;
  if (decode.kind === 'table') {
    const table = params.addTable(decode.table);
    return `fn number_of(code: u32) -> f32 { return ${table}[code >> 2u][code & 3u]; }\n`;
  }
  if (decode.kind === 'float') {
    const bits =
      decode.type === 'float32'
        ? 'fn number_bits(code: u32) -> u32 { return code; }\n'
        : floatBitsFunction('number_bits', FLOAT_FORMATS[decode.type]);
    return `${bits}fn number_of(code: u32) -> f32 { return bitcast<f32>(number_bits(code)); }\n`;
  }
  if (zero.kind === 'none') return 'fn number_of(code: u32) -> f32 { return f32(code); }\n';
  if (codeBits(layout) <= 16) return 'fn difference(code: u32, zero: u32) -> f32 { return f32(i32(code) - i32(zero)); }\n';
  return 'fn difference(code: u32, zero: u32) -> f32 { return select(f32(code - zero), -f32(zero - code), code < zero); }\n';
}

/**
 * `fn value_of(n: u32, j: u32) -> f32`: (number - zero) * scale + offset; and `fn bits_of(n, j) -> u32`, its bits. A float
 * without scale is moved as bits: its subnormals and NaNs arrive as they are.
 */
export function valueFunctions(layout: WeightLayout, params: Params, math: Arithmetic): string {
  const starts = planeStartNames('plane', sectionsOf(layout).planeStarts, params);
  const code = 'code_at(n * params.row_words - params.codes_base, j)';
  const parts = [codeReader('code_at', 'codes', layout.planes, starts), numberFunctions(layout, params)];
  const read = (name: string) => readWhole(params, layout, name);
  const {zero} = layout;
  let value = `number_of(${code})`;
  if (layout.decode.kind === 'integer' && zero.kind !== 'none') {
    value = `difference(${code}, ${zero.kind === 'codes' ? read('zero') : params.add('zero_value', zero.value)})`;
  }
  if (layout.scales.length > 0) {
    const scale = levelsExpression(layout, 'scale', math, read);
    value = layout.scales[0]?.divide === true ? math.divide(value, scale) : math.multiply(value, scale);
  }
  if (layout.offsets.length > 0) value = `${value} + ${levelsExpression(layout, 'offset', math, read)}`;
  parts.push(`fn value_of(n: u32, j: u32) -> f32 { return ${value}; }\n`);
  const raw = layout.decode.kind === 'float' && layout.scales.length === 0 && layout.offsets.length === 0;
  parts.push(`fn bits_of(n: u32, j: u32) -> u32 { return ${raw ? `number_bits(${code})` : 'bitcast<u32>(value_of(n, j))'}; }\n`);
  return parts.join('');
}
