// Runs in a project of its own, with what `npm install` put there. Prints one JSON line.
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import * as tfl from 'tfjs-linear';
import {checkPackage, checkWorker} from './check.js';

const results = [];
for (const backend of ['cpu', 'wasm']) {
  await tf.setBackend(backend);
  results.push(await checkPackage(tf, tfl, 'my-model'));
}
const worker = await checkWorker(tf, tfl);
console.log(JSON.stringify({from: import.meta.resolve('tfjs-linear'), results: {backends: results, worker}}));
process.exit(0);
