// https://github.com/tensorflow/tfjs/issues/7914: the WebGPU backend did not work inside a worker. Here every backend, from checkpoint to gradient.
import * as tf from '@tensorflow/tfjs';
import {setWasmPaths} from '@tensorflow/tfjs-backend-wasm';
import {openCheckpoint} from '../../src/index.js';
import {CASES} from '../grid/cases.js';
import {filesOf} from '../support/checkpoints.js';
import {IN_BROWSER} from '../support/environment.js';
import {rowErrors} from '../support/errors.js';
import {workerTask} from '../support/in_worker.js';
import {positive} from '../support/numbers.js';
import {startBackend} from '../support/start.js';

interface Job {
  backend: string;
  /** tf.env() flags, set before the backend starts. */
  flags: Record<string, boolean>;
  wasmFiles: string;
  cases: {files: Record<string, Uint8Array>; module: string; x: Float32Array}[];
}

interface Answer {
  page: boolean;
  tensorsLeft: number;
  rendersFloat32: boolean | null;
  layers: {y: Float32Array; weight: Float32Array; row: Float32Array; dx: Float32Array}[];
}

async function run({backend, flags, wasmFiles, cases}: Job): Promise<Answer> {
  setWasmPaths(wasmFiles);
  for (const [name, value] of Object.entries(flags)) tf.env().set(name, value);
  const failure = await startBackend(backend);
  if (failure !== null) throw new Error(failure);
  const before = tf.memory().numTensors;
  const layers: Answer['layers'] = [];
  for (const {files, module, x: values} of cases) {
    const checkpoint = await openCheckpoint(files);
    const layer = await checkpoint.linear(module, {inputQuantization: 'none'});
    await checkpoint.close();
    const x = tf.tensor2d(values, [values.length / layer.inDim, layer.inDim]);
    const results = {
      y: layer.forward(x),
      weight: layer.weight.dequantize(),
      row: layer.weight.dequantizeRows([layer.outDim - 1]),
      dx: tf.grad((a) => tf.sum(layer.forward(a)))(x),
    };
    const read = await Promise.all(Object.entries(results).map(async ([name, t]) => [name, await t.data()]));
    layers.push(Object.fromEntries(read));
    tf.dispose([x, results]);
    layer.dispose();
  }
  const rendersFloat32 = backend === 'webgl' ? tf.env().getBool('WEBGL_RENDER_FLOAT32_ENABLED') : null;
  return {page: IN_BROWSER, tensorsLeft: tf.memory().numTensors - before, rendersFloat32, layers};
}

const inWorker = workerTask('tensorflow/tfjs#7914', run);

/** An act-order permutation; float8 in blocks; two levels of scales and offsets. */
const NAMES = ['gptq_b4_g64_sym_act_v1_bias', 'ct_fp8_block128', 'gguf_q4_k'];

/** [backend, flags, bound of a product] */
const RUNS: readonly [string, Record<string, boolean>, number][] = [
  ['cpu', {}, 1e-6],
  ['wasm', {}, 1e-4],
  ['webgl', {}, 1e-6],
  // 16-bit float textures from the start, as on many phones.
  ['webgl', {WEBGL_FORCE_F16_TEXTURES: true}, 2e-3],
  ['webgpu', {}, 1e-6],
];

if (IN_BROWSER) {
  describe('tensorflow/tfjs#7914', () => {
    for (const [backend, flags, bound] of RUNS) {
      it(`a dedicated worker computes on ${[backend, ...Object.keys(flags)].join(', ')}`, async () => {
        const cases = CASES.filter(({name}) => NAMES.includes(name));
        expect(cases.length).toBe(NAMES.length);
        const references = await Promise.all(cases.map((c) => filesOf(c)));
        const answer = await inWorker({
          backend,
          flags,
          wasmFiles: new URL('/base/node_modules/@tensorflow/tfjs-backend-wasm/dist/', location.href).href,
          cases: cases.map(({module}, i) => {
            const {files, x} = references[i] as Awaited<ReturnType<typeof filesOf>>;
            return {files, module, x};
          }),
        });
        expect(answer.page).toBeFalse();
        expect(answer.tensorsLeft).toBe(0);
        expect(answer.rendersFloat32).toBe(backend === 'webgl' ? Object.keys(flags).length === 0 : null);
        references.forEach(({y, weight, x}, i) => {
          const {inDim: k, outDim: n, name} = cases[i] as (typeof cases)[number];
          const got = answer.layers[i] as Answer['layers'][number];
          expect(positive(got.weight)).withContext(name).toEqual(positive(weight));
          expect(positive(got.row))
            .withContext(name)
            .toEqual(positive(weight.subarray((n - 1) * k)));
          expect(rowErrors(got.y, y, n))
            .withContext(name)
            .toBeLessThan(bound);
          const columns = Float64Array.from({length: x.length}, (_, j) => {
            let sum = 0;
            for (let r = 0; r < n; r++) sum += weight[r * k + (j % k)] as number;
            return sum;
          });
          expect(rowErrors(got.dx, columns, k))
            .withContext(name)
            .toBeLessThan(bound);
        });
      });
    }
  });
}
