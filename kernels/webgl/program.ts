/** Our own shader programs: compiled once a backend, run with integer uniforms and textures of any kind. */
import type {TensorInfo} from '@tensorflow/tfjs';
import {DeviceError} from '../../src/errors.js';
import {remember} from '../memo.js';
import {type GpgpuProgram, lineShift, rendersFloat32, type WebglBackend} from './backend.js';

/** A fragment shader and the uniforms that its layout fixes. */
export interface Shader {
  readonly source: string;
  readonly ints: ReadonlyMap<string, number>;
  readonly table: readonly number[] | null;
}

export interface Sampled {
  readonly texture: WebGLTexture;
  /** A texture of several layers. */
  readonly layered?: boolean;
}

/** Where a shader draws: its size, and how it is bound. */
export interface Target {
  readonly width: number;
  readonly height: number;
  bind(): void;
}

interface Compiled {
  readonly program: GpgpuProgram;
  readonly locations: Map<string, WebGLUniformLocation | null>;
}

// tf.js's runWebGLProgram declares every input as sampler2D, so integer textures need programs, and a cache, of their own.
const caches = new WeakMap<WebglBackend, Map<string, Compiled>>();

function compiled(backend: WebglBackend, source: string): Compiled {
  const cache = remember(caches, backend, () => new Map<string, Compiled>());
  return remember(cache, source, () => compile(backend, source));
}

/** Deletes every program of ours on this backend; the next call of each compiles it again. */
export function forgetPrograms(backend: WebglBackend): void {
  for (const {program} of caches.get(backend)?.values() ?? []) backend.gpgpu.gl.deleteProgram(program);
  caches.delete(backend);
}

function compile(backend: WebglBackend, source: string): Compiled {
  const {gpgpu} = backend;
  const {gl} = gpgpu;
  const shader = gl.createShader(gl.FRAGMENT_SHADER) as WebGLShader;
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) {
    throw new DeviceError({
      where: 'webgl',
      expected: 'a shader that compiles',
      received: gl.getShaderInfoLog(shader) ?? 'no reason given',
      remedy: 'Please report this, with the browser and GPU.',
    });
  }
  const program = gpgpu.createProgram(shader);
  gpgpu.buildVao(program);
  return {program, locations: new Map()};
}

/** Draws every texel of the target. `ints` are the uniforms of this call, beside those that the layout fixes. */
export function run(
  backend: WebglBackend,
  shader: Shader,
  textures: Readonly<Record<string, Sampled>>,
  ints: Readonly<Record<string, number>>,
  target: Target,
): void {
  const {gpgpu} = backend;
  const {gl} = gpgpu;
  const {program, locations} = compiled(backend, shader.source);
  const locate = (name: string) => remember(locations, name, () => gl.getUniformLocation(program, name));
  target.bind();
  gpgpu.setProgram(program);
  gpgpu.bindVertexArray(program.vao);
  Object.entries(textures).forEach(([name, {texture, layered}], unit) => {
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(layered ? gl.TEXTURE_2D_ARRAY : gl.TEXTURE_2D, texture);
    gl.uniform1i(locate(name), unit);
  });
  for (const [name, value] of shader.ints) gl.uniform1i(locate(name), value);
  for (const [name, value] of Object.entries(ints)) gl.uniform1i(locate(name), value);
  gl.uniform1i(locate('target_width'), target.width);
  if (shader.table !== null) gl.uniform4fv(locate('decode_table'), shader.table);
  gpgpu.executeProgram();
}

/** A tensor that tf.js has decoded: its values in order, four a texel, `width` texels a line. The caller disposes `info`. */
export interface Dense extends Sampled {
  readonly info: TensorInfo;
  readonly width: number;
}

export function denseTexture(backend: WebglBackend, info: TensorInfo): Dense {
  const {texture, texShape} = backend.texData.get(info.dataId);
  return {info, texture: (texture as {texture: WebGLTexture}).texture, width: Math.ceil((texShape as [number, number])[1] / 2)};
}

/** Numbers, four a texel, `width` texels a line. */
export interface Numbers extends Sampled {
  readonly width: number;
  free(): void;
}

/**
 * A tensor's values as float32. tf.js's own textures hold 16 bits where float32 cannot be rendered; one can still be sampled,
 * so values that the host has (small ones: row numbers, scales) go into a float32 texture of ours there.
 */
export function numbersTexture(backend: WebglBackend, tensor: TensorInfo): Numbers {
  const {values} = backend.texData.get(tensor.dataId);
  if (rendersFloat32() || values === null || values === undefined) {
    const {info, texture, width} = denseTexture(backend, backend.decode(tensor.dataId));
    return {texture, width, free: () => backend.disposeIntermediateTensorInfo(info)};
  }
  const {gl} = backend.gpgpu;
  const texels = Math.ceil(values.length / 4);
  const width = Math.min(2 ** lineShift(), texels);
  const height = Math.ceil(texels / width);
  const texture = gl.createTexture() as WebGLTexture;
  const floats = new Float32Array(width * height * 4);
  floats.set(values);
  gl.bindTexture(gl.TEXTURE_2D, texture);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
  gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32F, width, height);
  gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RGBA, gl.FLOAT, floats);
  return {texture, width, free: () => gl.deleteTexture(texture)};
}

/** A tensor on the GPU, packed, contents undefined: what a shader is to draw. The caller owns it. */
export function packedTensor(backend: WebglBackend, shape: number[], dtype: 'float32' | 'int32' = 'float32'): TensorInfo {
  const info = backend.makeTensorInfo(shape, dtype);
  backend.texData.get(info.dataId).isPacked = true;
  try {
    backend.uploadToGPU(info.dataId);
  } catch (error) {
    backend.disposeIntermediateTensorInfo(info);
    throw error;
  }
  return info;
}

/** A tensor's own texture as a target, two by two values a texel. The tensor must be packed and on the GPU. */
export function tensorTarget(backend: WebglBackend, dataId: object): Target {
  const {texture, texShape} = backend.texData.get(dataId);
  const [rows, columns] = texShape as [number, number];
  return {
    width: Math.max(1, Math.ceil(columns / 2)),
    height: Math.max(1, Math.ceil(rows / 2)),
    bind: () => backend.gpgpu.setOutputPackedMatrixTexture((texture as {texture: WebGLTexture}).texture, rows, columns),
  };
}
