/** Layers ask no more of a device than `ShardDevice` says: one that is no backend of this process fits in. */
import * as tf from '@tensorflow/tfjs';
import {DeviceLostError, DistributedMLP, MLP, ShardedLinear, ShardingStrategy, ShardManager, UnsupportedError} from '../../src/index.js';
import {registerDevice, removeDevice} from '../../src/sharding/device.js';
import {caseNamed} from '../grid/cases.js';
import {openLinear} from '../grid/check_case.js';
import {randomX} from '../grid/layouts.js';
import {filesOf} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {FarDevice} from './far_device.js';

const values = (t: tf.Tensor) => {
  const copy = Float32Array.from(t.dataSync());
  t.dispose();
  return copy;
};

describe('a device that is no backend of this process', () => {
  let far: FarDevice;

  beforeEach(async () => {
    await tf.setBackend('wasm');
    await tf.setBackend('cpu');
    far = new FarDevice('far:0');
    registerDevice(far);
  });

  afterEach(() => removeDevice('far:0'));

  it('holds shards of any format: product, rows, state', async () => {
    for (const name of ['gptq_b4_g64_asym_act_v2', 'gguf_q4_k', 'dense_f32_bias']) {
      const c = caseNamed(name);
      const reference = await filesOf(c);
      const {layer} = await openLinear(c, reference.files);
      const x = tf.tensor2d(reference.x, [reference.x.length / c.inDim, c.inDim]);
      const expected = values(layer.forward(x));
      const whole = values(layer.weight.dequantize());
      for (const strategy of [ShardingStrategy.rowwise(3), ShardingStrategy.columnwise(3)]) {
        const spread = ShardedLinear.of(layer, {devices: ['cpu', 'far:0', 'wasm'], strategy});
        expect(far.held.size).toBe(1);
        expect(spread.places.map(({device}) => device)).toEqual(['cpu', 'far:0', 'wasm']);
        for (const y of [spread.forward(x), await spread.forwardAsync(x)]) {
          expect(rowErrors(values(y), expected, c.outDim)).toBeLessThanOrEqual(1e-4);
        }
        expect(rowErrors(values(spread.weight.dequantize()), whole, c.inDim)).toBe(0);
        const rows = [0, c.outDim - 1, 3];
        const picked = rows.map((n) => whole.slice(n * c.inDim, (n + 1) * c.inDim));
        expect(rowErrors(values(spread.weight.dequantizeRows(rows)), Float32Array.from(picked.flatMap((row) => [...row])), c.inDim)).toBe(
          0,
        );
        const state = spread.stateDict();
        spread.loadStateDict(state);
        expect(rowErrors(values(spread.forward(x)), expected, c.outDim)).toBeLessThanOrEqual(1e-4);
        expect(() => spread.forwardEach(x)).toThrowError(UnsupportedError, /far:0/);
        tf.dispose(state);
        spread.dispose();
        expect(far.held.size).toBe(0);
      }
      x.dispose();
      layer.dispose();
    }
  });

  it('has its part of an MLP, and gives it back to others when it is gone', async () => {
    const whole = new MLP({hiddenDim: 6, feedForwardLength: 10, hasBias: true});
    const state = whole.stateDict();
    const spread = new DistributedMLP({hiddenDim: 6, feedForwardLength: 10, hasBias: true, devices: ['cpu', 'far:0']});
    spread.loadStateDict(state);
    const x = tf.tensor2d(randomX(3, 6), [3, 6]);
    const expected = values(whole.forward(x));
    expect(rowErrors(values(spread.forward(x)), expected, 6)).toBeLessThanOrEqual(1e-6);
    expect(far.runs).toBe(2);
    const manager = await ShardManager.create({devices: ['cpu', 'wasm']});
    await manager.manage(spread);
    expect(manager.report().devices.find(({name}) => name === 'far:0')?.bytes).toBe(4 * (3 * 5 * 6 + 10));
    far.lose();
    expect(() => spread.forward(x)).toThrowMatching((e) => e instanceof DeviceLostError && e.device === 'far:0');
    await manager.evict('far:0');
    expect(far.held.size).toBe(0);
    expect(rowErrors(values(spread.forward(x)), expected, 6)).toBeLessThanOrEqual(1e-6);
    // What is here may move there as well.
    far = new FarDevice('far:0');
    registerDevice(far);
    await manager.evict('wasm', 'far:0');
    expect(far.held.size).toBe(3);
    expect(rowErrors(values(spread.forward(x)), expected, 6)).toBeLessThanOrEqual(1e-6);
    tf.dispose([state, x]);
    whole.dispose();
    spread.dispose();
    expect(far.held.size).toBe(0);
  });
});
