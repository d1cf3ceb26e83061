/**
 * Shaders that multiply: a fragment computes four rows of the weight by `tile` rows of x over one part of K, and writes each
 * row of x to a draw buffer of its own as the bits of float32.
 */
import {codeBits, type Grid, type WeightLayout} from '../layout.js';
import {planeFetch, type WebglChoice} from './choose.js';
import {accessFunctions, DEVICE, valueFunctions} from './glsl/access.js';
import {floatNumbers, floatNumbersFunctions} from './glsl/float_numbers.js';
import {type Folding, FRAGMENT_INDEX, VERSION, wordReaders} from './glsl/header.js';
import {integerNumbers} from './glsl/integer_numbers.js';
import {Params} from './glsl/params.js';
import {tableFunctions, tableNumbers} from './glsl/table_numbers.js';
import {readInput} from './input.js';
import type {Shader} from './program.js';

const QUAD = [0, 1, 2, 3] as const;
const times = <T>(count: number, f: (i: number) => T): T[] => Array.from({length: count}, (_, i) => f(i));

/** Fragment -> part of K, rows of x m0.., rows of the weight n0... Rows past the end repeat the last; nobody reads them. */
function locate(tile: number): string {
  return `int t = ${FRAGMENT_INDEX}, rest = t / quads, quad = t - rest * quads, part = rest / tiles, m = (rest - part * tiles) * ${tile};
  ${QUAD.map((j) => `int n${j} = row_start + min(quad * 4 + ${j}, out_count - 1);`).join(' ')}
  ${times(tile, (i) => `int m${i} = min(m + ${i}, row_count - 1);`).join(' ')}
  ${times(tile, (i) => `vec4 y${i} = vec4(0.0);`).join(' ')}`;
}

function assemble(choice: WebglChoice, folding: Folding, params: Params, functions: string, main: string): string {
  params.needs('target_width', 'quads', 'tiles', 'splits', 'row_start', 'row_count', 'out_count', 'x_width');
  const outputs = times(choice.tile, (i) => `layout(location = ${i}) out uvec4 result${i};\n`).join('');
  return `${VERSION}${params.declarations()}uniform sampler2D x;
${outputs}${wordReaders(folding)}${functions}
void main() {
  ${locate(choice.tile)}
  ${main}
  ${times(choice.tile, (i) => `result${i} = floatBitsToUint(y${i});`).join(' ')}
}
`;
}

/** Any layout: weight by weight. */
export function generalShader(layout: WeightLayout, choice: WebglChoice, folding: Folding, folded: boolean): Shader {
  const params = new Params();
  const inDim = params.add('in_dim', layout.inDim);
  const functions = accessFunctions(layout, params, DEVICE) + valueFunctions(layout, params, DEVICE, false);
  const value = (j: number) => `uintBitsToFloat(value_at(n${j}, k))`;
  const main = `int units = (${inDim} + ${choice.unit - 1}) / ${choice.unit}, first = units * part / splits, last = units * (part + 1) / splits;
  for (int u = first; u < last; u++) {
    ${times(choice.tile, (i) => `vec4 c${i} = vec4(0.0);`).join(' ')}
    for (int k = u * ${choice.unit}; k < min((u + 1) * ${choice.unit}, ${inDim}); k++) {
      vec4 w = vec4(${QUAD.map(value).join(', ')});
      ${times(choice.tile, (i) => `c${i} += w * ${readInput(folded, '(k >> 2)', `m${i}`)}[k & 3];`).join('\n      ')}
    }
    ${times(choice.tile, (i) => `y${i} += c${i};`).join(' ')}
  }`;
  return {source: assemble(choice, folding, params, functions, main), ints: params.ints, table: params.table};
}

