/**
 * GLSL functions that read one weight's parts by (row n, stored column j): code_of, zero_of, scale_of, offset_of. Structure
 * is in the text (divisions are by constants, absent parts cost nothing); sizes are uniforms, so one program serves all
 * weights of a structure.
 */
import {codeBits, type FloatType, type Grid, LEVEL_BYTES, type Level, type LevelType, sectionsOf, type WeightLayout} from '../../layout.js';
import {bitsFunction} from './float_bits.js';
import type {Params} from './params.js';

/** How the bits of two float32 are combined: exactly as IEEE 754, or as the device does. */
export interface Arithmetic {
  multiply(a: string, b: string): string;
  divide(a: string, b: string): string;
  add(a: string, b: string): string;
}

export const EXACT: Arithmetic = {
  multiply: (a, b) => `exact_multiply(${a}, ${b})`,
  divide: (a, b) => `exact_divide(${a}, ${b})`,
  add: (a, b) => `exact_add(${a}, ${b})`,
};

const device = (operator: string) => (a: string, b: string) => `floatBitsToUint(uintBitsToFloat(${a}) ${operator} uintBitsToFloat(${b}))`;

export const DEVICE: Arithmetic = {multiply: device('*'), divide: device('/'), add: device('+')};

/** `uint NAME(int at)`: entry `at` of a level that starts at word `start`, as the bits of float32. */
function levelReader(name: string, type: LevelType, start: string): string {
  const perWord = 4 / LEVEL_BYTES[type];
  if (perWord === 1) return `uint ${name}(int at) { return word(${start} + at); }\n`;
  const bits = 32 / perWord;
  const stored = `(word(${start} + at / ${perWord}) >> ((at & ${perWord - 1}) * ${bits})) & ${2 ** bits - 1}u`;
  return `uint ${name}(int at) { return bits_${type}(${stored}); }\n`;
}

/** `int NAME(int n, int j)`: the entry of a grid for weight (n, j). */
function entryReader(name: string, grid: Grid, params: Params, groupIndex: string): string {
  const [rows, columns] = grid.shape;
  const phase = (axis: string, value: number) => (value === 0 ? axis : `(${axis} + ${params.add(`${name}_${axis}_phase`, value)})`);
  const row = rows === 1 ? '0' : grid.rows === 1 ? 'n' : `${phase('n', grid.rowPhase)} / ${grid.rows}`;
  const column = columns === 1 ? '0' : grid.indexed ? `int(word(${groupIndex} + j))` : `${phase('j', grid.columnPhase)} / ${grid.columns}`;
  const width = columns === 1 ? '1' : params.add(`${name}_width`, columns);
  return `int ${name}(int n, int j) { return (${row}) * ${width} + ${column}; }\n`;
}

type Kind = 'scale' | 'offset';

/** `uint KIND_of(int n, int j)`: level 0, times or over level 1, as bits. */
function levelsReader(kind: Kind, levels: readonly Level[], starts: readonly number[], params: Params, groupIndex: string, math: Arithmetic): string {
  if (levels.length === 0) return '';
  const functions = levels.map((level, i) => {
    const entry = entryReader(`${kind}${i}_entry`, level.grid, params, groupIndex);
    return entry + levelReader(`${kind}${i}_number`, level.type, params.add(`${kind}${i}_start`, starts[i] as number));
  });
  const read = (i: number) => `${kind}${i}_number(${kind}${i}_entry(n, j))`;
  const product = levels.slice(1).reduce((text, level, i) => (level.divide ? math.divide(text, read(i + 1)) : math.multiply(text, read(i + 1))), read(0));
  return `${functions.join('')}uint ${kind}_of(int n, int j) { return ${product}; }\n`;
}

/** `uint NAME(int start, int i)`: code i of a run of planes at word `start`, whose planes begin at `planeStarts` from there. */
function codeReader(name: string, planes: readonly number[], planeStarts: readonly string[]): string {
  let low = 0;
  const fields = planes.map((width, p) => {
    const at = planeStarts[p] === '0' ? 'start' : `start + ${planeStarts[p]}`;
    const perWord = 32 / width;
    const field =
      width === 32 ? `word(${at} + i)` : `((word(${at} + i / ${perWord}) >> ((i & ${perWord - 1}) * ${width})) & ${2 ** width - 1}u)`;
    const text = low === 0 ? field : `(${field} << ${low})`;
    low += width;
    return text;
  });
  return `uint ${name}(int start, int i) { return ${fields.join(' | ')}; }\n`;
}

