/** WGSL for 4-bit codes that stand for 16 numbers of a table. */
import {maskFields} from '../fields.js';
import type {WeightLayout} from '../layout.js';
import {literal, polynomialText, roundedPolynomial} from '../rounded_polynomial.js';
import {fieldsFunction} from './fields.wgsl.js';
import {UNWEIGHTED} from './float_numbers.wgsl.js';
import type {Numbers, Words} from './numbers.wgsl.js';

export function tableNumbers(layout: WeightLayout, table: readonly number[]): Numbers {
  const polynomial = roundedPolynomial(table);
  return polynomial === null ? tree(layout.planes[0] as number, table) : rounded(layout.planes[0] as number, polynomial);
}

/** Masked codes where they lie, into a polynomial: a fifth of the tree's work. */
function rounded(width: number, polynomial: readonly number[]): Numbers {
  const perWord = 8 / width;
  const functions = [...Array(perWord).keys()].map((v) => {
    const text = polynomialText(polynomial, maskFields(width, v), 'vec4<f32>');
    return `${fieldsFunction(width, v)}fn numbers_${v}(w: u32) -> vec4<f32> { let t = fields${width}_${v}(w); return ${text}; }\n`;
  });
  const expression = (i: number, words: Words) => `numbers_${i % perWord}(${words(0, Math.floor(i / perWord))})`;
  return {...UNWEIGHTED, functions: functions.join(''), expression};
}

/** Codes 4i..4i+3 as vec4<u32>, each in the top bits of its lane, with others below. */
function topExpression(width: number, i: number, words: Words): string {
  const perWord = 8 / width;
  const shifts = [0, 1, 2, 3].map((c) => 32 - width - ((i % perWord) * 4 + c) * width);
  // A product is as good as a shift, and where shaders run on a CPU far better.
  return `(vec4<u32>(${words(0, Math.floor(i / perWord))}) * vec4<u32>(${shifts.map((n) => `${2 ** n}u`).join(', ')}))`;
}

/** A tree of choices by the code's four bits. Looked up in memory, each lane of each code would be a load of its own. */
function tree(width: number, table: readonly number[]): Numbers {
  const choose = (entries: readonly string[], bit: number): string => {
    if (entries.length === 1) return entries[0] as string;
    const next: string[] = [];
    for (let i = 0; i < entries.length; i += 2) next.push(`select(${entries[i]}, ${entries[i + 1]}, bit${bit})`);
    return choose(next, bit + 1);
  };
  const leaves = table.map((v) => `vec4<f32>(${literal(v)})`);
  const bits = [0, 1, 2, 3].map((b) => `let bit${b} = (codes & vec4<u32>(${2 ** (28 + b)}u)) != vec4<u32>();`);
  const functions = `fn numbers_of(codes: vec4<u32>) -> vec4<f32> {\n  ${bits.join('\n  ')}\n  return ${choose(leaves, 0)};\n}\n`;
  return {...UNWEIGHTED, functions, expression: (i, words) => `numbers_of(${topExpression(width, i, words)})`};
}
