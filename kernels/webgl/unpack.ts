/** UnpackWeight: the weight, or chosen rows of it, as float32, bit-equal to the oracle. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import type {UnpackWeightAttrs} from '../attributes.js';
import {commonRun, type WeightLayout} from '../layout.js';
import {remember} from '../memo.js';
import {rowOutside} from '../rows.js';
import {checkContext, lineShift, maxTextureSize, rendersFloat32, type WebglBackend} from './backend.js';
import {checkDevice} from './check.js';
import {accessFunctions, EXACT, valueFunctions} from './glsl/access.js';
import {exactArithmetic} from './glsl/exact.js';
import {type Folding, FRAGMENT_INDEX, foldingKey, VERSION, wordReaders} from './glsl/header.js';
import {Params} from './glsl/params.js';
import {type Numbers, numbersTexture, packedTensor, run, type Sampled, type Shader, tensorTarget} from './program.js';
import {acquire, readWords, release} from './scratch.js';
import {wordsTexture} from './words_texture.js';

/** Rows are a range, or are read from a tensor. The result is tf.js's 2 x 2 texels, or the bits of four values in a row. */
interface Variant {
  readonly folding: Folding;
  readonly chosen: boolean;
  readonly target: 'packed' | 'bits';
}

const shaders = new WeakMap<WeightLayout, Map<string, Shader>>();

function shaderFor(layout: WeightLayout, variant: Variant): Shader {
  const known = remember(shaders, layout, () => new Map<string, Shader>());
  return remember(known, `${foldingKey(variant.folding)} ${variant.chosen} ${variant.target}`, () => unpackShader(layout, variant));
}

function unpackShader(layout: WeightLayout, {folding, chosen, target}: Variant): Shader {
  const params = new Params();
  params.add('in_dim', layout.inDim);
  params.needs('target_width', 'row_start', 'row_count', 'out_dim', 'rows_width', 'inverse_start', 'first_value');
  // Two columns of a texel share their scales and their word, unless an order or a short group comes between them.
  const pairs = target === 'packed' && !layout.ordered && commonRun(layout) % 2 === 0;
  const functions = exactArithmetic(params) + accessFunctions(layout, params, EXACT) + valueFunctions(layout, params, EXACT, pairs);
  const column = layout.ordered ? 'int(word(inverse_start + k))' : 'k';
  const value = pairs ? '' : `uint at(int r, int k) { return inside(r, k) ? value_at(row_of(r), ${column}) : outside(r, k); }\n`;
  const source = `${VERSION}${params.declarations()}${chosen ? 'uniform sampler2D rows;\n' : ''}${wordReaders(folding)}${functions}
${rowFunctions(chosen)}${value}${target === 'bits' ? WRITE_BITS : pairs ? WRITE_PAIRS : WRITE_PACKED}`;
  return {source, ints: params.ints, table: params.table};
}

/**
 * row_of(r): row of the record that row r of the result is; inside(r, k): there is such a weight; outside(r, k): what stands
 * for it otherwise. Padding must be 0 for tf.js; a chosen row that does not exist is NaN: seen, unlike a wrong one.
 */
function rowFunctions(chosen: boolean): string {
  const exists = 'k < in_dim && r < row_count';
  if (!chosen) {
    return `int row_of(int r) { return row_start + r; }
bool inside(int r, int k) { return ${exists}; }
uint outside(int r, int k) { return 0u; }
`;
  }
  return `int chosen_row(int r) { return int(floor(texelFetch(rows, ivec2((r >> 2) % rows_width, (r >> 2) / rows_width), 0)[r & 3] + 0.5)); }
int row_of(int r) { return row_start + chosen_row(r); }
bool inside(int r, int k) {
  if (!(${exists})) return false;
  int c = chosen_row(r);
  return c >= 0 && c < out_dim;
}
uint outside(int r, int k) { return ${exists} ? ${0x7fc00000}u : 0u; }
`;
}

const START_PACKED = `out vec4 result;
void main() {
  int t = ${FRAGMENT_INDEX}, across = (in_dim + 1) / 2, r = t / across * 2, k = t % across * 2;`;

const WRITE_PACKED = `${START_PACKED}
  result = uintBitsToFloat(uvec4(at(r, k), at(r, k + 1), at(r + 1, k), at(r + 1, k + 1)));
}
`;

const WRITE_PAIRS = `uvec2 pair(int r, int k) {
  uvec2 values = inside(r, k) ? values_at(row_of(r), k) : uvec2(outside(r, k));
  return k + 1 < in_dim ? values : uvec2(values.x, 0u);
}
${START_PACKED}
  result = uintBitsToFloat(uvec4(pair(r, k), pair(r + 1, k)));
}
`;

const WRITE_BITS = `out uvec4 result;
void main() {
  int t = first_value + ${FRAGMENT_INDEX} * 4;
  uvec4 bits;
  for (int i = 0; i < 4; i++) bits[i] = at((t + i) / in_dim, (t + i) % in_dim);
  result = bits;
}
`;

/** words [L] int32, rows [R] int32 or none -> float32 [R, K]. */
export const unpackWeight: KernelFunc = ({inputs, backend, attrs}) => {
  const webgl = backend as unknown as WebglBackend;
  checkContext(webgl);
  checkDevice(webgl);
  const {layout, rowStart, rowEnd} = attrs as unknown as UnpackWeightAttrs;
  const rows = inputs.rows as TensorInfo | undefined;
  const words = wordsTexture(webgl, (inputs.words as TensorInfo).dataId, layout);
  const count = rows === undefined ? rowEnd - rowStart : (rows.shape[0] as number);
  const textures: Record<string, Sampled> = {words};
  const ints: Record<string, number> = {
    row_start: rowStart,
    row_count: count,
    out_dim: rowEnd - rowStart,
    inverse_start: words.inverseOrder,
  };
  const chosen = rows === undefined ? null : rowsTexture(webgl, rows, rowEnd - rowStart);
  if (chosen !== null) {
    textures.rows = chosen;
    ints.rows_width = chosen.width;
  }
  const variant = {folding: words, chosen: rows !== undefined};
  const draw = rendersFloat32() ? onDevice : throughHost;
  const result = draw(webgl, layout, variant, textures, ints, [count, layout.inDim]);
  chosen?.free();
  return result;
};

/** Throws ArgumentError for a row outside the weight where the numbers are on the host; elsewhere it unpacks as NaN. */
function rowsTexture(backend: WebglBackend, rows: TensorInfo, outDim: number): Numbers {
  const {values} = backend.texData.get(rows.dataId);
  const bad = values?.findIndex((n) => n < 0 || n >= outDim) ?? -1;
  if (bad >= 0) throw rowOutside(bad, outDim);
  return numbersTexture(backend, rows);
}

type Draw = (
  backend: WebglBackend,
  layout: WeightLayout,
  variant: Omit<Variant, 'target'>,
  textures: Record<string, Sampled>,
  ints: Record<string, number>,
  shape: number[],
) => TensorInfo;

const onDevice: Draw = (backend, layout, variant, textures, ints, shape) => {
  const out = packedTensor(backend, shape);
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
    const floats = new Float32Array(readWords(backend, scratch).buffer);
    values.set(floats.subarray(0, values.length - first), first);
  }
  release(backend, scratch);
  return backend.makeTensorInfo(shape, 'float32', values);
};
