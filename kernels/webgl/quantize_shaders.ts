/** The shaders of Fp8Quantize. Scales are held one a texel of an integer texture: the bits of s, and of what to multiply x by. */
import type {QuantizeAttrs} from '../input_quantization.js';
import {decodeFunction, encodeFunction, floatLiteral, ROUND_DOWN} from './glsl/encode.js';
import {exactArithmetic} from './glsl/exact.js';
import {FRAGMENT_INDEX, VERSION} from './glsl/header.js';
import {Params} from './glsl/params.js';
import type {Shader} from './program.js';

function shader(params: Params, samplers: string, output: 'vec4' | 'uvec4', functions: string, main: string): Shader {
  params.needs('target_width', 'rows', 'columns');
  const source = `${VERSION}${params.declarations()}${samplers}out ${output} result;
${functions}void main() {
  int t = ${FRAGMENT_INDEX};
  ${main}
}
`;
  return {source, ints: params.ints, table: null};
}

const READ_X = `uint x_at(int m, int k) {
  int i = m * columns + k;
  return floatBitsToUint(texelFetch(x, ivec2((i >> 2) % x_width, (i >> 2) / x_width), 0)[i & 3]);
}
`;

/** Fragment e: the largest magnitude (as bits: NaN above all) of the entries of x that share scale e; of a row, where all share one. */
export function amaxShader({granularity, block}: QuantizeAttrs): Shader {
  const params = new Params();
  params.needs('x_width', 'blocks');
  const loops = {
    tensor: 'm = t; for (int k = 0; k < columns; k++)',
    colwise: 'm = t; for (int k = 0; k < columns; k++)',
    rowwise: 'k = t; for (int m = 0; m < rows; m++)',
    block: `m = t / blocks, first = (t - m * blocks) * ${block}; for (int k = first; k < min(first + ${block}, columns); k++)`,
  };
  const main = `uint amax = 0u;
  int ${loops[granularity]} amax = max(amax, x_at(m, k) & 0x7fffffffu);
  result = uvec4(amax, 0u, 0u, 0u);`;
  return shader(params, 'uniform sampler2D x;\n', 'uvec4', READ_X, main);
}

/** Fragment e: scale e from amax e, or from all `amax_count` of them. */
export function dynamicShader(attrs: QuantizeAttrs): Shader {
  const params = new Params();
  params.needs('amax_width', 'amax_count');
  const twoLevels = attrs.globalScale !== 0;
  const functions =
    exactArithmetic(params) + (twoLevels ? ROUND_DOWN + encodeFunction('float8_e4m3fn') + decodeFunction('float8_e4m3fn') : '');
  const global = floatLiteral(attrs.globalScale);
  const rounded = `scale = exact_divide(decode_float8_e4m3fn(encode_float8_e4m3fn(exact_multiply(${global}, scale))), ${global});`;
  const at = (e: string) => `texelFetch(amaxes, ivec3(${e} % amax_width, ${e} / amax_width, 0), 0).x`;
  const gather =
    attrs.granularity === 'tensor'
      ? `uint amax = 0u; for (int e = 0; e < amax_count; e++) amax = max(amax, ${at('e')});`
      : `uint amax = ${at('t')};`;
  const main = `${gather}
  uint bounded = amax > 0x7f800000u ? amax : min(max(amax, ${floatLiteral(attrs.amaxFloor)}), ${floatLiteral(attrs.scaleUb)});
  uint scale = exact_divide(bounded, ${floatLiteral(attrs.divisor)});
  ${twoLevels ? rounded : ''}
  result = uvec4(scale, bounded == 0u ? 0u : exact_divide(${floatLiteral(attrs.divisor)}, bounded), 0u, 0u);`;
  return shader(params, 'uniform usampler2DArray amaxes;\n', 'uvec4', functions, main);
}

/** Fragment e: given scale e, or the only one. */
export function staticShader(): Shader {
  const params = new Params();
  params.needs('given_width', 'given_count');
  const main = `int e = given_count == 1 ? 0 : min(t, given_count - 1);
  uint scale = floatBitsToUint(texelFetch(given, ivec2((e >> 2) % given_width, (e >> 2) / given_width), 0)[e & 3]);
  result = uvec4(scale, exact_divide(${floatLiteral(1)}, scale), 0u, 0u);`;
  return shader(params, 'uniform sampler2D given;\n', 'uvec4', exactArithmetic(params), main);
}

const PACKED = 'int across = (columns + 1) / 2, m = t / across * 2, k = t % across * 2;';
const FOUR = 'at(m, k), at(m, k + 1), at(m + 1, k), at(m + 1, k + 1)';

/** x rounded: codes as integers, or code * scale, in tf.js's 2 x 2 texels. */
export function roundShader(attrs: QuantizeAttrs): Shader {
  const {dtype, granularity, block, reciprocal, values} = attrs;
  const params = new Params();
  params.needs('x_width', 'scales_width', 'blocks');
  const entry = {tensor: '0', colwise: 'm', rowwise: 'k', block: `m * blocks + k / ${block}`}[granularity];
  const scaled = reciprocal ? 'exact_multiply(v, s.y)' : 'exact_divide(v, s.x)';
  const result = values ? `uintBitsToFloat(exact_multiply(decode_${dtype}(code), s.x))` : 'float(int(code))';
  const functions = `${exactArithmetic(params)}${ROUND_DOWN}${encodeFunction(dtype)}${values ? decodeFunction(dtype) : ''}${READ_X}
float at(int m, int k) {
  if (m >= rows || k >= columns) return 0.0;
  int e = ${entry};
  uvec2 s = texelFetch(scales, ivec3(e % scales_width, e / scales_width, 0), 0).xy;
  uint v = x_at(m, k);
  bool zero = (s.x & 0x7fffffffu) == 0u, nan = (v & 0x7fffffffu) > 0x7f800000u;
  uint code = encode_${dtype}(zero && !nan ? 0u : nan ? v : ${scaled});
  return ${result};
}
`;
  return shader(
    params,
    'uniform sampler2D x;\nuniform usampler2DArray scales;\n',
    'vec4',
    functions,
    `${PACKED}\n  result = vec4(${FOUR});`,
  );
}

/** The scales [rows, columns] as tf.js's 2 x 2 texels. */
export function scalesShader(): Shader {
  const params = new Params();
  params.needs('scales_width');
  const functions = `float at(int m, int k) {
  int e = m * columns + k;
  return m >= rows || k >= columns ? 0.0 : uintBitsToFloat(texelFetch(scales, ivec3(e % scales_width, e / scales_width, 0), 0).x);
}
`;
  return shader(params, 'uniform usampler2DArray scales;\n', 'vec4', functions, `${PACKED}\n  result = vec4(${FOUR});`);
}
