/**
 * Tensors over several devices: the same to all, all together, all added. Results are new tensors, one a device, that the caller disposes.
 * Numbers are read where they lie and made where they go; on one backend nothing is copied. The `Async` variants serve devices that cannot be
 * read synchronously. Source: MAX `max.nn.comm`. Differs: any tf.js backends, the same one several times, no signal buffers.
 */
import * as tf from '@tensorflow/tfjs';
import {checkTensor} from '../arguments.js';
import {checkDeviceList, DeviceRef, onDevice} from '../device.js';
import {ArgumentError, ShapeError} from '../errors.js';
import {type LocalDevice, localDevice} from './device.js';
import {type Flow, gatherEach, runAsync, runSync, sendEach} from './flow.js';
import {backendNameOf} from './transfer.js';

type Devices = readonly (DeviceRef | string)[];

/**
 * x on each device.
 *
 * ```js
 * tfl.broadcast(tf.tensor1d([1, 2]), ['cpu', 'cpu']).length; // 2
 * ```
 */
export function broadcast(x: tf.Tensor, devices: Devices): tf.Tensor[] {
  checkTensor('broadcast', x);
  return runSync(() => toAll(x, namedDevices(devices)));
}

/**
 * As `broadcast`, for devices that have to be awaited.
 *
 * ```js
 * (await tfl.broadcastAsync(tf.tensor1d([1, 2]), ['cpu', 'cpu'])).length; // 2
 * ```
 */
export async function broadcastAsync(x: tf.Tensor, devices: Devices): Promise<tf.Tensor[]> {
  checkTensor('broadcast', x);
  return runAsync(() => toAll(x, namedDevices(devices)));
}

/**
 * Parts, in their order along `axis` (default: the last), on each device. `devices`: default those where the parts lie, one each.
 * Throws ShapeError where ranks, dtypes or sizes off the axis differ, ArgumentError for an axis out of range or no parts.
 *
 * ```js
 * tfl.allGather([tf.tensor1d([1, 2]), tf.tensor1d([3])])[0].print(); // [1, 2, 3]
 * ```
 */
export function allGather(parts: readonly tf.Tensor[], axis = -1, devices?: Devices): tf.Tensor[] {
  return runSync(gathering(parts, axis, devices));
}

/**
 * As `allGather`, for devices that have to be awaited.
 *
 * ```js
 * (await tfl.allGatherAsync([tf.tensor1d([1, 2]), tf.tensor1d([3])]))[0].print(); // [1, 2, 3]
 * ```
 */
export async function allGatherAsync(parts: readonly tf.Tensor[], axis = -1, devices?: Devices): Promise<tf.Tensor[]> {
  return runAsync(gathering(parts, axis, devices));
}

/**
 * The sum of tensors of one shape, added in their order, on each device. Throws as `allGather`.
 *
 * ```js
 * tfl.allReduceSum([tf.tensor1d([1, 2]), tf.tensor1d([3, 4])])[1].print(); // [4, 6]
 * ```
 */
export function allReduceSum(parts: readonly tf.Tensor[], devices?: Devices): tf.Tensor[] {
  return runSync(summing(parts, devices));
}

/**
 * As `allReduceSum`, for devices that have to be awaited.
 *
 * ```js
 * (await tfl.allReduceSumAsync([tf.tensor1d([1, 2]), tf.tensor1d([3, 4])]))[1].print(); // [4, 6]
 * ```
 */
export async function allReduceSumAsync(parts: readonly tf.Tensor[], devices?: Devices): Promise<tf.Tensor[]> {
  return runAsync(summing(parts, devices));
}

function gathering(parts: readonly tf.Tensor[], axis: number, devices: Devices | undefined): () => Flow<tf.Tensor[]> {
  const first = checkParts(parts, 'allGather');
  const at = axis < 0 ? axis + first.rank : axis;
  if (!Number.isInteger(at) || at < 0 || at >= first.rank) {
    throw new ArgumentError({where: 'allGather: axis', expected: `one of ${first.rank} axes`, received: String(axis)});
  }
  checkAlike(parts, 'allGather', at);
  return () => together(parts, devices, (ts) => (ts.length === 1 ? (ts[0] as tf.Tensor) : tf.concat([...ts], at)));
}

function summing(parts: readonly tf.Tensor[], devices: Devices | undefined): () => Flow<tf.Tensor[]> {
  checkParts(parts, 'allReduceSum');
  checkAlike(parts, 'allReduceSum', null);
  return () => together(parts, devices, (ts) => ts.reduce((a, b) => tf.add(a, b)));
}

function* toAll(x: tf.Tensor, devices: readonly LocalDevice[]): Flow<tf.Tensor[]> {
  const held = (yield* sendEach(
    devices,
    devices.map(() => x),
  )) as tf.Tensor[];
  return held.map((t, i) => (held.indexOf(t) === i ? t : onDevice((devices[i] as LocalDevice).ref, () => tf.clone(t))));
}

/** Parts made one on the first device, then sent to all. */
function* together(
  parts: readonly tf.Tensor[],
  devices: Devices | undefined,
  combine: (ts: readonly tf.Tensor[]) => tf.Tensor,
): Flow<tf.Tensor[]> {
  const sources = parts.map((part) => localDevice(backendNameOf(part)));
  const targets = devices === undefined ? sources : namedDevices(devices);
  const home = (targets[0] as LocalDevice).name;
  const here = yield* gatherEach(sources, parts, home);
  return yield* toAll(
    onDevice(new DeviceRef(home), () => combine(here)),
    targets,
  );
}

function namedDevices(devices: Devices): LocalDevice[] {
  checkDeviceList(devices, 'devices');
  return devices.map(localDevice);
}

function checkParts(parts: readonly tf.Tensor[], where: string): tf.Tensor {
  if (!Array.isArray(parts) || parts.length === 0) {
    const received = Array.isArray(parts) ? 'none' : String(parts);
    throw new ArgumentError({where, expected: 'a list of at least one tensor', received});
  }
  for (const part of parts) checkTensor(where, part);
  return parts[0] as tf.Tensor;
}

/** Throws ShapeError unless dtype and shape agree, `axis` aside. */
function checkAlike(parts: readonly tf.Tensor[], where: string, axis: number | null): void {
  const [first] = parts as [tf.Tensor];
  const describe = (t: tf.Tensor) => `${t.dtype} [${t.shape.map((d, i) => (i === axis ? '*' : d))}]`;
  const other = parts.find((t) => describe(t) !== describe(first));
  if (other !== undefined) throw new ShapeError({where, expected: describe(first), received: describe(other)});
}
