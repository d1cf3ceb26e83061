/**
 * A computation over several devices, written once and driven in two ways. It yields what has to move (x to a device, a result home) and goes on
 * with what arrived; `runSync` moves at once, `runAsync` awaits, all moves of one step together.
 */
import * as tf from '@tensorflow/tfjs';
import {UnsupportedError} from '../errors.js';
import type {Held, ShardDevice} from './shard_device.js';
import {sameTensor} from './transfer.js';

export type Move = {readonly device: ShardDevice} & ({readonly send: tf.Tensor} | {readonly gather: Held; readonly home: string});

/** Yields moves; gets what arrived in the same order: Held for a send, a tensor on `home` for a gather. */
export type Flow<R> = Generator<readonly Move[], R, readonly object[]>;

/** x to each device, once where a device comes again with the same tensor. */
export function* sendEach(devices: readonly ShardDevice[], xs: readonly tf.Tensor[]): Flow<Held[]> {
  const moves: Move[] = [];
  const places = devices.map((device, i) => {
    const send = xs[i] as tf.Tensor;
    const known = moves.findIndex((move) => 'send' in move && move.send === send && move.device.name === device.name);
    return known >= 0 ? known : moves.push({device, send}) - 1;
  });
  const arrived = yield moves;
  return places.map((place) => arrived[place] as Held);
}

/** y as a tensor on every device. Throws UnsupportedError for a device that is none of this process. */
export function* toEach(y: tf.Tensor, devices: readonly ShardDevice[]): Flow<tf.Tensor[]> {
  const held = yield* sendEach(
    devices,
    devices.map(() => y),
  );
  return held.map((value, i) => {
    if (value instanceof tf.Tensor) return value;
    throw new UnsupportedError({
      where: 'forwardEach',
      expected: 'devices of this process',
      received: (devices[i] as ShardDevice).name,
      remedy: 'Use forward, whose result comes home.',
    });
  });
}

/** Results of each device as tensors on `home`. */
export function* gatherEach(devices: readonly ShardDevice[], ys: readonly Held[], home: string): Flow<tf.Tensor[]> {
  return (yield devices.map((device, i) => ({device, gather: ys[i] as Held, home}))) as tf.Tensor[];
}

/** Calls `run` for every device, those that only submit before those that block. Results in the order of the devices. */
export function inOrder<T>(devices: readonly ShardDevice[], run: (i: number) => T): T[] {
  const results = new Array<T>(devices.length);
  const indices = devices.map((_, i) => i);
  for (const i of indices.filter((j) => !devices[j]?.blocks)) results[i] = run(i);
  for (const i of indices.filter((j) => devices[j]?.blocks)) results[i] = run(i);
  return results;
}

/** The result, with nothing else left. Throws DeviceError where a move has to be awaited. */
export function runSync<R extends tf.TensorContainer>(flow: () => Flow<R>): R {
  return tf.tidy(() => {
    const steps = flow();
    let step = steps.next();
    while (!step.done) {
      step = steps.next(
        step.value.map((move) => ('send' in move ? move.device.send(move.send) : move.device.gather(move.gather, move.home))),
      );
    }
    return step.value;
  });
}

/** As `runSync`, for every device. */
export async function runAsync<R extends tf.Tensor | tf.Tensor[]>(flow: () => Flow<R>): Promise<R> {
  const made: tf.Tensor[] = [];
  try {
    const steps = flow();
    let step = scoped(made, () => steps.next());
    while (!step.done) {
      const moves = step.value.map((move) =>
        'send' in move ? move.device.sendAsync(move.send) : move.device.gatherAsync(move.gather, move.home),
      );
      // All of them, so that what the others made is freed where one fails.
      const settled = await Promise.allSettled(moves);
      const arrived = settled.flatMap((s) => (s.status === 'fulfilled' ? [s.value] : []));
      for (const value of arrived) if (value instanceof tf.Tensor) made.push(value);
      const failed = settled.find((s) => s.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
      step = scoped(made, () => steps.next(arrived));
    }
    const {value} = step;
    // Clones belong to the caller's scope, as results of any op do.
    return (Array.isArray(value) ? value.map(sameTensor) : sameTensor(value)) as R;
  } finally {
    tf.dispose(made);
  }
}

/** Runs a stretch between two awaits; its tensors live on, noted in `made`. */
function scoped<T>(made: tf.Tensor[], f: () => T): T {
  const engine = tf.engine();
  engine.startScope();
  try {
    return f();
  } finally {
    const {track} = (engine as unknown as {state: {activeScope: {track: tf.Tensor[]}}}).state.activeScope;
    for (const t of track) {
      if (!t.isDisposed) made.push(tf.keep(t));
    }
    engine.endScope();
  }
}
