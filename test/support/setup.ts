/** What every spec runs under: the backends, the time limit, and a check that no spec leaves a tensor behind. */
import * as tf from '@tensorflow/tfjs';
import {IN_BROWSER} from './environment.js';
import './start.js';

jasmine.DEFAULT_TIMEOUT_INTERVAL = 240_000;

let tensorsBefore = 0;

beforeAll(async () => {
  await tf.setBackend('cpu');
});

// Dawn, whose device outlives the last spec, ends a process of Node with a segmentation fault on some runs.
afterAll(async () => {
  if (IN_BROWSER || tf.findBackend('webgpu') === null) return;
  await tf.setBackend('cpu');
  tf.removeBackend('webgpu');
});

beforeEach(() => {
  tensorsBefore = tf.memory().numTensors;
});

afterEach(() => {
  const grown = tf.memory().numTensors - tensorsBefore;
  // Not an expect(): that would count as one in specs that have none.
  if (grown > 0) fail(`The spec left ${grown} tensor${grown === 1 ? '' : 's'} behind.`);
});