/** Layouts whose groups are whole blocks: codes are decoded four at a time, scales applied to the sum of a unit. */
export function blocksShader(layout: WeightLayout, choice: WebglChoice, folding: Folding, folded: boolean): Shader {
  const params = new Params();
  const {block, unit, tile} = choice;
  const inDim = params.add('in_dim', layout.inDim);
  const functions = accessFunctions(layout, params, DEVICE) + decodeFunctions(layout, params);
  const withOffset = layout.offsets.length > 0;
  const perUnit = unit / block;
  const ahead = readAhead(layout, unit);
  const fetches = QUAD.map((j) => layout.planes.map((_, p) => fetchPlane(layout, p, block, j)).join(' ')).join('\n      ');
  const steps = times(block / 4, (v) => {
    const numbers = QUAD.map((j) => `vec4 d${j} = ${numbers4(layout, block, v, j)};`).join(' ');
    const rows = times(tile, (i) => {
      const products = QUAD.map((j) => `dot(d${j}, a)`).join(', ');
      const sum = withOffset ? ` s${i} += a;` : '';
      return `{ vec4 a = ${readInput(folded, `b * ${block / 4} + ${v}`, `m${i}`)}; c${i} += vec4(${products});${sum} }`;
    });
    return `{ ${numbers}\n        ${rows.join('\n        ')} }`;
  });
  const loop = perUnit === 1 ? 'int b = u;' : `for (int b = u * ${perUnit}; b < min((u + 1) * ${perUnit}, blocks); b++)`;
  const main = `int blocks = ${inDim} / ${block}, units = (blocks + ${perUnit - 1}) / ${perUnit};
  int first = units * part / splits, last = units * (part + 1) / splits;
  ${ahead.declare}
  for (int u = first; u < last; u++) {
    int k = u * ${unit};
    ${times(tile, (i) => `vec4 c${i} = vec4(0.0);${withOffset ? ` vec4 s${i} = vec4(0.0);` : ''}`).join(' ')}
    ${ahead.refresh}
    ${layout.zero.kind === 'codes' ? QUAD.map((j) => `float z${j} = float(int(${ahead.zero(j)}));`).join(' ') : ''}
    ${loop} {
      ${fetches}
      ${steps.join('\n      ')}
    }
    ${scaleUnit(layout, tile, ahead)}
  }`;
  return {source: assemble(choice, folding, params, functions, main), ints: params.ints, table: params.table};
}

/** How a unit reads the scales and zeros of its rows: where eight units share a texel of scales or a word of zeros, those are kept. */
interface ReadAhead {
  readonly declare: string;
  readonly refresh: string;
  scale(row: number): string;
  zero(row: number): string;
}

function readAhead(layout: WeightLayout, unit: number): ReadAhead {
  const {scales, zero, planes} = layout;
  const inEights = (g: Grid) => g.columns === unit && g.shape[1] % 8 === 0 && g.columnPhase === 0 && !g.indexed;
  const scale = scales.length === 1 && scales[0]?.type === 'float16' && inEights(scales[0].grid);
  const zeros = zero.kind === 'codes' && planes.length === 1 && planes[0] === 4 && inEights(zero.grid);
  const declare = QUAD.map((j) => `${scale ? `uvec4 sa${j}; ` : ''}${zeros ? `uint za${j}; ` : ''}`).join('');
  const fetches = QUAD.map((j) => {
    const s = `sa${j} = texel((scale0_start >> 2) + (scale0_entry(n${j}, k) >> 3)); `;
    const z = `za${j} = word(zeros_start + (zero_entry(n${j}, k) >> 3)); `;
    return `${scale ? s : ''}${zeros ? z : ''}`;
  }).join('');
  return {
    declare,
    refresh: fetches === '' ? '' : `if (u == first || (u & 7) == 0) { ${fetches}}`,
    scale: (j) => (scale ? `bits_float16((sa${j}[(u >> 1) & 3] >> ((u & 1) << 4)) & 65535u)` : `scale_of(n${j}, k)`),
    zero: (j) => (zeros ? `(za${j} >> ((u & 7) << 2)) & 15u` : `zero_of(n${j}, k)`),
  };
}

const perRow = (f: string) => `uintBitsToFloat(uvec4(${QUAD.map((j) => `${f}(n${j}, k)`).join(', ')}))`;

/** y += scale * c + offset * s. Integer codes are centred where an offset is added, so that the two do not cancel. */
function scaleUnit(layout: WeightLayout, tile: number, ahead: ReadAhead): string {
  const divides = layout.scales[0]?.divide === true;
  const lines: string[] = [];
  if (layout.scales.length > 0) lines.push(`vec4 scale = uintBitsToFloat(uvec4(${QUAD.map(ahead.scale).join(', ')}));`);
  if (layout.offsets.length > 0) {
    const centre = `${centreOf(layout)}.0`;
    const shift =
      centreOf(layout) === 0 ? '' : layout.scales.length === 0 ? ` + ${centre}` : divides ? ` + ${centre} / scale` : ` + ${centre} * scale`;
    lines.push(`vec4 offset = ${perRow('offset_of')}${shift};`);
  }
  for (const i of times(tile, (t) => t)) {
    const scaled = layout.scales.length === 0 ? `c${i}` : divides ? `c${i} / scale` : `c${i} * scale`;
    const offset = layout.offsets.length > 0 ? ` + offset * dot(s${i}, vec4(1.0))` : '';
    lines.push(`y${i} += ${scaled}${offset};`);
  }
  return lines.join('\n    ');
}

