/** How shaders mask the codes of a word where they lie. */

/** log2 of how much too large a masked code at position i of its run is. */
export const position = (width: number, i: number) => (width >= 16 ? 0 : (i * width) % 32);

/** What a masked code at position i of its run lacks: the topmost bit of a word would be a sign, so it is inverted. */
export const liftOf = (width: number, i: number) => (width < 16 && ((i + 1) * width) % 32 === 0 ? 2 ** 31 : 0);

/** Of four codes of a word. */
export interface FieldMasks {
  readonly masks: readonly number[];
  /** Whether the topmost bit is to be inverted. */
  readonly flip: boolean;
  readonly positions: readonly number[];
  readonly lifts: readonly number[];
}

/** Of codes 4v..4v+3 of a word of width `width`, at most 8. */
export function maskFields(width: number, v: number): FieldMasks {
  const codes = [0, 1, 2, 3].map((c) => 4 * v + c);
  const positions = codes.map((i) => position(width, i));
  const lifts = codes.map((i) => liftOf(width, i));
  return {masks: positions.map((p) => (2 ** width - 1) * 2 ** p), flip: lifts.some((l) => l !== 0), positions, lifts};
}
