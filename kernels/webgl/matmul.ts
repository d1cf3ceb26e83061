/** QuantizedMatMul: act(x . W^T + bias) with W packed. */
import {env, type KernelFunc, type TensorInfo} from '@tensorflow/tfjs';
import {ArgumentError, DeviceError} from '../../src/errors.js';
import type {QuantizedMatMulAttrs} from '../attributes.js';
import type {WeightLayout} from '../layout.js';
import {remember} from '../memo.js';
import {checkContext, lineShift, maxTextureSize, type WebglBackend} from './backend.js';
import {checkDevice} from './check.js';
import {chooseWebgl, WEBGL_VARIANTS, type WebglChoice, type WebglVariant} from './choose.js';
import {finishShader} from './finish.js';
import {type Folding, foldingKey} from './glsl/header.js';
import {denseInput} from './input.js';
import {blocksShader, generalShader} from './product.js';
import {denseTexture, packedTensor, run, type Sampled, type Shader, tensorTarget} from './program.js';
import {acquire, release, type Scratch} from './scratch.js';
import {wordsTexture} from './words_texture.js';

/** A tf.env() flag: 'auto', or the variant to run wherever it can. */
export const WEBGL_VARIANT_FLAG = 'TFJS_LINEAR_WEBGL_VARIANT';

export function forcedVariant(): WebglVariant | null {
  const value = env().get(WEBGL_VARIANT_FLAG) as unknown as string;
  if (value === 'auto') return null;
  if ((WEBGL_VARIANTS as readonly string[]).includes(value)) return value as WebglVariant;
  throw new ArgumentError({where: WEBGL_VARIANT_FLAG, expected: `auto, ${WEBGL_VARIANTS.join(', ')}`, received: value});
}

const shaders = new WeakMap<WeightLayout, Map<string, Shader>>();

function productShader(layout: WeightLayout, choice: WebglChoice, folding: Folding, folded: boolean): Shader {
  const known = remember(shaders, layout, () => new Map<string, Shader>());
  const build = choice.variant === 'blocks' ? blocksShader : generalShader;
  const key = `${choice.variant} ${choice.tile} ${foldingKey(folding)} ${folded ? lineShift() : ''}`;
  return remember(known, key, () => build(layout, choice, folding, folded));
}

/** The shape of the sums: one texel a fragment, at least two lines, because a GPU shades fragments two by two. */
function foldFragments(fragments: number, quads: number): [width: number, height: number] {
  const size = maxTextureSize();
  const width = Math.max(Math.min(size, quads, Math.ceil(fragments / 2)), Math.ceil(fragments / size));
  if (width <= size) return [width, Math.ceil(fragments / width)];
  throw new DeviceError({
    where: 'webgl: quantizedMatMul',
    expected: `at most ${size * size} texels of sums`,
    received: fragments,
    why: `The largest texture of this device is ${size} x ${size}.`,
    remedy: 'Multiply fewer rows of x at a time.',
  });
}

/** x [M, K] float32, words [L] int32, bias [N] float32 or none -> [M, N] float32. */
export const quantizedMatMul: KernelFunc = ({inputs, backend, attrs}) => {
  const webgl = backend as unknown as WebglBackend;
  checkContext(webgl);
  checkDevice(webgl);
  const {layout, rowStart, rowEnd, activation} = attrs as unknown as QuantizedMatMulAttrs;
  const {x, words, bias} = inputs as {x: TensorInfo; words: TensorInfo; bias?: TensorInfo};
  const problem: Problem = {layout, words, rowStart, m: x.shape[0] as number, n: rowEnd - rowStart};
  const choice = chooseWebgl(layout, problem.m, problem.n, forcedVariant());
  const tiles = Math.ceil(problem.m / choice.tile);
  const quads = Math.ceil(problem.n / 4);
  const sums = acquire(webgl, ...foldFragments(quads * tiles * choice.splits, quads), choice.tile);
  try {
    const ints = {quads, tiles, splits: choice.splits, row_count: problem.m, out_count: problem.n};
    multiply(webgl, problem, x, choice, ints, sums);
    const textures: Record<string, Sampled> = {sums: {texture: sums.texture, layered: true}};
    const dense = bias === undefined ? null : denseTexture(webgl, webgl.decode(bias.dataId));
    if (dense !== null) textures.bias = dense;
    const out = packedTensor(webgl, [problem.m, problem.n]);
    const finish = finishShader(choice.tile, activation, dense !== null);
    run(webgl, finish, textures, {...ints, sums_width: sums.width, bias_width: dense?.width ?? 0}, tensorTarget(webgl, out.dataId));
    if (dense !== null) webgl.disposeIntermediateTensorInfo(dense.info);
    return out;
  } finally {
    release(webgl, sums);
  }
};

interface Problem {
  readonly layout: WeightLayout;
  readonly words: TensorInfo;
  readonly rowStart: number;
  readonly m: number;
  readonly n: number;
}

/** Fills `sums`: see finish.ts. */
function multiply(
  backend: WebglBackend,
  {layout, words, rowStart}: Problem,
  x: TensorInfo,
  choice: WebglChoice,
  ints: Readonly<Record<string, number>>,
  sums: Scratch,
): void {
  const weight = wordsTexture(backend, words.dataId, layout);
  const input = denseInput(backend, x, layout, weight);
  run(
    backend,
    productShader(layout, choice, weight, input.folded),
    {words: weight, x: {texture: input.texture}},
    {...ints, row_start: rowStart, x_width: Math.ceil(layout.inDim / 4)},
    sums,
  );
  backend.disposeIntermediateTensorInfo(input.info);
}
