/** An MLP over several devices: each computes its part of F, and what it adds to y comes home. */
import * as tf from '@tensorflow/tfjs';
import {checkTensor} from '../arguments.js';
import {DeviceRef, onDevice} from '../device.js';
import {type Flow, gatherEach, inOrder, sendEach} from '../sharding/flow.js';
import {putTogether} from '../sharding/pieces.js';
import type {After, Held, PlacedShard, ShardDevice} from '../sharding/shard_device.js';
import type {ShardedCore} from '../sharding/sharded_core.js';
import type {Cut} from '../sharding/strategy.js';
import type {Linear} from './linear.js';
import type {MLP} from './mlp.js';
import type {ShardedLinear} from './sharded_linear.js';

/** The core of a projection that is spread. */
export function coreOf(layer: Linear): ShardedCore {
  return (layer as ShardedLinear).spread;
}

/** y [..., H] on `home` of an MLP whose projections are spread. `xs`: one x [..., H] for all devices, or one a device. */
export function* mlpFlow(mlp: MLP, xs: readonly tf.Tensor[], home: string): Flow<tf.Tensor> {
  const cores = mlp.projections().map(([, layer]) => coreOf(layer));
  const down = cores.pop() as ShardedCore;
  checkTensor(`${mlp.name}: x`, xs[0] as tf.Tensor);
  const lead = (xs[0] as tf.Tensor).shape.slice(0, -1);
  const asked = down.asked(home);
  const devices = asked.map((i) => down.deviceAt(i));
  const hs = yield* innerFlow(cores, {gated: mlp.activationFunction, limit: mlp.swigluLimit}, xs, asked, devices);
  let y: tf.Tensor;
  if (down.inputQuantization === null) {
    const ys = inOrder(devices, (at) =>
      (devices[at] as ShardDevice).run([down.shards[asked[at] as number] as PlacedShard], [hs[at] as Held], {}),
    );
    const parts = yield* gatherEach(devices, ys, home);
    y = onDevice(new DeviceRef(home), () => down.combine(parts, asked, null));
  } else {
    // The largest number of a row decides how all of it is rounded: the row has to be in one place for that.
    const parts = yield* gatherEach(devices, hs, home);
    const ranges = asked.map((i) => (down.cuts[i] as Cut).columns);
    y = yield* down.flow([onDevice(new DeviceRef(home), () => putTogether(parts, ranges, 1))], home);
  }
  return onDevice(new DeviceRef(home), () => tf.reshape(y, [...lead, mlp.hiddenDim]));
}

/** act(gate) * up of each asked device, [M, its part of F], where it is. */
function* innerFlow(
  cores: readonly ShardedCore[],
  after: After,
  xs: readonly tf.Tensor[],
  asked: readonly number[],
  devices: readonly ShardDevice[],
): Flow<Held[]> {
  const plain = cores.every((core) => core.inputQuantization === null);
  const [first] = cores as readonly [ShardedCore];
  const shared = plain ? first.inputs(xs) : null;
  const held: Held[][] = [];
  for (const core of cores) {
    const inputs = shared ?? core.inputs(xs);
    const sent =
      plain && held.length > 0
        ? (held[0] as Held[])
        : yield* sendEach(
            devices,
            asked.map((i) => inputs[i] as tf.Tensor),
          );
    held.push(sent);
  }
  return inOrder(devices, (at) => {
    const shards = cores.map((core) => core.shards[asked[at] as number] as PlacedShard);
    return (devices[at] as ShardDevice).run(
      shards,
      held.map((sent) => sent[at] as Held),
      after,
    );
  });
}
