/** What every one of our fragment shaders begins with. */

export const VERSION = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp usampler2D;
precision highp usampler2DArray;
`;

/** Where texel i of the words lies: line i >> shift, and in an array of textures, 2^layerShift lines a layer. */
export interface Folding {
  /** 2^shift texels a line. */
  readonly shift: number;
  /** null: one texture. */
  readonly layerShift: number | null;
}

/** A key of programs that read words folded this way. */
export const foldingKey = ({shift, layerShift}: Folding) => `${shift}/${layerShift}`;

/** texel(i): four words; word(i): one. */
export function wordReaders({shift, layerShift}: Folding): string {
  const column = `i & ${2 ** shift - 1}`;
  const [sampler, at] =
    layerShift === null
      ? ['usampler2D', `ivec2(${column}, i >> ${shift})`]
      : ['usampler2DArray', `ivec3(${column}, (i >> ${shift}) & ${2 ** layerShift - 1}, i >> ${shift + layerShift})`];
  return `uniform ${sampler} words;
uvec4 texel(int i) { return texelFetch(words, ${at}, 0); }
uint word(int i) { return texel(i >> 2)[i & 3]; }
`;
}

/** The number of this fragment, row by row of a target `target_width` wide. */
export const FRAGMENT_INDEX = '(int(gl_FragCoord.y) * target_width + int(gl_FragCoord.x))';
