/** A question with a known answer, asked of each device before it is trusted: some drivers lose integer bits without an error. */
import {DeviceError} from '../../src/errors.js';
import type {WebglBackend} from './backend.js';
import {exactArithmetic} from './glsl/exact.js';
import {bitsFunction} from './glsl/float_bits.js';
import {VERSION, wordReaders} from './glsl/header.js';
import {Params} from './glsl/params.js';
import {run, type Shader} from './program.js';
import {acquire, readWords, release} from './scratch.js';

/** Words that a float texture, a 24-bit integer or a driver that minds NaN would change. */
const WORDS = [0xffffffff, 0x7fffffff, 0x01000001, 0x7f800001];

/**
 * The words; the least float16 and the largest e4m3 below its normal ones; a product that needs 24 bits and one that is
 * subnormal; a third; an integer of 24 bits as a float.
 */
export const ANSWERS: readonly number[] = [
  ...WORDS,
  0x33800000, // 2^-24
  0x3c600000, // 7 * 2^-9
  0x3f7ffffe, // (1 - 2^-24)^2
  0x00400000, // 2^-63 * 2^-64
  0x3eaaaaab, // 1 / 3
  0x4b7fffff, // 2^24 - 1
  0x80000000, // -2^31 by a shift
  0xfffffffe, // -8 >> 2, with sign
];

function question(): Shader {
  const params = new Params();
  params.needs('target_width');
  const functions = exactArithmetic(params) + bitsFunction('float16') + bitsFunction('float8_e4m3fn');
  // Inputs come from a uniform's 0, so that nothing is computed by the compiler.
  const source = `${VERSION}${params.declarations()}${wordReaders({shift: 12, layerShift: null})}${functions}
out uvec4 result;
void main() {
  uint zero = uint(nothing);
  int at = int(gl_FragCoord.x);
  if (at == 0) result = texel(0);
  else if (at == 1) result = uvec4(bits_float16(1u + zero), bits_float8_e4m3fn(7u + zero),
    exact_multiply(0x3f7fffffu + zero, 0x3f7fffffu + zero), exact_multiply(0x20000000u + zero, 0x1f800000u + zero));
  else result = uvec4(exact_divide(0x3f800000u + zero, 0x40400000u + zero), floatBitsToUint(float(int(0xffffffu + zero))),
    (1u + zero) << 31, uint(int(zero - 8u) >> 2));
}
`;
  return {source, ints: params.ints, table: null};
}

const trusted = new WeakSet<WebglBackend>();

/** Throws DeviceError unless the device answers rightly. Asks once a backend. */
export function checkDevice(backend: WebglBackend): void {
  if (trusted.has(backend)) return;
  compareAnswers(ask(backend));
  trusted.add(backend);
}

function ask(backend: WebglBackend): Uint32Array {
  const {gl} = backend.gpgpu;
  const texture = gl.createTexture() as WebGLTexture;
  gl.bindTexture(gl.TEXTURE_2D, texture);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
  gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32UI, 1, 1);
  gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 1, 1, gl.RGBA_INTEGER, gl.UNSIGNED_INT, Uint32Array.from(WORDS));
  const scratch = acquire(backend, ANSWERS.length / 4, 1, 1);
  run(backend, question(), {words: {texture}}, {}, scratch);
  const answers = readWords(backend, scratch);
  release(backend, scratch);
  gl.deleteTexture(texture);
  return answers;
}

/** Throws DeviceError at the first answer that is wrong. */
export function compareAnswers(answers: ArrayLike<number>): void {
  const hex = (value: number | undefined) => `0x${(value ?? 0).toString(16).padStart(8, '0')}`;
  const wrong = ANSWERS.findIndex((answer, i) => answers[i] !== answer);
  if (wrong < 0) return;
  throw new DeviceError({
    where: 'webgl: known answers',
    expected: `${hex(ANSWERS[wrong])} as answer ${wrong}`,
    received: hex(answers[wrong]),
    why: 'This GPU or its driver computes wrongly; products of packed weights would be wrong too.',
    remedy: "Use backend 'wasm' or 'webgpu', or another browser or driver.",
  });
}
