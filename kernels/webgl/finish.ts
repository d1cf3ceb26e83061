/** The last pass of a product: adds the parts of K and the bias, applies the activation, and writes tf.js's 2 x 2 texels. */
import type {Activation} from '../activation.js';
import {remember} from '../memo.js';
import {activationFunction} from './glsl/activation.js';
import {FRAGMENT_INDEX, VERSION} from './glsl/header.js';
import {Params} from './glsl/params.js';
import type {Shader} from './program.js';

const shaders = new Map<string, Shader>();

/**
 * Reads `sums`: texel ((s * tiles + m / tile) * quads + n / 4), folded to the scratch's width, of layer m % tile holds rows
 * n..n+3 of the weight by row m of x over part s of K.
 */
export function finishShader(tile: number, activation: Activation | null, hasBias: boolean): Shader {
  return remember(shaders, `${tile} ${activation} ${hasBias}`, () => build(tile, activation, hasBias));
}

function build(tile: number, activation: Activation | null, hasBias: boolean): Shader {
  const params = new Params();
  params.needs('target_width', 'sums_width', 'quads', 'tiles', 'splits', 'row_count', 'out_count');
  if (hasBias) params.needs('bias_width');
  const bias = hasBias ? 'texelFetch(bias, ivec2(quad % bias_width, quad / bias_width), 0)' : 'vec4(0.0)';
  const source = `${VERSION}${params.declarations()}${hasBias ? 'uniform sampler2D bias;\n' : ''}uniform usampler2DArray sums;
out vec4 result;
${activationFunction(activation)}
vec4 sum(int m, int quad) {
  vec4 y = vec4(0.0);
  for (int s = 0; s < splits; s++) {
    int t = (s * tiles + m / ${tile}) * quads + quad;
    y += uintBitsToFloat(texelFetch(sums, ivec3(t % sums_width, t / sums_width, m % ${tile}), 0));
  }
  return y + ${bias};
}
void main() {
  int t = ${FRAGMENT_INDEX}, across = (out_count + 1) / 2, m = t / across * 2, n = t % across * 2, quad = n >> 2;
  vec4 first = m < row_count ? sum(m, quad) : vec4(0.0), second = m + 1 < row_count ? sum(m + 1, quad) : vec4(0.0);
  vec4 y = (n & 2) == 0 ? vec4(first.xy, second.xy) : vec4(first.zw, second.zw);
  // Padding past an odd M or N must be 0 for tf.js.
  bool inside = n + 1 < out_count, below = m + 1 < row_count;
  result = vec4(
    m < row_count ? activate(y.x) : 0.0,
    inside && m < row_count ? activate(y.y) : 0.0,
    below ? activate(y.z) : 0.0,
    inside && below ? activate(y.w) : 0.0
  );
}
`;
  return {source, ints: params.ints, table: null};
}
