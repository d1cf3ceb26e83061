/** The number types of GGUF files: what each is called, and how many bytes hold how many elements. ggml.h and ggml-common.h, up to Q2_0. */
import {FileFormatError, UnsupportedError} from '../errors.js';

export interface GgufType {
  readonly id: number;
  readonly name: string;
  /** Elements of one block; a row must be a multiple of it. */
  readonly blockElements: number;
  readonly blockBytes: number;
}

const type = (id: number, name: string, blockElements: number, blockBytes: number): GgufType => ({id, name, blockElements, blockBytes});

/** Every type a GGUF file of today may hold. Which of them can be computed with is for the formats to say. */
export const GGUF_TYPES: readonly GgufType[] = [
  type(0, 'F32', 1, 4),
  type(1, 'F16', 1, 2),
  type(2, 'Q4_0', 32, 18),
  type(3, 'Q4_1', 32, 20),
  type(6, 'Q5_0', 32, 22),
  type(7, 'Q5_1', 32, 24),
  type(8, 'Q8_0', 32, 34),
  type(9, 'Q8_1', 32, 36),
  type(10, 'Q2_K', 256, 84),
  type(11, 'Q3_K', 256, 110),
  type(12, 'Q4_K', 256, 144),
  type(13, 'Q5_K', 256, 176),
  type(14, 'Q6_K', 256, 210),
  type(15, 'Q8_K', 256, 292),
  type(16, 'IQ2_XXS', 256, 66),
  type(17, 'IQ2_XS', 256, 74),
  type(18, 'IQ3_XXS', 256, 98),
  type(19, 'IQ1_S', 256, 50),
  type(20, 'IQ4_NL', 32, 18),
  type(21, 'IQ3_S', 256, 110),
  type(22, 'IQ2_S', 256, 82),
  type(23, 'IQ4_XS', 256, 136),
  type(24, 'I8', 1, 1),
  type(25, 'I16', 1, 2),
  type(26, 'I32', 1, 4),
  type(27, 'I64', 1, 8),
  type(28, 'F64', 1, 8),
  type(29, 'IQ1_M', 256, 56),
  type(30, 'BF16', 1, 2),
  type(34, 'TQ1_0', 256, 54),
  type(35, 'TQ2_0', 256, 66),
  type(39, 'MXFP4', 32, 17),
  type(40, 'NVFP4', 64, 36),
  type(41, 'Q1_0', 128, 18),
  type(42, 'Q2_0', 64, 18),
];

/** Numbers that once had a meaning. ggml took these types out of files; what is in them is laid out for one machine's instructions. */
const REMOVED: ReadonlyMap<number, string> = new Map([
  [4, 'Q4_2'],
  [5, 'Q4_3'],
  [31, 'Q4_0_4_4'],
  [32, 'Q4_0_4_8'],
  [33, 'Q4_0_8_8'],
  [36, 'IQ4_NL_4_4'],
  [37, 'IQ4_NL_4_8'],
  [38, 'IQ4_NL_8_8'],
]);

const byId: ReadonlyMap<number, GgufType> = new Map(GGUF_TYPES.map((entry) => [entry.id, entry]));

/** The type of that number. Throws `UnsupportedError` for one that was removed from the format, `FileFormatError` for an unknown one. */
export function ggufType(id: number, where: string): GgufType {
  const known = byId.get(id);
  if (known !== undefined) return known;
  const removed = REMOVED.get(id);
  if (removed !== undefined) {
    throw new UnsupportedError({
      where,
      expected: 'a type that GGUF files still have',
      received: `type ${id}, ${removed}`,
      why: 'ggml removed it from the format.',
      remedy: `Take the same model as ${removed.startsWith('IQ4') ? 'IQ4_NL' : 'Q4_0'}.`,
    });
  }
  throw new FileFormatError({
    where,
    expected: `a type from 0 to ${Math.max(...byId.keys())}`,
    received: `type ${id}`,
    why: 'How its blocks are laid out is not known, so neither its size nor its numbers can be read.',
  });
}
