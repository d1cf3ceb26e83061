/** An embedding and the lm_head tied to it: one packed weight, its rows spread over devices, never expanded. */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {ColumnParallelLinear, type Linear, memory, quantizeModel} from 'tfjs-linear';
import {check, done, kib} from './shared/check.js';

await tf.setBackend('wasm');
const [vocabulary, hiddenDim] = [8000, 192];

// A weight of rows of length 1, in 4 bits: what a checkpoint's embedding would be.
const dense = tf.sequential({layers: [tf.layers.dense({units: vocabulary, inputShape: [hiddenDim], useBias: false, name: 'embedding'})]});
const rows = tf.randomNormal([vocabulary, hiddenDim], 0, 1, 'float32', 1);
const unit = tf.div(rows, tf.norm(rows, 2, 1, true)) as tf.Tensor2D;
dense.setWeights([tf.transpose(unit)]);
const {model} = await quantizeModel(dense, {mode: 'int4', groupSize: 64});
const embedding = model.getLayer('embedding') as unknown as Linear;
tf.dispose([rows, unit]);
dense.dispose();
console.log(`${vocabulary} x ${hiddenDim}: ${kib(embedding.weight.byteLength)} packed, ${kib(4 * vocabulary * hiddenDim)} as float32`);

const before = memory();
const head = new ColumnParallelLinear({
  inDim: hiddenDim,
  outDim: vocabulary,
  devices: ['wasm', 'cpu', 'wasm'],
  shares: [4, 1, 4], // the plain cpu backend is slow: it gets the smallest part
  tiedWeight: embedding,
});
for (const {device, rows: parts, byteLength} of head.places)
  console.log(`${device.padEnd(5)} rows ${parts.join(' ')}: ${byteLength === 0 ? 'where they lie' : kib(byteLength)}`);
const copied = memory().codesBytes - before.codesBytes;
console.log(`${kib(copied)} more than the embedding alone: the rows for cpu; those on wasm are the embedding's own`);
check(copied < 0.15 * embedding.weight.byteLength, 'the tied weight is not stored twice');

// A token's hidden state is its embedding here, so the token itself must have the largest logit.
const ids = [0, 3555, 3999, 4000, 7999];
const hidden = embedding.weight.dequantizeRows(ids);
const start = performance.now();
const logits = head.forward(hidden);
await logits.data();
console.log(`logits [${logits.shape}] in ${(performance.now() - start).toFixed(0)} ms`);
const best = Array.from(await tf.argMax(logits, -1).data());
console.log(`tokens ${ids.join(' ')} -> ${best.join(' ')}`);
check(best.join() === ids.join(), 'each token finds itself');

const whole = embedding.forward(hidden);
const [a, b] = [await logits.data(), await whole.data()];
const difference = Math.max(...Array.from(a, (v, i) => Math.abs(v - (b[i] as number))));
check(difference < 1e-4, `spread and whole agree: largest difference ${difference.toExponential(1)}`);
done();
