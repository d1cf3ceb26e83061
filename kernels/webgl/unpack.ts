/** UnpackWeight: the weight, or chosen rows of it, as float32, bit-equal to the oracle. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import type {UnpackWeightAttrs} from '../attributes.js';
import type {WeightLayout} from '../layout.js';
import {checkContext, lineShift, maxTextureSize, rendersFloat32, type WebglBackend} from './backend.js';
import {accessFunctions, EXACT, numberFunction, valueFunction} from './glsl/access.js';
import {exactArithmetic} from './glsl/exact.js';
import {FRAGMENT_INDEX, VERSION, wordReaders} from './glsl/header.js';
import {Params} from './glsl/params.js';
import {run, type Sampled, type Shader, tensorTarget} from './program.js';
import {acquire, readFloats, release} from './scratch.js';
import {wordsTexture} from './words_texture.js';

/** Rows are a range, or are read from a tensor. The result is tf.js's 2 x 2 texels, or the bits of four values in a row. */
interface Variant {
  readonly shift: number;
  readonly chosen: boolean;
  readonly target: 'packed' | 'bits';
}

const shaders = new WeakMap<WeightLayout, Map<string, Shader>>();

function shaderFor(layout: WeightLayout, variant: Variant): Shader {
  let known = shaders.get(layout);
  if (known === undefined) shaders.set(layout, (known = new Map()));
  const key = `${variant.shift} ${variant.chosen} ${variant.target}`;
  let shader = known.get(key);
  if (shader === undefined) known.set(key, (shader = unpackShader(layout, variant)));
  return shader;
}

function unpackShader(layout: WeightLayout, {shift, chosen, target}: Variant): Shader {
  const params = new Params();
  const inDim = params.add('in_dim', layout.inDim);
  params.needs('target_width', 'row_start', 'row_count', 'out_dim', 'rows_width', 'inverse_start', 'first_value');
  const functions =
    exactArithmetic(params) + accessFunctions(layout, params, EXACT) + numberFunction(layout, params) + valueFunction(layout, EXACT);
  // A row that does not exist reads as NaN: seen, unlike a wrong one.
  const row = chosen
    ? `int c = int(floor(texelFetch(rows, ivec2((r >> 2) % rows_width, (r >> 2) / rows_width), 0)[r & 3] + 0.5));
  if (c < 0 || c >= out_dim) return ${0x7fc00000}u;
  int n = row_start + c;`
    : 'int n = row_start + r;';
  const column = layout.ordered ? 'int(word(inverse_start + k))' : 'k';
  const write =
    target === 'packed'
      ? `out vec4 result;
void main() {
  int t = ${FRAGMENT_INDEX}, across = (${inDim} + 1) / 2, r = t / across * 2, k = t % across * 2;
  result = uintBitsToFloat(uvec4(at(r, k), at(r, k + 1), at(r + 1, k), at(r + 1, k + 1)));
}`
      : `out uvec4 result;
void main() {
  int t = first_value + ${FRAGMENT_INDEX} * 4;
  uvec4 bits;
  for (int i = 0; i < 4; i++) bits[i] = at((t + i) / ${inDim}, (t + i) % ${inDim});
  result = bits;
}`;
  const source = `${VERSION}${params.declarations()}${chosen ? 'uniform sampler2D rows;\n' : ''}${wordReaders(shift)}${functions}
uint at(int r, int k) {
  if (k >= ${inDim} || r >= row_count) return 0u;
  ${row}
  return value_at(n, ${column});
}
${write}
`;
  return {source, ints: params.ints, table: params.table};
}

/** words [L] int32, rows [R] int32 or none -> float32 [R, K]. */
export const unpackWeight: KernelFunc = ({inputs, backend, attrs}) => {
  const webgl = backend as unknown as WebglBackend;
  checkContext(webgl);
  const {layout, rowStart, rowEnd} = attrs as unknown as UnpackWeightAttrs;
  const rows = inputs.rows as TensorInfo | undefined;
  const words = wordsTexture(webgl, (inputs.words as TensorInfo).dataId, layout);
  const count = rows === undefined ? rowEnd - rowStart : (rows.shape[0] as number);
  const textures: Record<string, Sampled> = {words: {texture: words.texture}};
  const ints: Record<string, number> = {
    row_start: rowStart,
    row_count: count,
    out_dim: rowEnd - rowStart,
    inverse_start: words.inverseOrder,
  };
  let decoded: TensorInfo | null = null;
  if (rows !== undefined) {
    decoded = webgl.decode(rows.dataId);
    const {texture, texShape} = webgl.texData.get(decoded.dataId);
    textures.rows = {texture: (texture as {texture: WebGLTexture}).texture};
    ints.rows_width = Math.ceil((texShape as [number, number])[1] / 2);
  }
  const variant = {shift: words.shift, chosen: rows !== undefined};
  const shape = [count, layout.inDim];
  const result = rendersFloat32() ? onDevice(webgl, layout, variant, textures, ints, shape) : throughHost(webgl, layout, variant, textures, ints, shape);
  if (decoded !== null) webgl.disposeIntermediateTensorInfo(decoded);
  return result;
};

type Draw = (
  backend: WebglBackend,
  layout: WeightLayout,
  variant: Omit<Variant, 'target'>,
  textures: Record<string, Sampled>,
  ints: Record<string, number>,
  shape: number[],
) => TensorInfo;

const onDevice: Draw = (backend, layout, variant, textures, ints, shape) => {
  const out = backend.makeTensorInfo(shape, 'float32');
  backend.texData.get(out.dataId).isPacked = true;
  backend.uploadToGPU(out.dataId);
  run(backend, shaderFor(layout, {...variant, target: 'packed'}), textures, ints, tensorTarget(backend, out.dataId));
  return out;
};

/** Texels read back at a time where values go through the host (32 MiB). */
const HOST_TEXELS = 1 << 21;

/** Where float textures hold 16 bits the values come back by an integer texture, exact, and stay on the host until used. */
const throughHost: Draw = (backend, layout, variant, textures, ints, shape) => {
  const values = new Float32Array((shape[0] as number) * (shape[1] as number));
  const texels = Math.min(HOST_TEXELS, Math.ceil(values.length / 4));
  const width = Math.min(1 << lineShift(), texels);
  const scratch = acquire(backend, width, Math.min(maxTextureSize(), Math.ceil(texels / width)), 1);
  const step = scratch.width * scratch.height * 4;
  for (let first = 0; first < values.length; first += step) {
    run(backend, shaderFor(layout, {...variant, target: 'bits'}), textures, {...ints, first_value: first}, scratch);
    values.set(readFloats(backend, scratch, Math.min(step, values.length - first)), first);
  }
  release(backend, scratch);
  return backend.makeTensorInfo(shape, 'float32', values);
};
