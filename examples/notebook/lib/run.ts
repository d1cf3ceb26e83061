/** One layer on several backends, and spread over them: times and errors against float64 sums of the unpacked weight. */
import * as tf from '@tensorflow/tfjs';
import type {Checkpoint, Linear, ShardedLinear, ShardingStrategy} from 'tfjs-linear';
import {breathe, onBackend} from './queue.js';
import {relativeError, type Unpacked} from './record.js';
import type {TaskControl} from './task.js';

/** Runs that a median is taken of. */
const SAMPLES = 5;

export interface BackendRun {
  readonly backend: string;
  readonly medianMs: number;
  /** tf.matMul over the same weight as float32. */
  readonly float32Ms: number;
  /** 2-norm, against float64. */
  readonly error: number;
  readonly bytes: number;
}

/** x [M, K], the same numbers on every run. */
function inputRows(rows: number, inDim: number): Float32Array {
  let state = 1;
  return Float32Array.from({length: rows * inDim}, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** x . W^T in float64, [M, N]. */
function product(x: Float32Array, {values, outDim, inDim}: Unpacked): Float64Array {
  const y = new Float64Array((x.length / inDim) * outDim);
  for (let i = 0; i < y.length; i++) {
    const m = Math.floor(i / outDim) * inDim;
    const n = (i % outDim) * inDim;
    let sum = 0;
    for (let k = 0; k < inDim; k++) sum += (x[m + k] as number) * (values[n + k] as number);
    y[i] = sum;
  }
  return y;
}

async function medianMs(run: () => Promise<tf.Tensor> | tf.Tensor): Promise<number> {
  const times: number[] = [];
  // The first two compile and upload.
  for (let i = 0; i < SAMPLES + 2; i++) {
    const start = performance.now();
    const y = await run();
    await y.data();
    times.push(performance.now() - start);
    y.dispose();
  }
  return times.slice(2).sort((a, b) => a - b)[SAMPLES >> 1] as number;
}

/** y without the bias, which the reference lacks. */
async function valuesOf(layer: Linear, x: tf.Tensor): Promise<Float32Array> {
  const y = await layer.forwardAsync(x);
  const bias = layer.hasBias ? (layer.bias as tf.Tensor) : null;
  const values = Float32Array.from(await y.data());
  y.dispose();
  if (bias !== null) {
    const b = await bias.data();
    for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) - (b[i % b.length] as number);
  }
  return values;
}

export interface RunOptions extends TaskControl {
  readonly rows: number;
  readonly weight: Unpacked;
}

/** Rows of x through the layer on each backend in turn. */
export async function runOnBackends(
  checkpoint: Checkpoint,
  module: string,
  backends: readonly string[],
  {rows, weight, signal, progress}: RunOptions,
): Promise<BackendRun[]> {
  const x = inputRows(rows, weight.inDim);
  const expected = product(x, weight);
  const results: BackendRun[] = [];
  for (const backend of backends) {
    progress(results.length, backends.length, backend);
    await breathe(signal);
    results.push(await onBackend(backend, () => runOne(checkpoint, module, backend, x, expected, weight, signal)));
  }
  return results;
}

async function runOne(
  checkpoint: Checkpoint,
  module: string,
  backend: string,
  x: Float32Array,
  expected: Float64Array,
  weight: Unpacked,
  signal: AbortSignal,
): Promise<BackendRun> {
  // Weights alone are compared: rounding of x, where the checkpoint asks for it, is off.
  const layer = await checkpoint.linear(module, {device: backend, inputQuantization: 'none', signal});
  const input = tf.tensor2d(x, [x.length / weight.inDim, weight.inDim]);
  const dense = tf.tensor2d(weight.values, [weight.outDim, weight.inDim]);
  try {
    const error = relativeError(await valuesOf(layer, input), expected);
    return {
      backend,
      medianMs: await medianMs(() => layer.forwardAsync(input)),
      float32Ms: await medianMs(() => tf.matMul(input, dense, false, true)),
      error,
      bytes: layer.byteLength,
    };
  } finally {
    tf.dispose([input, dense]);
    layer.dispose();
  }
}

export interface ShardPart {
  readonly shard: number;
  readonly device: string;
  readonly rows: readonly [number, number];
  readonly columns: readonly [number, number];
  readonly bytes: number;
}

export interface ShardRun {
  readonly parts: readonly ShardPart[];
  readonly error: number;
  readonly medianMs: number;
}

/** The layer spread over devices, results summed or joined on cpu. */
export function runSharded(
  checkpoint: Checkpoint,
  module: string,
  devices: readonly string[],
  strategy: ShardingStrategy,
  {rows, weight, signal}: RunOptions,
): Promise<ShardRun> {
  return onBackend('cpu', async () => {
    const options = {devices, strategy, home: 'cpu', inputQuantization: 'none', signal} as const;
    const layer = (await checkpoint.linear(module, options)) as ShardedLinear;
    const values = inputRows(rows, weight.inDim);
    const x = tf.tensor2d(values, [rows, weight.inDim]);
    try {
      const error = relativeError(await valuesOf(layer, x), product(values, weight));
      const ms = await medianMs(() => layer.forwardAsync(x));
      const parts = layer.places.flatMap((place, shard) =>
        place.rows.flatMap((r) =>
          place.columns.map((c) => ({shard, device: String(place.device), rows: r, columns: c, bytes: place.byteLength})),
        ),
      );
      return {parts, error, medianMs: ms};
    } finally {
      x.dispose();
      layer.dispose();
    }
  });
}
