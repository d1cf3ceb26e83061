/** FusedQuantizedMatMul on webgpu: in one dispatch where the product's kernel can do what surrounds it, else in one a step. */
import {getKernel, type KernelFunc, type TensorInfo} from '@tensorflow/tfjs';
import type {Activation} from '../activation.js';
import type {WebGPUVariant} from '../choose.js';
import type {FusedMatMulAttrs} from '../fused_matmul.js';
import {sectionsOf} from '../layout.js';
import {asWebGPU, profileOf, type WebGPUBackendLike} from './backend.js';
import {gatedActivation, rmsNorm} from './fused.js';
import {healthOf} from './health.js';
import {verifyOnce} from './known_answer.js';
import {choiceFor, multiply} from './matmul.js';
import {canFuse} from './plan.js';
import {countParts} from './resident.js';

/** What of a norm and a gate the product's own kernel does; each other is a step of its own. `last`: nothing but the residual comes after it. */
export function fusionOf(
  backend: WebGPUBackendLike,
  variant: WebGPUVariant,
  rows: number,
  {layout, rowStart, rowEnd, activation, gate}: Omit<FusedMatMulAttrs, 'epsilon' | 'inputPrecision'>,
): {norm: boolean; gate: Activation | null; last: boolean} {
  const can = canFuse(layout, variant, profileOf(backend), rows);
  const whole = countParts(backend, layout, sectionsOf(layout).length * 4, rowStart, rowEnd) === 1;
  const own = can.gate && whole && activation === null ? gate : null;
  return {norm: can.norm, gate: own, last: own === gate};
}

export const fusedMatMul: KernelFunc = ({inputs, backend: given, attrs}) => {
  const backend = asWebGPU(given);
  healthOf(backend).assertWell();
  const fused = attrs as unknown as FusedMatMulAttrs;
  const {layout, rowStart, rowEnd, activation, epsilon, gate} = fused;
  const {words, bias, norm, residual} = inputs as Record<string, TensorInfo>;
  let x = inputs.x as TensorInfo;
  const rows = x.shape[0] as number;
  const {variant} = choiceFor(layout, rows, rowEnd - rowStart, profileOf(backend));
  verifyOnce(backend, variant);
  const own = fusionOf(backend, variant, rows, fused);
  const {last} = own;
  const made: TensorInfo[] = [];
  const step = (kernel: KernelFunc, given: Record<string, TensorInfo>, options = {}): TensorInfo => {
    const y = kernel({inputs: given, backend, attrs: options}) as TensorInfo;
    made.push(y);
    return y;
  };
  try {
    if (norm !== undefined && !own.norm) x = step(rmsNorm, {x, weight: norm}, {epsilon});
    const product = {
      layout,
      x,
      words: words as TensorInfo,
      bias,
      norm: own.norm ? norm : undefined,
      epsilon,
      residual: last ? residual : undefined,
      rowStart,
      rowEnd,
    };
    let y = multiply(backend, variant, product, {activation, gate: own.gate});
    made.push(y);
    if (!last) {
      y = step(gatedActivation, {x: y}, {activation: gate});
      if (residual !== undefined) y = step(getKernel('Add', 'webgpu').kernelFunc, {a: residual, b: y});
    }
    made.pop();
    return y;
  } finally {
    for (const t of made) backend.disposeData(t.dataId);
  }
};
