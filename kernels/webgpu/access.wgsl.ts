/**
 * WGSL functions that read one weight's parts by (row n, stored column j): codes, zeros, scales, offsets, order.
 * Structure is in the text (so that divisions are by constants and absent parts cost nothing), sizes are in uniforms (so
 * that one pipeline serves all weights of a structure).
 */
import {FLOAT_FORMATS} from '../float_codes.js';
import {codeBits, type Grid, LEVEL_BYTES, type Level, type LevelType, sectionsOf, type WeightLayout} from '../layout.js';
import {e8m0BitsFunction, floatBitsFunction} from './float_bits.wgsl.js';
import type {Params} from './params.js';

/** Words are read through two views, which a weight over the binding limit puts at different places. */
export const WORD_READER = `fn word(at: u32) -> u32 { return words[at - params.words_base]; }
`;

const WORD_READERS = `${WORD_READER}fn code_word(at: u32) -> u32 { return codes[at - params.codes_base]; }
`;

/** Adds what the readers read. */
export function addBases(params: Params): void {
  params.add('words_base', 0);
  params.add('codes_base', 0);
}

const f32 = 'bitcast<f32>';

/** `fn NAME(at: u32) -> f32`: entry `at` of a level that starts at word `start`. */
function levelReader(name: string, type: LevelType, start: string): string {
  const perWord = 4 / LEVEL_BYTES[type];
  const bits = 32 / perWord;
  const body = (text: string) => `fn ${name}(at: u32) -> f32 { ${text} }\n`;
  if (perWord === 1) return body(`return ${f32}(word(${start} + at));`);
  const stored = `let stored = (word(${start} + at / ${perWord}u) >> ((at & ${perWord - 1}u) * ${bits}u)) & ${2 ** bits - 1}u;`;
  switch (type) {
    case 'bfloat16':
      return body(`${stored} return ${f32}(stored << 16u);`);
    case 'uint8':
      return body(`${stored} return f32(stored);`);
    case 'int8':
      return body(`${stored} return f32(i32(stored << 24u) >> 24u);`);
    case 'float8_e8m0fnu':
      return body(`${stored} return ${f32}(bits_${type}(stored));`);
    default:
      return body(`${stored} return ${f32}(bits_${type}(stored));`);
  }
}

/** `fn NAME(n: u32, j: u32) -> u32`: the entry of a grid for weight (n, j). */
function entryReader(name: string, grid: Grid, params: Params, groupIndex: string): string {
  const [rows, columns] = grid.shape;
  const phase = (axis: string, value: number) => (value === 0 ? axis : `(${axis} + ${params.add(`${name}_${axis}_phase`, value)})`);
  const row = rows === 1 ? '0u' : grid.rows === 1 ? 'n' : `${phase('n', grid.rowPhase)} / ${grid.rows}u`;
  const column = columns === 1 ? '0u' : grid.indexed ? `word(${groupIndex} + j)` : `${phase('j', grid.columnPhase)} / ${grid.columns}u`;
  const width = columns === 1 ? '1u' : params.add(`${name}_width`, columns);
  return `fn ${name}(n: u32, j: u32) -> u32 { return (${row}) * ${width} + ${column}; }\n`;
}

/** How values are multiplied and divided: exactly as IEEE 754, or as the device does. */
export interface Arithmetic {
  multiply(a: string, b: string): string;
  divide(a: string, b: string): string;
}

export const EXACT_ARITHMETIC: Arithmetic = {
  multiply: (a, b) => `exact_multiply(${a}, ${b})`,
  divide: (a, b) => `exact_divide(${a}, ${b})`,
};

export const DEVICE_ARITHMETIC: Arithmetic = {multiply: (a, b) => `(${a} * ${b})`, divide: (a, b) => `(${a} / ${b})`};

/** `fn KIND_of(n: u32, j: u32) -> f32`: level 0, times or over level 1. */
function levelsReader(
  kind: 'scale' | 'offset',
  levels: readonly Level[],
  starts: readonly number[],
  params: Params,
  groupIndex: string,
  math: Arithmetic,
): string {
  if (levels.length === 0) return '';
  const functions = levels.map((level, i) => {
    const entry = entryReader(`${kind}${i}_entry`, level.grid, params, groupIndex);
    return entry + levelReader(`${kind}${i}_number`, level.type, params.add(`${kind}${i}_start`, starts[i] as number));
  });
  const read = (i: number) => `${kind}${i}_number(${kind}${i}_entry(n, j))`;
  const product = levels
    .slice(1)
    .reduce((text, level, i) => (level.divide ? math.divide(text, read(i + 1)) : math.multiply(text, read(i + 1))), read(0));
  return `${functions.join('')}fn ${kind}_of(n: u32, j: u32) -> f32 { return ${product}; }\n`;
}

