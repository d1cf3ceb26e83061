/**
 * WGSL that reads scales, offsets and zeros: for each of them `NAME_row(n)`, `NAME_column(j)` and `NAME_at(start, entry)`, apart,
 * so that a kernel computes each as seldom as it changes. A uniform or a division in an inner loop costs as much as a load.
 */
import {FLOAT_FORMATS} from '../float_codes.js';
import {type Grid, LEVEL_BYTES, type LevelType, sectionsOf, type WeightLayout} from '../layout.js';
import {e8m0BitsFunction, floatBitsFunction} from './float_bits.wgsl.js';
import type {Params} from './params.js';

interface Source {
  readonly name: string;
  readonly grid: Grid;
  /** First word, in the weight's tensor. */
  readonly start: number;
  /** null: zeros, which are codes. */
  readonly type: LevelType | null;
}

function sourcesOf(layout: WeightLayout): Source[] {
  const sections = sectionsOf(layout);
  const of = (kind: 'scales' | 'offsets', name: string) =>
    layout[kind].map(({grid, type}, i) => ({name: `${name}${i}`, grid, type, start: (sections[kind][i] as {start: number}).start}));
  const zeros = layout.zero.kind === 'codes' ? [{name: 'zero', grid: layout.zero.grid, start: sections.zeros.start, type: null}] : [];
  return [...of('scales', 'scale'), ...of('offsets', 'offset'), ...zeros];
}

/** Where a source begins in the binding `words`. */
const base = (params: Params, {name, start}: Source) => `(${params.add(`${name}_start`, start)} - params.words_base)`;

/** `fn NAME_at(start: u32, at: u32) -> f32`: entry `at` of a level that starts at word `start` of the binding. */
function levelReader(name: string, type: LevelType): string {
  const perWord = 4 / LEVEL_BYTES[type];
  const bits = 32 / perWord;
  const body = (text: string) => `fn ${name}_at(start: u32, at: u32) -> f32 { ${text} }\n`;
  if (perWord === 1) return body('return bitcast<f32>(words[start + at]);');
  const stored = `let stored = (words[start + at / ${perWord}u] >> ((at & ${perWord - 1}u) * ${bits}u)) & ${2 ** bits - 1}u;`;
  switch (type) {
    case 'bfloat16':
      return body(`${stored} return bitcast<f32>(stored << 16u);`);
    case 'uint8':
      return body(`${stored} return f32(stored);`);
    case 'int8':
      return body(`${stored} return f32(i32(stored << 24u) >> 24u);`);
    default:
      return body(`${stored} return bitcast<f32>(bits_${type}(stored));`);
  }
}

/** `fn NAME(start: u32, i: u32) -> u32`: code i of a run of planes at `start` of a binding, whose planes begin at `planeStarts` from there. */
export function codeReader(name: string, binding: string, planes: readonly number[], planeStarts: readonly string[]): string {
  let low = 0;
  const fields = planes.map((width, p) => {
    const at = planeStarts[p] === '0u' ? 'start' : `start + ${planeStarts[p]}`;
    const perWord = 32 / width;
    const shift = `((i & ${perWord - 1}u) * ${width}u)`;
    const field = width === 32 ? `${binding}[${at} + i]` : `((${binding}[${at} + i / ${perWord}u] >> ${shift}) & ${2 ** width - 1}u)`;
    const text = low === 0 ? field : `(${field} << ${low}u)`;
    low += width;
    return text;
  });
  return `fn ${name}(start: u32, i: u32) -> u32 { return ${fields.join(' | ')}; }\n`;
}

/** Names of plane starts in uniforms; '0u' for the first. */
export function planeStartNames(prefix: string, starts: readonly number[], params: Params): string[] {
  return starts.map((v, p) => (v === 0 ? '0u' : params.add(`${prefix}${p}_start`, v)));
}

/** `fn NAME_row(n)` and `fn NAME_column(j)`: their sum is the entry of weight (n, j). */
function entryReaders({name, grid}: Source, params: Params, groupIndex: string): string {
  const [rows, columns] = grid.shape;
  const phase = (axis: string, value: number) => (value === 0 ? axis : `(${axis} + ${params.add(`${name}_${axis}_phase`, value)})`);
  const row = rows === 1 ? '0u' : grid.rows === 1 ? 'n' : `${phase('n', grid.rowPhase)} / ${grid.rows}u`;
  const column = columns === 1 ? '0u' : grid.indexed ? `word(${groupIndex} + j)` : `${phase('j', grid.columnPhase)} / ${grid.columns}u`;
  const width = columns === 1 ? '' : ` * ${params.add(`${name}_width`, columns)}`;
  return `fn ${name}_row(n: u32) -> u32 { return (${row})${width}; }\nfn ${name}_column(j: u32) -> u32 { return ${column}; }\n`;
}

/** All of the above for every scale, offset and zero of the layout. */
export function gridFunctions(layout: WeightLayout, params: Params, groupIndex: string): string {
  const sources = sourcesOf(layout);
  const parts: string[] = [];
  for (const type of new Set(sources.map((s) => s.type))) {
    if (type === 'float8_e8m0fnu') parts.push(e8m0BitsFunction(`bits_${type}`));
    else if (type === 'float16' || type === 'float8_e4m3fn') parts.push(floatBitsFunction(`bits_${type}`, FLOAT_FORMATS[type]));
  }
  for (const source of sources) {
    base(params, source);
    parts.push(entryReaders(source, params, groupIndex));
    if (source.type !== null) parts.push(levelReader(source.name, source.type));
    else
      parts.push(codeReader('zero_at', 'words', layout.planes, planeStartNames('zero_plane', sectionsOf(layout).zeroPlaneStarts, params)));
  }
  return parts.join('');
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

/** Level 0, times or over level 1, each read by `read(name)`. */
export function levelsExpression(layout: WeightLayout, kind: 'scale' | 'offset', math: Arithmetic, read: (name: string) => string): string {
  const levels = kind === 'scale' ? layout.scales : layout.offsets;
  return levels
    .slice(1)
    .reduce((text, level, i) => (level.divide ? math.divide : math.multiply)(text, read(`${kind}${i + 1}`)), read(`${kind}0`));
}

/** The read of a source for weight (n, j), all of it in one expression. */
export const readWhole = (params: Params, layout: WeightLayout, name: string) => {
  const source = sourcesOf(layout).find((s) => s.name === name) as Source;
  return `${name}_at(${base(params, source)}, ${name}_row(n) + ${name}_column(j))`;
};

/** The same in three parts: declared once a shader, once a row of W (of number r), once a step of columns. */
export function hoisted(layout: WeightLayout, params: Params) {
  const sources = sourcesOf(layout);
  const each = (text: (source: Source) => string) => sources.map(text).join(' ');
  return {
    once: each((s) => `let ${s.name}_base = ${base(params, s)};`),
    row: (r: number | string, n: string) => each(({name}) => `let ${name}_r${r} = ${name}_row(${n});`),
    column: (j: string) => each(({name}) => `let ${name}_c = ${name}_column(${j});`),
    read: (r: number | string, name: string) => `${name}_at(${name}_base, ${name}_r${r} + ${name}_c)`,
  };
}
