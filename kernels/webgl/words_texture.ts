/**
 * Packed words on the GPU: an integer texture of our own, exact for every 32-bit word (a tf.js int32 texture holds floats
 * and loses bits above 2^24). It is freed when tf.js releases the tensor's data, counted in numBytesInGPU, and is the
 * only copy: the host's is dropped, and a read fetches the texture.
 */
import {DeviceError} from '../../src/errors.js';
import {sectionsOf, type WeightLayout} from '../layout.js';
import {lineShift, maxTextureSize, type TextureData, type WebglBackend} from './backend.js';

export interface WordsTexture {
  readonly texture: WebGLTexture;
  /** Texel i lies at (i & (2^shift - 1), i >> shift). */
  readonly shift: number;
  /** First word of the inverse column order (appended to the words for ordered weights), or -1. */
  readonly inverseOrder: number;
}

interface Held extends WordsTexture {
  readonly bytes: number;
}

const held = new WeakMap<TextureData, Held>();
const hooked = new WeakSet<WebglBackend>();

/** tf.js calls releaseGPUData once a tensor's data has no owner and no pending read left. */
function freeWithData(backend: WebglBackend): void {
  if (hooked.has(backend)) return;
  hooked.add(backend);
  const release = backend.releaseGPUData;
  backend.releaseGPUData = function (this: WebglBackend, dataId: object): void {
    const data = this.texData.get(dataId);
    const words = held.get(data);
    if (words !== undefined) {
      held.delete(data);
      this.gpgpu.gl.deleteTexture(words.texture);
      this.numBytesInGPU -= words.bytes;
    }
    release.call(this, dataId);
  };
}

/** The texture of a weight's words; made and filled on first use. Throws DeviceError where that cannot be. */
export function wordsTexture(backend: WebglBackend, dataId: object, layout: WeightLayout): WordsTexture {
  const data = backend.texData.get(dataId);
  const known = held.get(data);
  if (known !== undefined) return known;
  const words = data.values as Int32Array | null;
  if (words === null || words === undefined) {
    throw new DeviceError({
      where: 'webgl: packed words',
      expected: 'words on the host, or in our own texture',
      received: 'words in a float texture of tf.js',
      why: 'Another op has moved them there, and a float texture loses bits above 2^24.',
      remedy: 'Use a packed weight with our ops only; read and slice it with its own methods.',
    });
  }
  freeWithData(backend);
  const made = upload(backend, words, inverseOrder(words, layout));
  held.set(data, made);
  dropHostCopy(backend, data, made, words.length);
  return made;
}

/** Where each of the file's columns is stored: the inverse of the order that the words hold. */
function inverseOrder(words: Int32Array, layout: WeightLayout): Int32Array {
  if (!layout.ordered) return new Int32Array(0);
  const {order} = sectionsOf(layout);
  const inverse = new Int32Array(layout.inDim);
  for (let j = 0; j < layout.inDim; j++) inverse[words[order.start + j] as number] = j;
  return inverse;
}

function upload(backend: WebglBackend, words: Int32Array, extra: Int32Array): Held {
  const {gl} = backend.gpgpu;
  const extraTexel = Math.ceil(words.length / 4);
  const texels = Math.max(1, extraTexel + Math.ceil(extra.length / 4));
  const shift = widthShift(texels, words.length);
  const width = Math.min(1 << shift, texels);
  const height = Math.ceil(texels / width);
  const texture = gl.createTexture() as WebGLTexture;
  gl.bindTexture(gl.TEXTURE_2D, texture);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
  for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
  gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32UI, width, height);
  const bits = new Uint32Array(words.buffer, words.byteOffset, words.length);
  const fill = (y: number, rows: number, from: Uint32Array) =>
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, y, width, rows, gl.RGBA_INTEGER, gl.UNSIGNED_INT, from);
  // Whole lines go straight from the host's words; only the end is copied, to be padded to a line.
  const whole = Math.floor(words.length / (4 * width));
  if (whole > 0) fill(0, whole, bits.subarray(0, whole * width * 4));
  if (whole < height) {
    const rest = new Uint32Array((height - whole) * width * 4);
    rest.set(bits.subarray(whole * width * 4));
    rest.set(extra, extraTexel * 4 - whole * width * 4);
    fill(whole, height - whole, rest);
  }
  gl.bindTexture(gl.TEXTURE_2D, null);
  const bytes = width * height * 16;
  if (gl.getError() === gl.OUT_OF_MEMORY) {
    gl.deleteTexture(texture);
    throw new DeviceError({where: 'webgl: packed words', expected: `room for ${bytes} bytes on the GPU`, received: 'out of memory'});
  }
  backend.numBytesInGPU += bytes;
  return {texture, shift, inverseOrder: extra.length > 0 ? extraTexel * 4 : -1, bytes};
}

function widthShift(texels: number, words: number): number {
  const size = maxTextureSize();
  let shift = lineShift();
  while (Math.ceil(texels / 2 ** shift) > size && 2 ** (shift + 1) <= size) shift++;
  if (Math.ceil(texels / 2 ** shift) <= size) return shift;
  throw new DeviceError({
    where: 'webgl: packed words',
    expected: `at most ${2 ** shift * size * 4} words, which a texture of ${2 ** shift} x ${size} texels holds`,
    received: `${words} words`,
    why: `The largest texture of this device is ${size} x ${size}.`,
    remedy: 'Shard the layer over several weights (rows), or use another backend.',
  });
}

/** From here on `values` reads the texture: data(), save, slice and moves to other backends still see exact words. */
function dropHostCopy(backend: WebglBackend, data: TextureData, words: Held, length: number): void {
  let recent: Int32Array | null = null;
  Object.defineProperty(data, 'values', {
    configurable: true,
    enumerable: true,
    get(): Int32Array {
      if (recent === null) {
        recent = readBack(backend, words, length);
        // tf.js asks two or three times for one read.
        queueMicrotask(() => {
          recent = null;
        });
      }
      return recent;
    },
    // tf.js writes null after an upload, and read values after a read: neither is news.
    set(): void {},
  });
}

function readBack(backend: WebglBackend, words: Held, length: number): Int32Array {
  const {gl, framebuffer} = backend.gpgpu;
  const texels = words.bytes / 16;
  const width = Math.min(1 << words.shift, texels);
  const own = gl.createFramebuffer();
  const out = new Uint32Array(texels * 4);
  gl.bindFramebuffer(gl.FRAMEBUFFER, own);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, words.texture, 0);
  gl.readPixels(0, 0, width, texels / width, gl.RGBA_INTEGER, gl.UNSIGNED_INT, out);
  gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
  gl.deleteFramebuffer(own);
  return new Int32Array(out.buffer, 0, length);
}
