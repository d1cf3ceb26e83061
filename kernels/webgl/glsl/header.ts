/** What every one of our fragment shaders begins with. */

export const VERSION = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp usampler2D;
precision highp usampler2DArray;
`;

/** texel(i): four words; word(i): one. 2^shift texels a line. */
export function wordReaders(shift: number): string {
  return `uniform usampler2D words;
uvec4 texel(int i) { return texelFetch(words, ivec2(i & ${2 ** shift - 1}, i >> ${shift}), 0); }
uint word(int i) { return texel(i >> 2)[i & 3]; }
`;
}

/** The number of this fragment, row by row of a target `target_width` wide. */
export const FRAGMENT_INDEX = '(int(gl_FragCoord.y) * target_width + int(gl_FragCoord.x))';
