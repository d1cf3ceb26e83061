/** Fp8Quantize: x rounded to 8 or 4 bits, bit-equal to the oracle where textures hold float32. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import {DeviceError} from '../../src/errors.js';
import {type QuantizeAttrs, scaleCount, scaleShape} from '../input_quantization.js';
import {remember} from '../memo.js';
import {checkContext, lineShift, rendersFloat32, type WebglBackend} from './backend.js';
import {checkDevice} from './check.js';
import {type Dense, denseTexture, numbersTexture, packedTensor, run, type Shader, tensorTarget} from './program.js';
import {amaxShader, dynamicShader, roundShader, scalesShader, staticShader} from './quantize_shaders.js';
import {acquire, readWords, release, type Scratch} from './scratch.js';

const shaders = new Map<string, Shader>();

function shaderFor(name: string, attrs: QuantizeAttrs, make: () => Shader): Shader {
  return remember(shaders, `${name} ${Object.values(attrs).join(' ')}`, make);
}

/** One texel an entry. */
function entries(backend: WebglBackend, count: number): Scratch {
  const width = Math.min(2 ** lineShift(), count);
  return acquire(backend, width, Math.ceil(count / width), 1);
}

const layered = (scratch: Scratch) => ({texture: scratch.texture, layered: true});

/** x [M, K], scale or none -> codes int32 or values float32 [M, K], and the scales (scaleShape). */
export const fp8Quantize: KernelFunc = ({inputs, backend, attrs}) => {
  const webgl = backend as unknown as WebglBackend;
  checkContext(webgl);
  checkDevice(webgl);
  const quantize = attrs as unknown as QuantizeAttrs;
  const {x, scale} = inputs as {x: TensorInfo; scale?: TensorInfo};
  if (!rendersFloat32() && !quantize.values && quantize.dtype === 'bfloat16') {
    throw new DeviceError({
      where: 'webgl: fp8Quantize',
      expected: 'textures of float32',
      received: '16-bit floats',
      why: 'They cannot hold 16-bit codes.',
    });
  }
  const [m, k] = x.shape as [number, number];
  const problem: Problem = {
    attrs: quantize,
    sizes: {rows: m, columns: k, blocks: quantize.block === 0 ? 1 : Math.ceil(k / quantize.block)},
    count: scaleCount(quantize.granularity, m, k, quantize.block),
    dense: denseTexture(webgl, webgl.decode(x.dataId)),
  };
  const scales = scale === undefined ? dynamicScales(webgl, problem) : staticScales(webgl, problem, scale);
  try {
    return [rounded(webgl, problem, scales), scaleTensor(webgl, problem, scales)];
  } finally {
    webgl.disposeIntermediateTensorInfo(problem.dense.info);
    release(webgl, scales);
  }
};

interface Problem {
  readonly attrs: QuantizeAttrs;
  readonly sizes: {rows: number; columns: number; blocks: number};
  /** Scales. */
  readonly count: number;
  /** x */
  readonly dense: Dense;
}

function dynamicScales(backend: WebglBackend, {attrs, sizes, count, dense}: Problem): Scratch {
  const amaxCount = attrs.granularity === 'tensor' ? sizes.rows : count;
  const amaxes = entries(backend, amaxCount);
  run(
    backend,
    shaderFor('amax', attrs, () => amaxShader(attrs)),
    {x: dense},
    {...sizes, x_width: dense.width},
    amaxes,
  );
  const scales = entries(backend, count);
  const ints = {...sizes, amax_width: amaxes.width, amax_count: amaxCount};
  run(
    backend,
    shaderFor('dynamic', attrs, () => dynamicShader(attrs)),
    {amaxes: layered(amaxes)},
    ints,
    scales,
  );
  release(backend, amaxes);
  return scales;
}

function staticScales(backend: WebglBackend, {sizes, count}: Problem, scale: TensorInfo): Scratch {
  const given = numbersTexture(backend, scale);
  const scales = entries(backend, count);
  const ints = {...sizes, given_width: given.width, given_count: scale.shape.reduce((a, b) => a * b, 1)};
  run(backend, remember(shaders, 'static', staticShader), {given}, ints, scales);
  given.free();
  return scales;
}

function rounded(backend: WebglBackend, {attrs, sizes, dense}: Problem, scales: Scratch): TensorInfo {
  const out = packedTensor(backend, [sizes.rows, sizes.columns], attrs.values ? 'float32' : 'int32');
  const ints = {...sizes, x_width: dense.width, scales_width: scales.width};
  run(
    backend,
    shaderFor('round', attrs, () => roundShader(attrs)),
    {x: dense, scales: layered(scales)},
    ints,
    tensorTarget(backend, out.dataId),
  );
  return out;
}

function scaleTensor(backend: WebglBackend, {attrs, sizes, count}: Problem, scales: Scratch): TensorInfo {
  const shape = scaleShape(attrs.granularity, sizes.rows, sizes.columns, attrs.block);
  if (!rendersFloat32()) return backend.makeTensorInfo(shape, 'float32', hostScales(backend, scales, count));
  const out = packedTensor(backend, shape);
  const [rows, columns] = shape.length === 2 ? (shape as [number, number]) : [1, shape[0] ?? 1];
  const ints = {rows, columns, scales_width: scales.width};
  run(backend, remember(shaders, 'scales', scalesShader), {scales: layered(scales)}, ints, tensorTarget(backend, out.dataId));
  return out;
}

/** A scale is often below what 16 bits hold (1e-5 has 7 of 11 bits, 1e-8 none): it stays on the host until used. */
function hostScales(backend: WebglBackend, scales: Scratch, count: number): Float32Array {
  const bits = readWords(backend, scales);
  return new Float32Array(Uint32Array.from({length: count}, (_, e) => bits[4 * e] as number).buffer);
}
