/** An MLP in 8-bit floats: weights rounded once, one scale an output channel; activations rounded at each call, or not at all. */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {Float8Config, Float8InputScaleSpec, Float8WeightScaleSpec, MLP, ops} from 'tfjs-linear';
import {check, done, kib, relativeError} from './shared/check.js';

await tf.setBackend('wasm');
const [hiddenDim, feedForwardLength] = [256, 704];
const x = tf.randomNormal([16, hiddenDim], 0, 1, 'float32', 1);

const float = new MLP({hiddenDim, feedForwardLength});
const random = Object.entries(float.stateDict()).map(([key, t], i): [string, tf.Tensor] => [
  key,
  tf.mul(tf.randomNormal(t.shape, 0, 1, 'float32', i + 2), (t.shape[1] as number) ** -0.5),
]);
float.loadStateDict(Object.fromEntries(random));
const exact = await float.forward(x).data();
const floatBytes = 4 * float.countParams();
console.log(`float32: ${kib(floatBytes)}`);

/** Codes and scales of every weight [N, K]. fp8Quantize calls one scale a row 'colwise' (a token); of a weight it is an output channel. */
const state: Record<string, tf.Tensor> = {};
for (const [key, weight] of random) {
  const {codes, scales} = ops.fp8Quantize(weight, {dtype: 'float8_e4m3fn', origin: 'dynamic', granularity: 'colwise'});
  state[key] = codes;
  state[`${key}_scale`] = scales;
}

const float8Config = new Float8Config({
  weightScale: new Float8WeightScaleSpec({granularity: 'rowwise'}),
  inputScale: new Float8InputScaleSpec({granularity: 'colwise', origin: 'dynamic'}),
});
const small = new MLP({hiddenDim, feedForwardLength, float8Config});
small.loadStateDict(state);

const projections = [small.gateProj, small.upProj, small.downProj];
const bytes = projections.reduce((sum, layer) => sum + layer.weight.byteLength, 0);
console.log(`float8:  ${kib(bytes)}, ${((8 * bytes) / small.countParams()).toFixed(2)} bits a weight with its scales`);
check(bytes < 0.26 * floatBytes, 'a quarter of the bytes');

const both = relativeError(await small.forward(x).data(), exact);
console.log(`weights and activations in 8 bits: error ${(100 * both).toFixed(2)} % of y`);

// The same weights with x as it is: the product of the unpacked weight.
const [gate, up, down] = projections.map((layer) => ops.unpackWeight(layer.weight as Parameters<typeof ops.unpackWeight>[0]));
const inner = tf.mul(
  tf.tidy(() => {
    const g = tf.matMul(x, gate as tf.Tensor2D, false, true);
    return tf.mul(g, tf.sigmoid(g));
  }),
  tf.matMul(x, up as tf.Tensor2D, false, true),
);
const weightsOnly = relativeError(await tf.matMul(inner as tf.Tensor2D, down as tf.Tensor2D, false, true).data(), exact);
console.log(`weights alone in 8 bits:           error ${(100 * weightsOnly).toFixed(2)} % of y`);
check(weightsOnly > 0.005 && weightsOnly < 0.05, 'weights of 4 significant bits cost a few percent');
check(both > weightsOnly && both < 0.1, 'rounding x as well costs more, and not much more');
done();
