/** A trained tf.js model, its Dense layers packed in every mode: bytes, error and accuracy side by side; saved as a checkpoint and opened again. */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {type Linear, openCheckpoint, type QuantizeConfig, quantizeModel, saveSafetensors} from 'tfjs-linear';
import {check, done, kib} from './shared/check.js';
import {spirals} from './shared/spirals.js';

await tf.setBackend('wasm');
const {x, y, labels} = spirals(300, 3);
const model = tf.sequential({
  layers: [
    tf.layers.dense({units: 128, activation: 'relu', inputShape: [2], name: 'in'}),
    tf.layers.dense({units: 128, activation: 'relu', name: 'middle'}),
    tf.layers.dense({units: 3, activation: 'softmax', name: 'out'}),
  ],
});
model.compile({optimizer: tf.train.adam(0.005), loss: 'categoricalCrossentropy'});
await model.fit(x, y, {epochs: 60, batchSize: 64, verbose: 0});

function accuracy(m: tf.LayersModel): number {
  return tf.tidy(() => tf.mean(tf.cast(tf.equal(tf.argMax(m.predict(x) as tf.Tensor, -1), labels), 'float32')).dataSync()[0] as number);
}

const before = accuracy(model);
const modes: QuantizeConfig[] = [
  {mode: 'bfloat16'},
  {mode: 'float8'},
  {mode: 'int8'},
  {mode: 'int4', groupSize: 32},
  {mode: 'int4', groupSize: -1},
];
const line = (...cells: string[]) => console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(20) : cell.padStart(14))).join(''));
line('', 'bytes', 'bits a weight', 'weight error', 'accuracy');
line('float32', kib(4 * model.countParams()), '32.00', '0', `${(100 * before).toFixed(1)} %`);
for (const mode of modes) {
  const {model: small, report} = await quantizeModel(model, mode);
  const middle = report.layers.find(({path}) => path === 'middle');
  if (middle === undefined) throw new Error('the middle layer was left out');
  const weightBytes = (small.getLayer('middle') as unknown as Linear).weight.byteLength;
  const bits = (8 * weightBytes) / (middle.outDim * middle.inDim);
  const right = accuracy(small);
  const name = `${mode.mode}${mode.groupSize === undefined ? '' : mode.groupSize === -1 ? ', a scale a row' : `, groups of ${mode.groupSize}`}`;
  line(name, kib(report.bytesAfter), bits.toFixed(2), `${(100 * middle.relativeError).toFixed(2)} %`, `${(100 * right).toFixed(1)} %`);
  check(right > before - 0.1, `${name} keeps the accuracy`);
  small.dispose();
}
check(before > 0.95, 'the float model had learned');

// As a file that other tools read too, and back: the same numbers.
const {model: small} = await quantizeModel(model, {mode: 'int8'});
const layer = small.getLayer('middle') as unknown as Linear;
const {bytes, config} = saveSafetensors({middle: layer});
const json = new TextEncoder().encode(JSON.stringify(config));
const checkpoint = await openCheckpoint({'model.safetensors': bytes, 'config.json': json});
console.log(`saved as ${checkpoint.quantization?.format ?? checkpoint.quantization?.quant_method}: ${checkpoint.names().join(', ')}`);
const again = await checkpoint.linear('middle');
const [w, v] = await Promise.all([layer.weight.dequantize().data(), again.weight.dequantize().data()]);
check(
  w.every((value, i) => value === v[i]),
  'the opened layer has the same weights',
);
done();
