/** QuantizedMatMul: act(x . W^T + bias) with W packed. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import type {QuantizedMatMulAttrs} from '../attributes.js';
import type {WeightLayout} from '../layout.js';
import {checkContext, maxTextureSize, type WebglBackend} from './backend.js';
import {chooseWebgl, type WebglChoice, type WebglVariant} from './choose.js';
import {finishShader} from './finish.js';
import {denseInput} from './input.js';
import {blocksShader, generalShader} from './product.js';
import {run, type Sampled, type Shader, tensorTarget} from './program.js';
import {acquire, release} from './scratch.js';
import {wordsTexture} from './words_texture.js';

let forced: WebglVariant | null = null;

/** For tests: runs `variant` wherever it can; null chooses again. */
export function forceWebglVariant(variant: WebglVariant | null): void {
  forced = variant;
}

const shaders = new WeakMap<WeightLayout, Map<string, Shader>>();

function productShader(layout: WeightLayout, choice: WebglChoice, shift: number, folded: boolean): Shader {
  let known = shaders.get(layout);
  if (known === undefined) shaders.set(layout, (known = new Map()));
  const key = `${choice.variant} ${choice.tile} ${shift} ${folded}`;
  let shader = known.get(key);
  if (shader === undefined) {
    const build = choice.variant === 'blocks' ? blocksShader : generalShader;
    known.set(key, (shader = build(layout, choice, shift, folded)));
  }
  return shader;
}

/** The shape of the sums: one texel a fragment, at least two lines, because a GPU shades fragments by two by two. */
function foldFragments(fragments: number, quads: number): [width: number, height: number] {
  const width = Math.min(maxTextureSize(), quads, Math.max(1, Math.ceil(fragments / 2)));
  return [width, Math.ceil(fragments / width)];
}

/** x [M, K] float32, words [L] int32, bias [N] float32 or none -> [M, N] float32. */
export const quantizedMatMul: KernelFunc = ({inputs, backend, attrs}) => {
  const webgl = backend as unknown as WebglBackend;
  checkContext(webgl);
  const {layout, rowStart, rowEnd, activation} = attrs as unknown as QuantizedMatMulAttrs;
  const {x, words, bias} = inputs as {x: TensorInfo; words: TensorInfo; bias?: TensorInfo};
  const m = x.shape[0] as number;
  const n = rowEnd - rowStart;
  const weight = wordsTexture(webgl, words.dataId, layout);
  const choice = chooseWebgl(layout, m, n, forced);
  const quads = Math.ceil(n / 4);
  const tiles = Math.ceil(m / choice.tile);
  const ints = {quads, tiles, splits: choice.splits, row_count: m, out_count: n};
  const [width, height] = foldFragments(quads * tiles * choice.splits, quads);
  const sums = acquire(webgl, width, height, choice.tile);
  const input = denseInput(webgl, x, layout, weight);
  run(
    webgl,
    productShader(layout, choice, weight.shift, input.folded),
    {words: {texture: weight.texture}, x: {texture: input.texture}},
    {...ints, row_start: rowStart, x_width: Math.ceil(layout.inDim / 4)},
    sums,
  );
  webgl.disposeIntermediateTensorInfo(input.info);
  const out = webgl.makeTensorInfo([m, n], 'float32');
  webgl.texData.get(out.dataId).isPacked = true;
  webgl.uploadToGPU(out.dataId);
  const textures: Record<string, Sampled> = {sums: {texture: sums.texture, layered: true}};
  let biasWidth = 0;
  let dense: TensorInfo | null = null;
  if (bias !== undefined) {
    dense = webgl.decode(bias.dataId);
    const {texture, texShape} = webgl.texData.get(dense.dataId);
    textures.bias = {texture: (texture as {texture: WebGLTexture}).texture};
    biasWidth = Math.ceil((texShape as [number, number])[1] / 2);
  }
  const finish = finishShader(choice.tile, activation, bias !== undefined);
  run(webgl, finish, textures, {...ints, sums_width: width, bias_width: biasWidth}, tensorTarget(webgl, out.dataId));
  if (dense !== null) webgl.disposeIntermediateTensorInfo(dense);
  release(webgl, sums);
  return out;
};
