/** The part of tf.js's webgl backend that our kernels use, and what has to hold before they can run on it. */
import {env, type TensorInfo, type TypedArray} from '@tensorflow/tfjs';
import {DeviceError} from '../../src/errors.js';

export interface TextureData {
  shape: number[];
  dtype: string;
  values: TypedArray | null;
  texture: {texture: WebGLTexture; texShape: [number, number]} | null;
  /** In values; a packed texture has half as many texels each way. */
  texShape: [number, number] | null;
  /** Two by two values a texel. */
  isPacked?: boolean;
  slice?: {flatOffset: number} | null;
}

export interface GpgpuProgram extends WebGLProgram {
  vao: WebGLVertexArrayObject;
}

export interface GpgpuContext {
  gl: WebGL2RenderingContext;
  framebuffer: WebGLFramebuffer;
  createProgram(fragmentShader: WebGLShader): GpgpuProgram;
  buildVao(program: GpgpuProgram): void;
  setProgram(program: GpgpuProgram): void;
  bindVertexArray(vao: WebGLVertexArrayObject): void;
  setOutputPackedMatrixTexture(texture: WebGLTexture, rows: number, columns: number): void;
  executeProgram(): void;
}

export interface WebglBackend {
  gpgpu: GpgpuContext;
  texData: {get(dataId: object): TextureData; has(dataId: object): boolean};
  numBytesInGPU: number;
  makeTensorInfo(shape: number[], dtype: string, values?: TypedArray): TensorInfo;
  uploadToGPU(dataId: object): void;
  /** Row-major values, four a texel, in a texture of `texels` [height, width], or one that is nearly square. */
  decode(dataId: object, texels?: [number, number]): TensorInfo;
  disposeIntermediateTensorInfo(info: TensorInfo): void;
  releaseGPUData(dataId: object): void;
}

/** Throws DeviceError unless integer textures are there (WebGL2) and the context is alive. */
export function checkContext(backend: WebglBackend): void {
  const version = env().getNumber('WEBGL_VERSION');
  if (version !== 2) {
    throw new DeviceError({
      where: 'webgl',
      expected: 'WebGL2',
      received: `WebGL${version}`,
      why: 'Packed weights need integer textures: a float texture loses bits of a 32-bit word.',
      remedy: "Use backend 'wasm' or 'webgpu'.",
    });
  }
  if (backend.gpgpu.gl.isContextLost()) {
    throw new DeviceError({
      where: 'webgl',
      expected: 'a live context',
      received: 'a lost one',
      why: 'The browser took the GPU away, and with it every weight on it.',
      remedy: 'Load the weights again on a new backend.',
    });
  }
}

/** Whether float32 can be rendered. Where it cannot, tf.js's textures, x and y among them, hold 16-bit floats. */
export function rendersFloat32(): boolean {
  return env().getBool('WEBGL_RENDER_FLOAT32_ENABLED');
}

/** Texels along the longer side of the largest texture. */
export function maxTextureSize(): number {
  return env().getNumber('WEBGL_MAX_TEXTURE_SIZE');
}

/** The largest power of two that a texture may be wide, at most 4096: addresses are split by shift and mask. */
export function lineShift(): number {
  return Math.min(12, Math.floor(Math.log2(maxTextureSize())));
}
