/**
 * Packed words on the GPU: an integer texture of our own (an array of them where one is too small), exact for every 32-bit word (a tf.js int32 texture holds floats
 * and loses bits above 2^24). It is freed when tf.js releases the tensor's data, counted in numBytesInGPU, and is the
 * only copy: the host's is dropped, and a read fetches the texture.
 */
import {DeviceError} from '../../src/errors.js';
import {sectionsOf, type WeightLayout} from '../layout.js';
import {lineShift, maxTextureSize, type TextureData, type WebglBackend} from './backend.js';
import type {Folding} from './glsl/header.js';
import type {Sampled} from './program.js';

export interface WordsTexture extends Folding, Sampled {
  /** First word of the inverse column order (appended to the words for ordered weights), or -1. */
  readonly inverseOrder: number;
}

interface Held extends WordsTexture {
  readonly width: number;
  /** Lines of a layer, and layers: 1 where `layered` is false. */
  readonly height: number;
  readonly layers: number;
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
  const shape = fold(gl, texels, words.length);
  const {width, height, layers, layered} = shape;
  const texture = allocate(gl, shape);
  const bits = new Uint32Array(words.buffer, words.byteOffset, words.length);
  const fill = (line: number, lines: number, from: Uint32Array) => {
    const format = [gl.RGBA_INTEGER, gl.UNSIGNED_INT, from] as const;
    if (layered) gl.texSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, line % height, Math.floor(line / height), width, lines, 1, ...format);
    else gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, line, width, lines, ...format);
  };
  // Whole lines go straight from the host's words; only the end is copied, to be padded to a line.
  const whole = Math.floor(words.length / (4 * width));
  for (let line = 0; line < whole; ) {
    const end = Math.min(whole, (Math.floor(line / height) + 1) * height);
    fill(line, end - line, bits.subarray(line * width * 4, end * width * 4));
    line = end;
  }
  const lines = Math.ceil(texels / width);
  const rest = new Uint32Array((lines - whole) * width * 4);
  rest.set(bits.subarray(whole * width * 4));
  rest.set(extra, extraTexel * 4 - whole * width * 4);
  for (let line = whole; line < lines; line++) fill(line, 1, rest.subarray((line - whole) * width * 4, (line - whole + 1) * width * 4));
  const bytes = width * height * layers * 16;
  if (gl.getError() === gl.OUT_OF_MEMORY) {
    gl.deleteTexture(texture);
    throw new DeviceError({where: 'webgl: packed words', expected: `room for ${bytes} bytes on the GPU`, received: 'out of memory'});
  }
  backend.numBytesInGPU += bytes;
  return {...shape, texture, inverseOrder: extra.length > 0 ? extraTexel * 4 : -1, bytes};
}

type Shape = Pick<Held, 'shift' | 'layerShift' | 'layered' | 'width' | 'height' | 'layers'>;

/** At most this many layers, so that what the last one leaves empty is little, where a layer may be as high as that takes. */
const LAYERS = 64;

/** One texture, or where its lines are more than a texture may have, equal layers of one array of textures. */
function fold(gl: WebGL2RenderingContext, texels: number, words: number): Shape {
  const size = maxTextureSize();
  const shift = lineShift();
  const width = Math.min(1 << shift, texels);
  const lines = Math.ceil(texels / width);
  if (lines <= size) return {shift, layerShift: null, layered: false, width, height: lines, layers: 1};
  const most = gl.getParameter(gl.MAX_ARRAY_TEXTURE_LAYERS) as number;
  const highest = Math.floor(Math.log2(size));
  const layerShift = Math.max(0, Math.min(highest, Math.ceil(Math.log2(lines / Math.min(LAYERS, most)))));
  const height = 2 ** layerShift;
  const layers = Math.ceil(lines / height);
  if (layers <= most) return {shift, layerShift, layered: true, width, height, layers};
  throw new DeviceError({
    where: 'webgl: packed words',
    expected: `at most ${width * 2 ** highest * most * 4} words, which ${most} textures of ${width} x ${2 ** highest} texels hold`,
    received: `${words} words`,
    why: `The largest texture of this device is ${size} x ${size}, and an array of textures has at most ${most}.`,
    remedy: 'Shard the layer over several weights (rows), or use another backend.',
  });
}

function allocate(gl: WebGL2RenderingContext, {layered, width, height, layers}: Shape): WebGLTexture {
  const target = layered ? gl.TEXTURE_2D_ARRAY : gl.TEXTURE_2D;
  const texture = gl.createTexture() as WebGLTexture;
  gl.bindTexture(target, texture);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(target, name, gl.NEAREST);
  for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(target, name, gl.CLAMP_TO_EDGE);
  if (layered) gl.texStorage3D(target, 1, gl.RGBA32UI, width, height, layers);
  else gl.texStorage2D(target, 1, gl.RGBA32UI, width, height);
  return texture;
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
  const {texture, layered, width, height, layers} = words;
  const own = gl.createFramebuffer();
  const layerWords = width * height * 4;
  const out = new Uint32Array(layers * layerWords);
  gl.bindFramebuffer(gl.FRAMEBUFFER, own);
  for (let layer = 0; layer < layers; layer++) {
    if (layered) gl.framebufferTextureLayer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, texture, 0, layer);
    else gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    gl.readPixels(0, 0, width, height, gl.RGBA_INTEGER, gl.UNSIGNED_INT, out.subarray(layer * layerWords, (layer + 1) * layerWords));
  }
  gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
  gl.deleteFramebuffer(own);
  return new Int32Array(out.buffer, 0, length);
}
