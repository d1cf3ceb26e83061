/**
 * GLSL functions that read one weight's parts by (row n, stored column j): code_of, zero_of, scale_of, offset_of. Structure
 * is in the text (divisions are by constants, absent parts cost nothing); sizes are uniforms, so one program serves all
 * weights of a structure.
 */
import {codeBits, type FloatType, type Grid, LEVEL_BYTES, type Level, type LevelType, sectionsOf, type WeightLayout} from '../../layout.js';
import {LEAST_NORMAL, leastOfLevel, leastOfNumber, leastOfProduct} from './exponents.js';
import {bitsFunction} from './float_bits.js';
import type {Params} from './params.js';

/** How the bits of two float32 are combined: exactly as IEEE 754, or as the device does. */
export interface Arithmetic {
  /** `normal`: neither factor nor product can be subnormal. */
  multiply(a: string, b: string, normal: boolean): string;
  divide(a: string, b: string): string;
  add(a: string, b: string): string;
}

export const EXACT: Arithmetic = {
  multiply: (a, b, normal) => (normal ? `normal_multiply(${a}, ${b})` : `exact_multiply(${a}, ${b})`),
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

/** The least exponent of a product of levels; a quotient is not followed. */
function leastOfLevels(levels: readonly Level[]): number {
  const divides = levels.slice(1).some((l) => l.divide);
  return levels.map((l) => (divides ? leastOfLevel('float32') : leastOfLevel(l.type))).reduce(leastOfProduct, 0);
}

type Kind = 'scale' | 'offset';

/** `uint KIND_of(int n, int j)`: level 0, times or over level 1, as bits. */
function levelsReader(
  kind: Kind,
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
  let product = read(0);
  for (const [i, level] of levels.slice(1).entries()) {
    const normal = leastOfLevels(levels.slice(0, i + 2)) >= LEAST_NORMAL;
    product = level.divide ? math.divide(product, read(i + 1)) : math.multiply(product, read(i + 1), normal);
  }
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
  const starts = (prefix: string, values: readonly number[]) =>
    values.map((v, p) => (v === 0 ? '0' : params.add(`${prefix}${p}_start`, v)));
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

/** The expression of the zero that is subtracted, a code, for weight (n, j). */
function zeroExpression(layout: WeightLayout, params: Params): string {
  const {zero} = layout;
  if (zero.kind === 'codes') return 'zero_of(n, j)';
  return zero.kind === 'constant' ? `uint(${params.add('zero_value', zero.value | 0)})` : '0u';
}

/** `uint number_of(uint c, uint z)`: the number of code c, less the zero z, as bits. */
function numberFunction(layout: WeightLayout, params: Params): string {
  const {decode} = layout;
  const body = (text: string) => `uint number_of(uint c, uint z) { ${text} }\n`;
  if (decode.kind === 'table') {
    params.table = decode.table;
    return body('return floatBitsToUint(decode_table[c >> 2][c & 3u]);');
  }
  if (decode.kind === 'float') return body(`return bits_${decode.type}(c);`);
  if (codeBits(layout) <= 16) return body('return floatBitsToUint(float(int(c) - int(z)));');
  // The difference needs 33 bits: sign and magnitude, whose halves are exact floats, so that only their sum rounds.
  return body(`uint d = c < z ? z - c : c - z;
  float magnitude = float(int(d >> 16)) * 65536.0 + float(int(d & 65535u));
  return floatBitsToUint(c < z ? -magnitude : magnitude);`);
}

/**
 * `uint value_at(int n, int j)`: (number - zero) * scale + offset, as bits; and, for pairs of columns that share their scales,
 * `uvec2 values_at(int n, int j)` of columns j, which is even, and j + 1.
 */
export function valueFunctions(layout: WeightLayout, params: Params, math: Arithmetic, pairs: boolean): string {
  const scaled = layout.scales.length > 0;
  const offset = layout.offsets.length > 0;
  let value = 'number_of(c, z)';
  if (scaled) {
    const normal = leastOfProduct(leastOfNumber(layout.decode), leastOfLevels(layout.scales)) >= LEAST_NORMAL;
    value = layout.scales[0]?.divide === true ? math.divide(value, 's') : math.multiply(value, 's', normal);
  }
  if (offset) value = math.add(value, 'o');
  const combine = `uint combine(uint c, uint z, uint s, uint o) { return ${value}; }\n`;
  const rest = `z = ${zeroExpression(layout, params)}, s = ${scaled ? 'scale_of(n, j)' : '0u'}, o = ${offset ? 'offset_of(n, j)' : '0u'}`;
  const one = `uint value_at(int n, int j) {
  uint c = code_of(n, j), ${rest};
  return combine(c, z, s, o);
}
`;
  const two = `uvec2 values_at(int n, int j) {
  uvec2 c = codes2_of(n, j);
  uint ${rest};
  return uvec2(combine(c.x, z, s, o), combine(c.y, z, s, o));
}
`;
  return numberFunction(layout, params) + combine + (pairs ? pairReader(layout) + two : one);
}

/** `uvec2 codes2_of(int n, int j)`: the codes of columns j, which is even, and j + 1: one word, unless they fill two. */
function pairReader(layout: WeightLayout): string {
  const {planeStarts} = sectionsOf(layout);
  let low = 0;
  const lines = layout.planes.map((width, p) => {
    const at = `n * row_words${planeStarts[p] === 0 ? '' : ` + plane${p}_start`} + j / ${32 / width}`;
    const field = width === 16 ? 'uvec2(w & 65535u, w >> 16)' : `uvec2(w, w >> ${width}) & ${2 ** width - 1}u`;
    const text =
      width === 32
        ? `c = uvec2(word(${at}), word(${at} + 1));`
        : `w = word(${at}) >> ((j & ${32 / width - 1}) * ${width}); c |= (${field}) << ${low};`;
    low += width;
    return text;
  });
  return `uvec2 codes2_of(int n, int j) {\n  uvec2 c = uvec2(0u);\n  uint w;\n  ${lines.join('\n  ')}\n  return c;\n}\n`;
}
