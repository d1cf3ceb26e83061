/** The ops that only some cases have: GPTQ's own tensors to float32, and products with rounded x. */
import * as tf from '@tensorflow/tfjs';
import {quantizeRows} from '../../kernels/cpu/quantize.js';
import {quantizeAttrs} from '../../kernels/input_quantization.js';
import type {CheckpointFormat} from '../../src/formats/gptq_header.js';
import {type Linear, openCheckpoint, ops, type QuantizedWeight} from '../../src/index.js';
import {type CaseFiles, floatsOf} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {variantsOf} from '../support/variants.js';
import type {Case} from './cases.js';
import {difference, type Op, type Outcome} from './check_case.js';

export function otherOps(c: Case, reference: CaseFiles): [Op, () => Promise<Outcome>][] {
  const checks: [Op, () => Promise<Outcome>][] = [];
  if (c.quantization?.quant_method === 'gptq') checks.push(['GptqUnpack', () => checkGptqUnpack(c, reference)]);
  const rounded = reference.tensors.get('ref.y_actquant_ub') ?? reference.tensors.get('ref.y_actquant');
  if (rounded !== undefined) {
    checks.push(['Fp8Quantize', () => withLayer(c, reference, (layer) => checkQuantize(layer, reference))]);
    checks.push(['Fp8ScaledMatMul', () => withLayer(c, reference, (layer) => checkScaled(layer, reference, floatsOf(rounded)))]);
  }
  return checks;
}

/** The file's tensors as tf.js tensors, unpacked bit-equal. */
async function checkGptqUnpack(c: Case, {tensors, weight}: CaseFiles): Promise<Outcome> {
  const stored = (name: string) => {
    const t = tensors.get(`${c.module}.${name}`);
    if (t === undefined) throw new Error(`The fixture has no ${name}.`);
    return t;
  };
  const integers = (name: string) => tf.tensor(new Int32Array(stored(name).data.buffer), [...stored(name).shape], 'int32');
  const {bits, group_size: groupSize, sym, checkpoint_format: checkpointFormat = 'gptq'} = c.quantization as Record<string, unknown>;
  const w = await ops.gptqUnpackAsync(
    {
      qweight: integers('qweight'),
      qzeros: integers('qzeros'),
      gIdx: integers('g_idx'),
      scales: tf.tensor(floatsOf(stored('scales')), [...stored('scales').shape]),
    },
    {bits: bits as number, groupSize: groupSize as number, sym: sym as boolean, checkpointFormat: checkpointFormat as CheckpointFormat},
  );
  const maxError = difference(await w.data(), weight);
  return {ok: maxError === 0, declined: false, reason: maxError === 0 ? 'bit-equal' : 'differs from the tool', maxError};
}

/** With a layer that rounds x as its checkpoint says. */
async function withLayer(c: Case, {files}: CaseFiles, check: (layer: Linear) => Promise<Outcome>): Promise<Outcome> {
  const checkpoint = await openCheckpoint(files);
  const layer = await checkpoint.linear(c.module);
  await checkpoint.close();
  try {
    return await check(layer);
  } finally {
    layer.dispose();
  }
}

/** Codes and scales of x, equal to the oracle's. */
async function checkQuantize({inputQuantization: q, inDim}: Linear, {x}: CaseFiles): Promise<Outcome> {
  if (q === null) throw new Error('The checkpoint says nothing about x.');
  const rows = x.length / inDim;
  const scale = typeof q.scale === 'number' ? [Math.fround(q.scale)] : null;
  const expected = quantizeRows(x, scale, rows, inDim, quantizeAttrs(q, false));
  const {codes, scales} = ops.fp8Quantize(tf.tensor2d(x, [rows, inDim]), q);
  const maxError = Math.max(difference(await codes.data(), expected.out), difference(await scales.data(), expected.scales));
  return {ok: maxError === 0, declined: false, reason: maxError === 0 ? "the oracle's codes" : 'differs from the oracle', maxError};
}

/** The tool's own result with rounded x. */
async function checkScaled(layer: Linear, {x}: CaseFiles, expected: Float32Array): Promise<Outcome> {
  const rows = x.length / layer.inDim;
  const {bound} = variantsOf(tf.getBackend()).choose((layer.weight as QuantizedWeight).layout, rows, 'auto');
  const maxError = rowErrors(await layer.forward(tf.tensor2d(x, [rows, layer.inDim])).data(), expected, layer.outDim);
  return {
    ok: maxError <= bound,
    declined: false,
    reason: maxError <= bound ? "the tool's own rounding of x" : `error over ${bound}`,
    maxError,
  };
}
