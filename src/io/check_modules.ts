/** What the tensors of a module do not say by themselves. */
import type {WeightLayout} from '../../kernels/layout.js';
import {ShapeError, UnsupportedError} from '../errors.js';

/** Throws ShapeError unless gate and up are [F, H] and down is [H, F]. */
export function checkProjections(prefix: string, gate: WeightLayout, up: WeightLayout, down: WeightLayout): void {
  const [hidden, inner] = [gate.inDim, gate.outDim];
  if (up.inDim === hidden && up.outDim === inner && down.inDim === inner && down.outDim === hidden) return;
  throw new ShapeError({
    where: prefix,
    expected: 'gate and up [F, H] and down [H, F]',
    received: [gate, up, down].map(({outDim, inDim}) => `[${outDim}, ${inDim}]`).join(', '),
  });
}

/** Throws UnsupportedError for a Conv1D of transformers (GPT-2), which a square weight without a bias would not betray. */
export function refuseTransposed(module: string, config: Readonly<Record<string, unknown>> | null): void {
  const type = config?.model_type;
  if (!/^(gpt2|openai-gpt|imagegpt)$/.test(String(type)) || !/\.c_(attn|fc|proj)$/.test(module)) return;
  throw new UnsupportedError({
    where: module,
    expected: 'a weight [outputs, inputs]',
    received: `a Conv1D of ${type}, [inputs, outputs]`,
    remedy: 'Transpose what tensor() gives, and load it with loadStateDict.',
  });
}
