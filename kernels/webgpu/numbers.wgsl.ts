/**
 * WGSL for the codes of a chunk as float vectors. Integer codes are masked where they lie and never shifted: code i of a
 * half word is then 2^(i * width) too large, which x, prepared once a call, is too small. Both are exact.
 */
import {FLOAT_FORMATS} from '../float_codes.js';
import {type FloatType, sectionsOf, type WeightLayout} from '../layout.js';
import {type Chunking, centerOf} from './chunk.js';
import {floatNumbersFunction} from './float_bits.wgsl.js';
import {planeStartNames} from './grids.wgsl.js';
import type {Params} from './params.js';

type Words = (plane: number, word: number) => string;

export interface Numbers {
  /** Functions that the expressions call. */
  readonly functions: string;
  /**
   * The four numbers of columns 4i..4i+3 of a chunk, less the center, times their weights; `words(p, w)` is word w of plane p,
   * a u32; `zero` names the vectors of `weighted(numbers, zero)` where zeros are codes.
   */
  expression(i: number, words: Words, zero: string | null): string;
  /** Columns after which weights repeat; 0 where all are 1. */
  readonly period: number;
  /** log2 of the weight of column j: x is multiplied by 2^-weight. */
  weight(j: number): number;
}

/** Vectors of four columns after which weights repeat. */
const patternsOf = (period: number) => Math.max(1, period / 4);

/** Declares `NAME_0`, `NAME_1` ...: a number at the weights of columns 0 to 3, 4 to 7 ... */
export function weighted(numbers: Numbers, name: string, value: string): string {
  const place = (v: number) => {
    const weights = [0, 1, 2, 3].map((c) => 2 ** numbers.weight(4 * v + c));
    return weights.every((w) => w === 1) ? `vec4<f32>(${name})` : `${name} * vec4<f32>(${weights.join(', ')})`;
  };
  const vectors = [...Array(patternsOf(numbers.period)).keys()].map((v) => `let ${name}_${v} = ${place(v)};`);
  return `let ${name} = ${value}; ${vectors.join(' ')}`;
}

/** The vector of `weighted` that belongs to columns 4i..4i+3. */
export const weightedName = (numbers: Numbers, name: string, i: number) => `${name}_${i % patternsOf(numbers.period)}`;

const vector = (values: readonly number[]) => `vec4<f32>(${values.map((v) => `${v}.0`).join(', ')})`;

/** log2 of how much too large a masked code at position i of its run is. */
const position = (width: number, i: number) => (width >= 16 ? 0 : (i * width) % 16);

/** `fn fieldsW_V(w: u32) -> vec4<f32>`: codes 4V..4V+3 of a word of width W, masked. */
function fieldsFunction(width: number, v: number): string {
  const offsets = [0, 1, 2, 3].map((c) => (4 * v + c) * width);
  const masks = offsets.map((o) => (2 ** width - 1) * 2 ** (o % 16));
  const halves = offsets.map((o) => (o >= 16 ? 'high' : 'low'));
  const same = halves.every((h) => h === halves[0]);
  // After the shift the sign bit is masked away in both halves: i32 converts faster than u32.
  const source = same ? `vec4<i32>(${halves[0]})` : `vec4<i32>(${halves.join(', ')})`;
  const low = halves.includes('low') ? 'let low = bitcast<i32>(w); ' : '';
  const high = halves.includes('high') ? 'let high = bitcast<i32>(w >> 16u); ' : '';
  return `fn fields${width}_${v}(w: u32) -> vec4<f32> { ${low}${high}return vec4<f32>(${source} & vec4<i32>(${masks.join(', ')})); }\n`;
}

function integerNumbers(layout: WeightLayout): Numbers {
  const center = centerOf(layout);
  const first = layout.planes[0] as number;
  const weight = (j: number) => position(first, j);
  const period = first >= 16 ? 0 : 16 / first;
  if (first === 32) {
    const term = (w: string) => (center === 0 ? `f32(${w})` : `f32(bitcast<i32>(${w} - ${center}u))`);
    return {
      functions: '',
      period,
      weight,
      expression: (i, words) => `vec4<f32>(${[0, 1, 2, 3].map((c) => term(words(0, 4 * i + c))).join(', ')})`,
    };
  }
  const centers = (i: number) => vector([0, 1, 2, 3].map((c) => center * 2 ** weight(4 * i + c)));
  const minus = (text: string, i: number, zero: string | null) =>
    zero !== null ? `(${text} - ${zero}_${i % patternsOf(period)})` : center === 0 ? text : `(${text} - ${centers(i)})`;
  if (first === 16) {
    const halves = (a: string, b: string) => `vec4<f32>(vec4<i32>(vec4<u32>(${a} & 65535u, ${a} >> 16u, ${b} & 65535u, ${b} >> 16u)))`;
    return {functions: '', period, weight, expression: (i, words, zero) => minus(halves(words(0, 2 * i), words(0, 2 * i + 1)), i, zero)};
  }
  const functions = new Set<string>();
  for (const width of layout.planes) for (let v = 0; v < 8 / width; v++) functions.add(fieldsFunction(width, v));
  return {
    functions: [...functions].join(''),
    period,
    weight,
    expression(i, words, zero) {
      let low = 0;
      const terms = layout.planes.map((width, p) => {
        const perWord = 8 / width;
        const fields = `fields${width}_${i % perWord}(${words(p, Math.floor(i / perWord))})`;
        const factors = [0, 1, 2, 3].map((c) => 2 ** (low + weight(4 * i + c) - position(width, 4 * i + c)));
        low += width;
        return p === 0 ? fields : `${fields} * vec4<f32>(${factors.join(', ')})`;
      });
      return minus(terms.join(' + '), i, zero);
    },
  };
}

