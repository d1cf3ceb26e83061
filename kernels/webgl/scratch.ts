/**
 * Integer textures that kernels draw numbers into, as the bits of float32: exact also where float textures hold 16 bits.
 * Several layers are drawn at once, one a draw buffer. Kept for the next call of the same size, up to a few.
 */
import {DeviceError} from '../../src/errors.js';
import {remember} from '../memo.js';
import type {WebglBackend} from './backend.js';
import type {Target} from './program.js';

export interface Scratch extends Target {
  readonly texture: WebGLTexture;
  readonly layers: number;
  readonly bytes: number;
  readonly framebuffer: WebGLFramebuffer;
}

/** Spare textures a backend keeps: a decoder's layers have about this many shapes. */
const SPARES = 8;

const spares = new WeakMap<WebglBackend, Scratch[]>();

/** A texture of [layers, height, width] texels of four words, until `release`. Contents undefined. */
export function acquire(backend: WebglBackend, width: number, height: number, layers: number): Scratch {
  const kept = spares.get(backend) ?? [];
  const at = kept.findIndex((s) => s.width === width && s.height === height && s.layers === layers);
  const scratch = at >= 0 ? (kept.splice(at, 1)[0] as Scratch) : create(backend, width, height, layers);
  backend.numBytesInGPU += scratch.bytes;
  return scratch;
}

/** Gives a texture back. Spares are not counted in numBytesInGPU, as tf.js does not count its own. */
export function release(backend: WebglBackend, scratch: Scratch): void {
  backend.numBytesInGPU -= scratch.bytes;
  const kept = remember(spares, backend, () => []);
  kept.unshift(scratch);
  const dropped = kept.length > SPARES ? kept.pop() : undefined;
  if (dropped === undefined) return;
  backend.gpgpu.gl.deleteFramebuffer(dropped.framebuffer);
  backend.gpgpu.gl.deleteTexture(dropped.texture);
}

function create(backend: WebglBackend, width: number, height: number, layers: number): Scratch {
  const {gl} = backend.gpgpu;
  const texture = gl.createTexture() as WebGLTexture;
  const framebuffer = gl.createFramebuffer() as WebGLFramebuffer;
  gl.bindTexture(gl.TEXTURE_2D_ARRAY, texture);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D_ARRAY, name, gl.NEAREST);
  gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, gl.RGBA32UI, width, height, layers);
  gl.bindTexture(gl.TEXTURE_2D_ARRAY, null);
  const attachments = Array.from({length: layers}, (_, i) => gl.COLOR_ATTACHMENT0 + i);
  gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
  attachments.forEach((attachment, i) => gl.framebufferTextureLayer(gl.FRAMEBUFFER, attachment, texture, 0, i));
  gl.drawBuffers(attachments);
  const bytes = width * height * layers * 16;
  if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) {
    gl.deleteFramebuffer(framebuffer);
    gl.deleteTexture(texture);
    throw new DeviceError({
      where: 'webgl: scratch memory',
      expected: `${layers} integer targets of ${width} x ${height} texels (${bytes} bytes)`,
      received: 'an incomplete framebuffer',
      why: 'The GPU is out of memory, or cannot draw into integer textures.',
    });
  }
  const bind = () => {
    gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
    gl.viewport(0, 0, width, height);
    gl.scissor(0, 0, width, height);
  };
  return {width, height, layers, bytes, texture, framebuffer, bind};
}

/** The words of a scratch texture of one layer, in order. Waits for the GPU. */
export function readWords(backend: WebglBackend, scratch: Scratch): Uint32Array {
  const {gl} = backend.gpgpu;
  const out = new Uint32Array(scratch.width * scratch.height * 4);
  gl.bindFramebuffer(gl.FRAMEBUFFER, scratch.framebuffer);
  gl.readBuffer(gl.COLOR_ATTACHMENT0);
  gl.readPixels(0, 0, scratch.width, scratch.height, gl.RGBA_INTEGER, gl.UNSIGNED_INT, out);
  return out;
}
