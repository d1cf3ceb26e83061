// The entry that bundlers get. The page's results go to globalThis.results, or globalThis.failure.
import * as tf from '@tensorflow/tfjs';
import {setWasmPaths} from '@tensorflow/tfjs-backend-wasm';
import {ColumnParallelLinear, MissingError, openCheckpoint, startWorkers} from 'tfjs-linear';
import {checkPackage, checkWorker} from './check.js';

setWasmPaths('/wasm/');
// tf.js starts its threads from the text of a function, which a bundler's minifier may have changed: on a cross-origin isolated page, as here, its
// threaded build then never starts.
if (new URL(location.href).searchParams.has('unthreaded')) tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);

async function run() {
  const backends = [];
  for (const backend of ['cpu', 'wasm']) {
    await tf.setBackend(backend);
    backends.push(await checkPackage(tf, {openCheckpoint, MissingError}, new URL('/my-model/', location.href)));
  }
  return {backends, worker: globalThis.crossOriginIsolated ? await checkWorker(tf, {ColumnParallelLinear, startWorkers}) : null};
}

run().then(
  (results) => {
    globalThis.results = results;
  },
  (error) => {
    globalThis.failure = String(error.stack ?? error);
  },
);