/** `fn NAME(start: u32, i: u32) -> u32`: code i of a run of planes at `start`, whose planes begin at `planeStarts` from there. */
function codeReader(name: string, read: string, planes: readonly number[], planeStarts: readonly string[]): string {
  let low = 0;
  const fields = planes.map((width, p) => {
    const at = planeStarts[p] === '0u' ? 'start' : `start + ${planeStarts[p]}`;
    const perWord = 32 / width;
    const field =
      width === 32
        ? `${read}(${at} + i)`
        : `((${read}(${at} + i / ${perWord}u) >> ((i & ${perWord - 1}u) * ${width}u)) & ${2 ** width - 1}u)`;
    const text = low === 0 ? field : `(${field} << ${low}u)`;
    low += width;
    return text;
  });
  return `fn ${name}(start: u32, i: u32) -> u32 { return ${fields.join(' | ')}; }\n`;
}

/** Small float types whose `bits_TYPE` functions the levels need. */
function levelTypes(layout: WeightLayout): Set<LevelType> {
  return new Set([...layout.scales, ...layout.offsets].map((l) => l.type));
}

/**
 * code_of(n, j), scale_of(n, j), offset_of(n, j), zero_of(n, j) (a code), column_of(j) (place of stored column j in x), as far
 * as the layout has them.
 */
export function accessFunctions(layout: WeightLayout, params: Params, math: Arithmetic): string {
  const sections = sectionsOf(layout);
  addBases(params);
  const groupIndex = layout.indexed ? params.add('group_index_start', sections.groupIndex.start) : '';
  const parts = [WORD_READERS];
  for (const type of levelTypes(layout)) {
    if (type === 'float8_e8m0fnu') parts.push(e8m0BitsFunction(`bits_${type}`));
    else if (type === 'float16' || type === 'float8_e4m3fn') parts.push(floatBitsFunction(`bits_${type}`, FLOAT_FORMATS[type]));
  }
  const starts = (prefix: string, values: readonly number[]) =>
    values.map((v, p) => (v === 0 ? '0u' : params.add(`${prefix}${p}_start`, v)));
  parts.push(codeReader('code_at', 'code_word', layout.planes, starts('plane', sections.planeStarts)));
  parts.push(`fn code_of(n: u32, j: u32) -> u32 { return code_at(n * ${params.add('row_words', sections.rowWords)}, j); }\n`);
  if (layout.zero.kind === 'codes') {
    parts.push(entryReader('zero_entry', layout.zero.grid, params, groupIndex));
    parts.push(codeReader('zero_at', 'word', layout.planes, starts('zero_plane', sections.zeroPlaneStarts)));
    parts.push(
      `fn zero_of(n: u32, j: u32) -> u32 { return zero_at(${params.add('zeros_start', sections.zeros.start)}, zero_entry(n, j)); }\n`,
    );
  }
  const levelStarts = (list: readonly {start: number}[]) => list.map((s) => s.start);
  parts.push(levelsReader('scale', layout.scales, levelStarts(sections.scales), params, groupIndex, math));
  parts.push(levelsReader('offset', layout.offsets, levelStarts(sections.offsets), params, groupIndex, math));
  if (layout.ordered) parts.push(`fn column_of(j: u32) -> u32 { return word(${params.add('order_start', sections.order.start)} + j); }\n`);
  else parts.push('fn column_of(j: u32) -> u32 { return j; }\n');
  return parts.join('');
}

/** `fn number_of(code: u32, zero: u32) -> f32` and, for a decode that gives bits, `fn number_bits(code: u32) -> u32`. */
export function numberFunctions(layout: WeightLayout, params: Params): string {
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

/** The expression of (number - zero) for weight (n, j). */
export function differenceExpression(layout: WeightLayout, params: Params): string {
  const {zero} = layout;
  if (layout.decode.kind !== 'integer' || zero.kind === 'none') return 'number_of(code_of(n, j))';
  const subtrahend = zero.kind === 'codes' ? 'zero_of(n, j)' : params.add('zero_value', zero.value);
  return `difference(code_of(n, j), ${subtrahend})`;
}

/** `fn value_of(n: u32, j: u32) -> f32`: (number - zero) * scale + offset. */
export function valueFunction(layout: WeightLayout, params: Params, math: Arithmetic): string {
  let value = differenceExpression(layout, params);
  if (layout.scales.length > 0) {
    const scale = 'scale_of(n, j)';
    value = layout.scales[0]?.divide === true ? math.divide(value, scale) : math.multiply(value, scale);
  }
  if (layout.offsets.length > 0) value = `${value} + offset_of(n, j)`;
  return `fn value_of(n: u32, j: u32) -> f32 { return ${value}; }\n`;
}
