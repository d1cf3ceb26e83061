/** GatedActivation and RmsNorm on tensorflow. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import {ACTIVATIONS} from '../activation.js';
import type {GatedActivationAttrs, RmsNormAttrs} from '../fused.js';
import {ATTRIBUTE, type NodeBackend, outputOf} from './backend.js';
import {gated, rmsNorm as normalised} from './composed/fused.js';
import {Ops} from './composed/ops.js';
import {execute} from './native.js';
import {wayFor} from './way.js';

export const gatedActivation: KernelFunc = ({inputs, backend, attrs}) => {
  const node = backend as unknown as NodeBackend;
  const x = inputs.x as TensorInfo;
  const {activation} = attrs as unknown as GatedActivationAttrs;
  if (wayFor(node).instructions === null) {
    return outputOf(
      node,
      Ops.scope(node, (ops) => gated(ops, ops.tensor(x), activation)),
    );
  }
  const call = [1 + ACTIVATIONS.indexOf(activation)];
  return execute(node, 'TfjsLinearGatedActivation', [{name: 'call', type: ATTRIBUTE.int, value: call}], [x])[0] as TensorInfo;
};

export const rmsNorm: KernelFunc = ({inputs, backend, attrs}) => {
  const node = backend as unknown as NodeBackend;
  const {x, weight} = inputs as {x: TensorInfo; weight: TensorInfo};
  const {epsilon} = attrs as unknown as RmsNormAttrs;
  if (wayFor(node).instructions === null) {
    return outputOf(
      node,
      Ops.scope(node, (ops) => normalised(ops, ops.tensor(x), ops.tensor(weight), epsilon)),
    );
  }
  return execute(node, 'TfjsLinearRmsNorm', [{name: 'numbers', type: ATTRIBUTE.float, value: [epsilon]}], [x, weight])[0] as TensorInfo;
};