function centreOf(layout: WeightLayout): number {
  return layout.offsets.length > 0 && layout.decode.kind === 'integer' && layout.zero.kind === 'none' ? 2 ** (codeBits(layout) - 1) : 0;
}

/** Declares q{row}_{plane}_{i}: the words of block b of row n{row}. */
function fetchPlane(layout: WeightLayout, plane: number, block: number, row: number): string {
  const {words, start, aligned} = planeFetch(layout, plane, block);
  const name = (i: number) => `q${row}_${plane}_${i}`;
  const from = `n${row} * row_words${start === 0 ? '' : ` + plane${plane}_start`}`;
  if (words < 1) return `uint ${name(0)} = word(${from} + b / ${1 / words}) >> ((b & ${1 / words - 1}) * ${32 * words});`;
  const at = `${from} + b * ${words}`;
  if (aligned === 4) return times(words / 4, (i) => `uvec4 ${name(i)} = texel(((${at}) >> 2) + ${i});`).join(' ');
  if (aligned === 2 && words === 2) {
    return `uvec4 t${row}_${plane} = texel((${at}) >> 2); uvec2 ${name(0)} = ((${at}) & 2) == 0 ? t${row}_${plane}.xy : t${row}_${plane}.zw;`;
  }
  return times(words, (i) => `uint ${name(i)} = word(${at} + ${i});`).join(' ');
}

/** The word of a fetched block that holds bit `bit` of a plane. */
function wordAt(layout: WeightLayout, plane: number, block: number, row: number, bit: number): string {
  const {words, aligned} = planeFetch(layout, plane, block);
  const index = bit >> 5;
  if (words >= 1 && aligned === 4) return `q${row}_${plane}_${index >> 2}.${'xyzw'[index & 3]}`;
  if (aligned === 2 && words === 2) return `q${row}_${plane}_0.${'xy'[index]}`;
  return `q${row}_${plane}_${index}`;
}

/** The uvec4 of codes of columns 4v..4v+3 of a block. */
function codes4(layout: WeightLayout, block: number, v: number, row: number): string {
  let low = 0;
  const fields = layout.planes.map((width, plane) => {
    const bits = QUAD.map((l) => (4 * v + l) * width);
    const parts = [...new Set(bits.map((bit) => wordAt(layout, plane, block, row, bit)))];
    const spread =
      parts.length === 1 ? `uvec4(${parts[0]})` : `uvec4(${bits.map((bit) => wordAt(layout, plane, block, row, bit)).join(', ')})`;
    const field = width === 32 ? spread : `((${spread} >> uvec4(${bits.map((bit) => `${bit & 31}u`).join(', ')})) & ${2 ** width - 1}u)`;
    const text = low === 0 ? field : `(${field} << ${low})`;
    low += width;
    return text;
  });
  return fields.join(' | ');
}

/** The vec4 of numbers, less the zero, of columns 4v..4v+3 of a block. */
function numbers4(layout: WeightLayout, block: number, v: number, row: number): string {
  const {decode, zero, planes} = layout;
  const word = (plane: number, bit: number) => wordAt(layout, plane, block, row, bit);
  if (decode.kind === 'float') return floatNumbers(decode.type, v, (bit) => word(0, bit));
  if (decode.kind === 'table') return tableNumbers(decode.table, v, word(0, 16 * v), codes4(layout, block, v, row));
  const center = zero.kind === 'constant' ? zero.value : centreOf(layout);
  const numbers =
    Math.max(...planes) <= 8
      ? integerNumbers(planes, v, center, word)
      : `vec4(ivec4(${codes4(layout, block, v, row)})${center === 0 ? '' : ` - ${center}`})`;
  return zero.kind === 'codes' ? `${numbers} - z${row}` : numbers;
}

function decodeFunctions(layout: WeightLayout, params: Params): string {
  const {decode} = layout;
  if (decode.kind === 'float') return floatNumbersFunctions(decode.type);
  return decode.kind === 'integer' ? '' : tableFunctions(decode.table, params);
}
