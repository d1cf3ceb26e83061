// Runs in a project of its own, with what `npm install` put there. Prints one JSON line.
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import * as tfl from 'tfjs-linear';
import {checkPackage} from './check.js';

const results = [];
for (const backend of ['cpu', 'wasm']) {
  await tf.setBackend(backend);
  results.push(await checkPackage(tf, tfl, 'fixture'));
}
console.log(JSON.stringify({from: import.meta.resolve('tfjs-linear'), exports: Object.keys(tfl).length, results}));
process.exit(0);
