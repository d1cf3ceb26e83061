/**
 * GLSL that turns words of integer codes into numbers, four at a time. Codes are masked where they lie and scaled down as floats, never shifted: a
 * shift of a vector is one instruction on a GPU; where shaders run on a CPU it is twenty, lane by lane.
 */
import {type FieldMasks, maskFields} from '../../fields.js';
import {literal} from '../../rounded_polynomial.js';

const vector = (values: readonly number[]) => `vec4(${values.map(literal).join(', ')})`;

/** Masked codes as floats: too large by 2^position, and lifted. */
export const maskedField = ({masks, flip}: FieldMasks, word: string) =>
  `vec4(ivec4(uvec4(${flip ? `${word} ^ 0x80000000u` : word}) & uvec4(${masks.map((m) => `${m}u`).join(', ')})))`;

/**
 * The vec4 of codes 4v..4v+3 of a run, less `center`, in planes of at most 8 bits; `word(plane, bit)` is the word of a plane that holds its bit `bit`.
 */
export function integerNumbers(planes: readonly number[], v: number, center: number, word: (plane: number, bit: number) => string): string {
  let low = 0;
  const rest = [0, 1, 2, 3].map(() => -center);
  const terms = planes.map((width, plane) => {
    const field = maskFields(width, v % (8 / width));
    const factors = field.positions.map((position) => 2 ** (low - position));
    field.lifts.forEach((lift, c) => {
      (rest as number[])[c] = (rest[c] as number) + lift * (factors[c] as number);
    });
    low += width;
    const text = maskedField(field, word(plane, 4 * v * width));
    return factors.every((f) => f === 1) ? text : `${text} * ${vector(factors)}`;
  });
  const sum = terms.join(' + ');
  return rest.every((r) => r === 0) ? sum : `${sum} + ${vector(rest)}`;
}
