/** A Keras-style script: Linear and MLP beside tf.js's own layers in one sequential model, trained with fit, saved and loaded. */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {linear, mlp} from 'tfjs-linear';
import {check, done} from './shared/check.js';
import {spirals} from './shared/spirals.js';

await tf.setBackend('wasm');
const {x, y, labels} = spirals(300, 3);

const model = tf.sequential({
  layers: [
    linear({inDim: 2, outDim: 32, hasBias: true, activation: 'tanh', name: 'in'}),
    // down(silu(gate(x)) * up(x)): the feed-forward block of a Llama.
    mlp({hiddenDim: 32, feedForwardLength: 48, hasBias: true, name: 'block'}),
    tf.layers.dense({units: 3, activation: 'softmax', name: 'out'}),
  ],
});
model.summary(70, [0.45, 0.7, 1]);
model.compile({optimizer: tf.train.adam(0.005), loss: 'categoricalCrossentropy', metrics: ['accuracy']});

await model.fit(x, y, {
  epochs: 50,
  batchSize: 64,
  verbose: 0,
  callbacks: {
    onEpochEnd: (epoch, logs) => {
      if (epoch % 10 === 9) console.log(`epoch ${epoch + 1}: loss ${logs?.loss?.toFixed(3)}, accuracy ${logs?.acc?.toFixed(3)}`);
    },
  },
});

const predictions = model.predict(x) as tf.Tensor;
const right = tf.tidy(() => tf.mean(tf.cast(tf.equal(tf.argMax(predictions, -1), labels), 'float32')).dataSync()[0] as number);
console.log(`${(100 * right).toFixed(1)} % of ${x.shape[0]} points are in the right arm`);
check(right > 0.9, 'the model learned');

// tf.js saves and loads the layers as its own: importing tfjs-linear registered their classes.
let saved: tf.io.ModelArtifacts | undefined;
await model.save(
  tf.io.withSaveHandler(async (artifacts) => {
    saved = artifacts;
    return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
  }),
);
const loaded = await tf.loadLayersModel(tf.io.fromMemory(saved as tf.io.ModelArtifacts));
const again = loaded.predict(x) as tf.Tensor;
check(tf.tidy(() => tf.max(tf.abs(tf.sub(again, predictions))).dataSync()[0]) === 0, 'the loaded model predicts the same');
done();
