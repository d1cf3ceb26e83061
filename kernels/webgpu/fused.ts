/** GatedActivation and RmsNorm on webgpu: one dispatch each, where compositions of tf.js ops take four to six. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import type {Activation} from '../activation.js';
import {float32Bits} from '../float_codes.js';
import type {GatedActivationAttrs, RmsNormAttrs} from '../fused.js';
import {asWebGPU, type DeviceProfile, orDispose, profileOf} from './backend.js';
import {GATED_WORKGROUP, gatedShader, rmsShader} from './fused.wgsl.js';
import {fold} from './grid.js';
import {healthOf} from './health.js';
import {bufferOf, record} from './record.js';
import {checkBinding} from './resident.js';
import {cachedShader, type SizedShader} from './shader_cache.js';

export const gatedShaderOf = (activation: Activation): SizedShader =>
  cachedShader(`gated ${activation}`, {inputs: 1}, (p) => gatedShader(p, activation));

export const gatedActivation: KernelFunc = ({inputs, backend: given, attrs}) => {
  const backend = asWebGPU(given);
  healthOf(backend).assertWell();
  const x = inputs.x as TensorInfo;
  const [rows, both] = x.shape as [number, number];
  const width = both / 2;
  checkBinding(backend, 'GatedActivation: x', rows * both * 4);
  const {activation} = attrs as unknown as GatedActivationAttrs;
  const {shader, params} = gatedShaderOf(activation);
  const out = backend.makeTensorInfo([rows, width], 'float32');
  return orDispose(backend, out, () => {
    const size = rows * width;
    const grid = fold(Math.ceil(size / GATED_WORKGROUP), profileOf(backend).limits.maxComputeWorkgroupsPerDimension);
    const bindings = [out, x].map((t) => ({buffer: bufferOf(backend, t)}));
    record(backend, shader, bindings, params.bytes({size, width}), grid, [out, x]);
  });
};

/** Columns up to which 64 threads share a row; beyond, 256, if they are more than names on a CPU. */
const SHORT_ROW = 512;

export function rmsShaderOf(columns: number, {software}: DeviceProfile): SizedShader {
  const side = software || columns <= SHORT_ROW ? 8 : 16;
  return cachedShader(`rms norm ${side}`, {inputs: 2}, (p) => rmsShader(p, side));
}

export const rmsNorm: KernelFunc = ({inputs, backend: given, attrs}) => {
  const backend = asWebGPU(given);
  healthOf(backend).assertWell();
  const {x, weight} = inputs as {x: TensorInfo; weight: TensorInfo};
  const [rows, columns] = x.shape as [number, number];
  const profile = profileOf(backend);
  checkBinding(backend, 'RmsNorm: x', rows * columns * 4);
  const {shader, params} = rmsShaderOf(columns, profile);
  const out = backend.makeTensorInfo([rows, columns], 'float32');
  return orDispose(backend, out, () => {
    const uniforms = params.bytes({rows, columns, epsilon: float32Bits((attrs as unknown as RmsNormAttrs).epsilon)});
    const bindings = [out, x, weight].map((t) => ({buffer: bufferOf(backend, t)}));
    record(backend, shader, bindings, uniforms, fold(rows, profile.limits.maxComputeWorkgroupsPerDimension), [out, x, weight]);
  });
};
