/** x as four consecutive values of a row a texel: tf.js's own dense copy where that is the shape, else a pass of ours. */
import type {TensorInfo} from '@tensorflow/tfjs';
import {sectionsOf, type WeightLayout} from '../layout.js';
import {remember} from '../memo.js';
import {lineShift, maxTextureSize, type WebglBackend} from './backend.js';
import {type Folding, FRAGMENT_INDEX, foldingKey, VERSION, wordReaders} from './glsl/header.js';
import {Params} from './glsl/params.js';
import {type Dense, denseTexture, run, type Shader, tensorTarget} from './program.js';
import type {WordsTexture} from './words_texture.js';

export interface DenseInput extends Dense {
  /** Texel q of row m lies at (q, m), or, folded, at m * width + q counted along lines of 2^shift texels. */
  readonly folded: boolean;
}

/** The text that reads texel q of row m of x. */
export function readInput(folded: boolean, q: string, m: string): string {
  if (!folded) return `texelFetch(x, ivec2(${q}, ${m}), 0)`;
  const shift = lineShift();
  return `texelFetch(x, ivec2((${m} * x_width + ${q}) & ${2 ** shift - 1}, (${m} * x_width + ${q}) >> ${shift}), 0)`;
}

/**
 * x [M, K] of any state (on the host, packed, a slice, reshaped), columns in the weight's stored order, padded with zeros to
 * whole texels. The caller disposes `info`.
 */
export function denseInput(backend: WebglBackend, x: TensorInfo, layout: WeightLayout, words: WordsTexture): DenseInput {
  const [m, k] = x.shape as [number, number];
  const width = Math.ceil(k / 4);
  const fits = width <= maxTextureSize() && m <= maxTextureSize();
  if (fits && k % 4 === 0 && !layout.ordered) return {...denseTexture(backend, backend.decode(x.dataId, [m, width])), folded: false};
  const flat = denseTexture(backend, backend.decode(x.dataId));
  const out = backend.makeTensorInfo([m, width * 4], 'float32');
  const data = backend.texData.get(out.dataId);
  const across = fits ? width : Math.min(2 ** lineShift(), m * width);
  data.isPacked = true;
  data.texShape = [2 * Math.ceil((m * width) / across), 2 * across];
  backend.uploadToGPU(out.dataId);
  const known = remember(shaders, layout, () => new Map<string, Shader>());
  run(
    backend,
    remember(known, foldingKey(words), () => arrangeShader(layout, words)),
    {words, x: flat},
    {in_dim: k, x_width: width, flat_width: flat.width, row_count: m},
    tensorTarget(backend, out.dataId),
  );
  backend.disposeIntermediateTensorInfo(flat.info);
  return {...denseTexture(backend, out), folded: !fits};
}

const shaders = new WeakMap<WeightLayout, Map<string, Shader>>();

function arrangeShader(layout: WeightLayout, folding: Folding): Shader {
  const params = new Params();
  params.needs('in_dim', 'x_width', 'flat_width', 'row_count', 'target_width');
  const column = layout.ordered ? `int(word(${params.add('order_start', sectionsOf(layout).order.start)} + k))` : 'k';
  const source = `${VERSION}${params.declarations()}${wordReaders(folding)}uniform sampler2D x;
out vec4 result;
void main() {
  int t = ${FRAGMENT_INDEX}, m = t / x_width;
  vec4 values = vec4(0.0);
  for (int i = 0; i < 4; i++) {
    int k = (t - m * x_width) * 4 + i;
    if (m >= row_count || k >= in_dim) continue;
    int at = m * in_dim + ${column}, texel_at = at >> 2;
    values[i] = texelFetch(x, ivec2(texel_at % flat_width, texel_at / flat_width), 0)[at & 3];
  }
  result = values;
}
`;
  return {source, ints: params.ints, table: null};
}