/** Codes 4i..4i+3 as vec4<u32>, each in the top bits of its lane, with others below. */
function topExpression(width: number, i: number, words: Words): string {
  if (width === 32) return `vec4<u32>(${[0, 1, 2, 3].map((c) => words(0, 4 * i + c)).join(', ')})`;
  if (width === 16) {
    const [a, b] = [words(0, 2 * i), words(0, 2 * i + 1)];
    return `vec4<u32>(${a} << 16u, ${a}, ${b} << 16u, ${b})`;
  }
  const perWord = 8 / width;
  const shifts = [0, 1, 2, 3].map((c) => `${32 - width - ((i % perWord) * 4 + c) * width}u`);
  return `(vec4<u32>(${words(0, Math.floor(i / perWord))}) << vec4<u32>(${shifts.join(', ')}))`;
}

const PLAIN = {period: 0, weight: () => 0} as const;

function floatNumbers(layout: WeightLayout, type: FloatType): Numbers {
  const width = layout.planes[0] as number;
  const top = (i: number, words: Words) => topExpression(width, i, words);
  if (type === 'float32') return {...PLAIN, functions: '', expression: (i, words) => `bitcast<vec4<f32>>(${top(i, words)})`};
  const functions = floatNumbersFunction('numbers_of', FLOAT_FORMATS[type]);
  return {...PLAIN, functions, expression: (i, words) => `numbers_of(${top(i, words)})`};
}

/** 16 numbers by four bits: a tree of choices. Looked up in memory, each lane of each code would be a load of its own. */
function tableNumbers(layout: WeightLayout, table: readonly number[]): Numbers {
  const width = layout.planes[0] as number;
  const literal = (v: number) => (Number.isInteger(v) ? `${v}.0` : `${v}`);
  const choose = (entries: readonly string[], bit: number): string => {
    if (entries.length === 1) return entries[0] as string;
    const next: string[] = [];
    for (let i = 0; i < entries.length; i += 2) next.push(`select(${entries[i]}, ${entries[i + 1]}, bit${bit})`);
    return choose(next, bit + 1);
  };
  const leaves = table.map((v) => `vec4<f32>(${literal(v)})`);
  const bits = [0, 1, 2, 3].map((b) => `let bit${b} = (codes & vec4<u32>(${2 ** (28 + b)}u)) != vec4<u32>();`);
  const functions = `fn numbers_of(codes: vec4<u32>) -> vec4<f32> {\n  ${bits.join('\n  ')}\n  return ${choose(leaves, 0)};\n}\n`;
  return {...PLAIN, functions, expression: (i, words) => `numbers_of(${topExpression(width, i, words)})`};
}

export function numbersOf(layout: WeightLayout): Numbers {
  const {decode} = layout;
  if (decode.kind === 'integer') return integerNumbers(layout);
  return decode.kind === 'float' ? floatNumbers(layout, decode.type) : tableNumbers(layout, decode.table);
}

/**
 * Code that loads the words of chunk `chunk` of one row into variables named `qTAG_P...`, and the reader that `expression`
 * takes. The row begins at word `rowBase` of the codes, its further planes at `planeP` from there (see planeLocals).
 */
export function loadWords(chunking: Chunking, tag: string | number, rowBase: string, chunk: string): {code: string; words: Words} {
  const lines: string[] = [];
  chunking.words.forEach((count, p) => {
    const start = p === 0 ? rowBase : `${rowBase} + plane${p}`;
    if (chunking.vector[p]) {
      lines.push(`let q${tag}_${p} = codes4[((${start}) >> 2u) + ${chunk}];`);
      return;
    }
    for (let w = 0; w < count; w++) {
      const place = `${chunk} * ${count}u + ${w}u`;
      const read = `codes[${start} + ${place}]`;
      lines.push(`let q${tag}_${p}_${w} = ${chunking.guarded ? `select(0u, ${read}, ${place} < words${p})` : read};`);
    }
  });
  return {code: lines.join('\n'), words: (p, w) => (chunking.vector[p] ? `q${tag}_${p}.${'xyzw'[w]}` : `q${tag}_${p}_${w}`)};
}

/** Declares what loadWords reads: `planeP`, where plane P begins in a row, and `wordsP`, its words of a row. */
export function planeLocals(layout: WeightLayout, params: Params): string {
  const counts = layout.planes.map(
    (width, p) => `let words${p} = ${params.add(`plane_words${p}`, Math.ceil((layout.inDim * width) / 32))};`,
  );
  const starts = planeStartNames('plane', sectionsOf(layout).planeStarts, params).map((name, p) => `let plane${p} = ${name};`);
  return [...counts, ...starts].join(' ');
}

/** `fn lighten(j: u32) -> f32`: 2^-weight of stored column j. */
export function lightenFunction(numbers: Numbers): string {
  if (numbers.period === 0) return 'fn lighten(j: u32) -> f32 { return 1.0; }\n';
  const step = numbers.weight(1) - numbers.weight(0);
  return `fn lighten(j: u32) -> f32 { return bitcast<f32>((127u - (j & ${numbers.period - 1}u) * ${step}u) << 23u); }\n`;
}
