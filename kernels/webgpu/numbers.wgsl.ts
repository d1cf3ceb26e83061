/**
 * WGSL for the codes of a chunk as float vectors. Integer codes are masked where they lie and never shifted: code i of a
 * word is then 2^(i * width) too large, which x, prepared once a call, is too small. Both are exact.
 * A shift of a vector is one instruction on a GPU; where shaders run on a CPU it is twenty, lane by lane.
 */
import {liftOf, position} from '../fields.js';
import {sectionsOf, type WeightLayout} from '../layout.js';
import {type Chunking, centerOf} from './chunk.js';
import {fieldsFunction} from './fields.wgsl.js';
import {floatNumbers} from './float_numbers.wgsl.js';
import {planeStartNames} from './grids.wgsl.js';
import type {Params} from './params.js';
import {tableNumbers} from './table_numbers.wgsl.js';

export type Words = (plane: number, word: number) => string;

export interface Numbers {
  /** Functions that the expressions call. */
  readonly functions: string;
  /**
   * The four numbers of columns 4i..4i+3 of a chunk, less the center, times their weights; `words(p, w)` is word w of plane p,
   * a u32; `zero` names the vectors of `weighted(numbers, zero, value, true)` where zeros are codes.
   */
  expression(i: number, words: Words, zero: string | null): string;
  /** Columns after which weights repeat; 0 where all are 1. */
  readonly period: number;
  /** log2 of the weight of column j: x is multiplied by 2^-weight. */
  weight(j: number): number;
  /** What a masked code of column j lacks: the topmost bit of a word would be a sign, so it is inverted. Of the first plane, at its weight. */
  lift(j: number): number;
  /** The same numbers faster, for sums along a row: NaN codes give anything, but are told. */
  readonly flagged: Flagged | null;
}

export interface Flagged {
  expression(i: number, words: Words): string;
  /** A u32 of columns 4i..4i+3; some bit of NAN_FLAGS is set in it where a code is NaN. */
  flags(i: number, words: Words): string;
}

/** Vectors of four columns after which weights repeat. */
const patternsOf = (period: number) => Math.max(1, period / 4);

/** Declares `NAME_0`, `NAME_1` ...: a number at the weights of columns 0 to 3, 4 to 7 ...; lifted: less what masked codes lack. */
export function weighted(numbers: Numbers, name: string, value: string, lifted = false): string {
  const place = (v: number) => {
    const columns = [0, 1, 2, 3].map((c) => 4 * v + c);
    const weights = columns.map((j) => 2 ** numbers.weight(j));
    const text = weights.every((w) => w === 1) ? `vec4<f32>(${name})` : `${name} * ${vector(weights)}`;
    const lifts = columns.map(numbers.lift);
    return lifted && lifts.some((l) => l !== 0) ? `${text} - ${vector(lifts)}` : text;
  };
  const vectors = [...Array(patternsOf(numbers.period)).keys()].map((v) => `let ${name}_${v} = ${place(v)};`);
  return `let ${name} = ${value}; ${vectors.join(' ')}`;
}

/** The vector of `weighted` that belongs to columns 4i..4i+3. */
export const weightedName = (numbers: Numbers, name: string, i: number) => `${name}_${i % patternsOf(numbers.period)}`;

const vector = (values: readonly number[]) => `vec4<f32>(${values.map((v) => `${v}.0`).join(', ')})`;

function integerNumbers(layout: WeightLayout): Numbers {
  const center = centerOf(layout);
  const first = layout.planes[0] as number;
  const weight = (j: number) => position(first, j);
  const period = first >= 16 ? 0 : 32 / first;
  /** What field j of plane p is multiplied by, to stand where the first plane's weights put it. */
  const factor = (p: number, j: number) => {
    const low = layout.planes.slice(0, p).reduce((a, b) => a + b, 0);
    return 2 ** (low + weight(j) - position(layout.planes[p] as number, j));
  };
  const lift = (j: number) => liftOf(first, j);
  const common = {period, weight, lift, flagged: null};
  if (first === 32) {
    const term = (w: string) => (center === 0 ? `f32(${w})` : `f32(bitcast<i32>(${w} - ${center}u))`);
    return {
      ...common,
      functions: '',
      expression: (i, words) => `vec4<f32>(${[0, 1, 2, 3].map((c) => term(words(0, 4 * i + c))).join(', ')})`,
    };
  }
  const minus = (text: string, i: number, zero: string | null) => {
    if (zero !== null) return `(${text} - ${zero}_${i % patternsOf(period)})`;
    const centers = [0, 1, 2, 3].map((c) => center * 2 ** weight(4 * i + c) - lift(4 * i + c));
    return centers.every((v) => v === 0) ? text : `(${text} - ${vector(centers)})`;
  };
  if (first === 16) {
    const halves = (a: string, b: string) => `vec4<f32>(vec4<i32>(vec4<u32>(${a} & 65535u, ${a} >> 16u, ${b} & 65535u, ${b} >> 16u)))`;
    return {...common, functions: '', expression: (i, words, zero) => minus(halves(words(0, 2 * i), words(0, 2 * i + 1)), i, zero)};
  }
  const functions = new Set<string>();
  for (const width of layout.planes) for (let v = 0; v < 8 / width; v++) functions.add(fieldsFunction(width, v));
  return {
    ...common,
    functions: [...functions].join(''),
    expression(i, words, zero) {
      const terms = layout.planes.map((width, p) => {
        const perWord = 8 / width;
        const fields = `fields${width}_${i % perWord}(${words(p, Math.floor(i / perWord))})`;
        if (p === 0) return fields;
        const factors = [0, 1, 2, 3].map((c) => factor(p, 4 * i + c));
        const lifts = factors.map((f, c) => f * liftOf(width, 4 * i + c));
        const lifted = lifts.some((l) => l !== 0) ? ` + ${vector(lifts)}` : '';
        return `${fields} * vec4<f32>(${factors.join(', ')})${lifted}`;
      });
      return minus(terms.join(' + '), i, zero);
    },
  };
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
