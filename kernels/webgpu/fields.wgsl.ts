/** WGSL that masks the codes of a word where they lie. */

/** log2 of how much too large a masked code at position i of its run is. */
export const position = (width: number, i: number) => (width >= 16 ? 0 : (i * width) % 32);

/** `fn fieldsW_V(w: u32) -> vec4<f32>`: codes 4V..4V+3 of a word of width W, masked. i32 converts faster than u32. */
export function fieldsFunction(width: number, v: number): string {
  const masks = [0, 1, 2, 3].map((c) => `${(2 ** width - 1) * 2 ** ((4 * v + c) * width)}u`);
  const word = (4 * v + 4) * width === 32 ? 'w ^ 0x80000000u' : 'w';
  return `fn fields${width}_${v}(w: u32) -> vec4<f32> { return vec4<f32>(bitcast<vec4<i32>>(vec4<u32>(${word}) & vec4<u32>(${masks.join(', ')}))); }\n`;
}

/** What a masked code at position i of its run lacks: the topmost bit of a word would be a sign, so it is inverted. */
export const liftOf = (width: number, i: number) => (width < 16 && ((i + 1) * width) % 32 === 0 ? 2 ** 31 : 0);