/** Types whose bits_TYPE functions the layout's codes and levels need. */
function floatTypes(layout: WeightLayout): Set<FloatType | LevelType> {
  const types = new Set<FloatType | LevelType>([...layout.scales, ...layout.offsets].map((l) => l.type));
  types.delete('float32');
  if (layout.decode.kind === 'float') types.add(layout.decode.type);
  return types;
}

/** code_of(n, j), zero_of(n, j) (a code), scale_of(n, j) and offset_of(n, j) (bits), as far as the layout has them. */
export function accessFunctions(layout: WeightLayout, params: Params, math: Arithmetic): string {
  const sections = sectionsOf(layout);
  const groupIndex = layout.indexed ? params.add('group_index_start', sections.groupIndex.start) : '';
  const parts = [...floatTypes(layout)].map(bitsFunction);
  const starts = (prefix: string, values: readonly number[]) => values.map((v, p) => (v === 0 ? '0' : params.add(`${prefix}${p}_start`, v)));
  parts.push(codeReader('code_at', layout.planes, starts('plane', sections.planeStarts)));
  parts.push(`uint code_of(int n, int j) { return code_at(n * ${params.add('row_words', sections.rowWords)}, j); }\n`);
  if (layout.zero.kind === 'codes') {
    parts.push(entryReader('zero_entry', layout.zero.grid, params, groupIndex));
    parts.push(codeReader('zero_at', layout.planes, starts('zero_plane', sections.zeroPlaneStarts)));
    parts.push(`uint zero_of(int n, int j) { return zero_at(${params.add('zeros_start', sections.zeros.start)}, zero_entry(n, j)); }\n`);
  }
  const begins = (list: readonly {start: number}[]) => list.map((s) => s.start);
  parts.push(levelsReader('scale', layout.scales, begins(sections.scales), params, groupIndex, math));
  parts.push(levelsReader('offset', layout.offsets, begins(sections.offsets), params, groupIndex, math));
  return parts.join('');
}

/** `uint number_at(int n, int j)`: number - zero, as bits. */
export function numberFunction(layout: WeightLayout, params: Params): string {
  const {decode, zero} = layout;
  const body = (text: string) => `uint number_at(int n, int j) { ${text} }\n`;
  if (decode.kind === 'table') {
    params.table = decode.table;
    return body('uint c = code_of(n, j); return floatBitsToUint(decode_table[c >> 2][c & 3u]);');
  }
  if (decode.kind === 'float') return body(`return bits_${decode.type}(code_of(n, j));`);
  const subtrahend = zero.kind === 'codes' ? 'zero_of(n, j)' : zero.kind === 'constant' ? `uint(${params.add('zero_value', zero.value | 0)})` : '0u';
  if (codeBits(layout) <= 16) return body(`return floatBitsToUint(float(int(code_of(n, j)) - int(${subtrahend})));`);
  // The difference needs 33 bits: sign and magnitude, whose halves are exact floats, so that only their sum rounds.
  return body(`uint c = code_of(n, j), z = ${subtrahend}, d = c < z ? z - c : c - z;
  float magnitude = float(int(d >> 16)) * 65536.0 + float(int(d & 65535u));
  return floatBitsToUint(c < z ? -magnitude : magnitude);`);
}

/** `uint value_at(int n, int j)`: (number - zero) * scale + offset, as bits. */
export function valueFunction(layout: WeightLayout, math: Arithmetic): string {
  let value = 'number_at(n, j)';
  if (layout.scales.length > 0) value = layout.scales[0]?.divide === true ? math.divide(value, 'scale_of(n, j)') : math.multiply(value, 'scale_of(n, j)');
  if (layout.offsets.length > 0) value = math.add(value, 'offset_of(n, j)');
  return `uint value_at(int n, int j) { return ${value}; }\n`;
}
