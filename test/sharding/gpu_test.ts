/** Shards on GPUs beside shards on the processor, in Node through Dawn and in the browser. */
import * as tf from '@tensorflow/tfjs';
import {
  ColumnParallelLinear,
  type DeviceInfo,
  DeviceLostError,
  DistributedMLP,
  MLP,
  type QuantizedWeight,
  ShardedLinear,
  ShardingStrategy,
  ShardManager,
} from '../../src/index.js';
import {caseNamed} from '../grid/cases.js';
import {openLinear} from '../grid/check_case.js';
import {randomX} from '../grid/layouts.js';
import {filesOf} from '../support/checkpoints.js';
import {IN_BROWSER} from '../support/environment.js';
import {rowErrors} from '../support/errors.js';
import {withTwoGPUs} from '../support/two_gpus.js';

const FORMATS = [
  'dense_f32_bias',
  'gptq_b4_g32_asym_v1_bias',
  'gptq_b4_g64_asym_act_v2',
  'deepseek_fp8_block128_96x100',
  'gguf_q4_k',
  'ct_w8a8_int8',
];

async function start(...backends: string[]): Promise<void> {
  for (const backend of backends) if (!(await tf.setBackend(backend))) throw new Error(`The backend '${backend}' did not start.`);
  await tf.setBackend('cpu');
}

const strategies = (n: number) => [ShardingStrategy.rowwise(n), ShardingStrategy.columnwise(n), ShardingStrategy.replicate(n)];

describe('shards on GPUs', () => {
  beforeAll(() => start('wasm'));

  it('webgpu twice, wasm and cpu: as on one device', async () => {
    await withTwoGPUs({}, async () => {
      for (const name of FORMATS) {
        const c = caseNamed(name);
        const reference = await filesOf(c);
        const {layer} = await openLinear(c, reference.files);
        const x = tf.tensor2d(reference.x, [reference.x.length / c.inDim, c.inDim]);
        const expected = layer.forward(x);
        const devices = ['webgpu:0', 'wasm', 'webgpu:1', 'cpu'];
        for (const strategy of strategies(4)) {
          const spread = ShardedLinear.of(layer, {devices, strategy});
          const y = await spread.forwardAsync(x);
          const each = await spread.forwardEachAsync(x);
          for (const result of [y, ...each]) {
            expect(rowErrors(await result.data(), expected.dataSync(), c.outDim))
              .withContext(`${name} ${strategy.kind}`)
              .toBeLessThanOrEqual(1e-4);
          }
          tf.dispose([y, each]);
          spread.dispose();
        }
        tf.dispose([x, expected]);
        layer.dispose();
      }
    });
  });

  it('an MLP over webgpu and wasm; a weight that stays on one webgpu device needs no waiting', async () => {
    await withTwoGPUs({}, async () => {
      const whole = new MLP({hiddenDim: 12, feedForwardLength: 20, hasBias: true});
      const spread = new DistributedMLP({hiddenDim: 12, feedForwardLength: 20, hasBias: true, devices: ['webgpu:0', 'wasm', 'webgpu:1']});
      const state = whole.stateDict();
      spread.loadStateDict(state);
      const x = tf.tensor2d(randomX(3, 12), [3, 12]);
      const expected = whole.forward(x);
      const y = await spread.forwardAsync(x);
      expect(rowErrors(await y.data(), expected.dataSync(), 12)).toBeLessThanOrEqual(2e-6);
      // Two shards on one device, result there: nothing has to come back.
      const head = new ColumnParallelLinear({inDim: 12, outDim: 7, devices: ['webgpu:0', 'webgpu:0'], home: 'webgpu:0'});
      const z = head.forward(x);
      expect((await z.data()).length).toBe(21);
      tf.dispose([state, x, expected, y, z]);
      for (const l of [whole, spread, head]) l.dispose();
    });
  });

  if (IN_BROWSER) {
    it('webgl and wasm: at once', async () => {
      await start('webgl');
      for (const name of FORMATS) {
        const c = caseNamed(name);
        const reference = await filesOf(c);
        const {layer} = await openLinear(c, reference.files);
        const x = tf.tensor2d(reference.x, [reference.x.length / c.inDim, c.inDim]);
        const expected = layer.forward(x);
        for (const strategy of strategies(2)) {
          const spread = ShardedLinear.of(layer, {devices: ['webgl', 'wasm'], strategy});
          const y = spread.forward(x);
          expect(rowErrors(y.dataSync(), expected.dataSync(), c.outDim))
            .withContext(`${name} ${strategy.kind}`)
            .toBeLessThanOrEqual(1e-4);
          y.dispose();
          spread.dispose();
        }
        tf.dispose([x, expected]);
        layer.dispose();
      }
    });
  }

  it('shares by measured speed over webgpu, wasm and cpu; a GPU that is lost is named and left', async () => {
    await withTwoGPUs({}, async () => {
      const manager = await ShardManager.create({devices: ['cpu', 'webgpu:1', 'wasm'], balance: 'measured'});
      expect(manager.shares?.length).toBe(3);
      expect(manager.shares?.every((share) => share > 0 && Number.isFinite(share))).toBe(true);
      const {samePhysicalDeviceAs, limits, isSynchronous} = manager.listDevices().find(({name}) => name === 'webgpu:1') as DeviceInfo;
      expect(samePhysicalDeviceAs).toContain('webgpu:0');
      expect([limits.maxBufferSize ?? 0, isSynchronous]).toEqual([jasmine.any(Number), false]);
      const c = caseNamed('gguf_q4_k');
      const {layer} = await openLinear(c, (await filesOf(c)).files);
      const x = tf.tensor2d(randomX(2, c.inDim), [2, c.inDim]);
      const expected = layer.forward(x);
      // Whatever the measurement says, each has some rows.
      const strategy = ShardingStrategy.rowwise(3).withShares([1, 2, 1]);
      const spread = await manager.spread(layer, {strategy});
      const bytes = manager.report().devices.map((device) => device.bytes);
      expect(bytes.reduce((a, b) => a + b, 0)).toBe(spread.byteLength);
      const first = await spread.forwardAsync(x);
      expect(rowErrors(await first.data(), expected.dataSync(), c.outDim)).toBeLessThanOrEqual(1e-4);
      (tf.findBackend('webgpu:1') as unknown as {device: GPUDevice}).device.destroy();
      await expectAsync(spread.forwardAsync(x)).toBeRejectedWithError(DeviceLostError, /webgpu:1/);
      await manager.evict('webgpu:1');
      expect(spread.places.map(({device}) => device)).not.toContain('webgpu:1');
      const again = await spread.forwardAsync(x);
      expect(rowErrors(await again.data(), expected.dataSync(), c.outDim)).toBeLessThanOrEqual(1e-4);
      tf.dispose([x, expected, first, again]);
      layer.dispose();
      spread.dispose();
    });
  });

  it('takes a weight off a GPU that cannot be read at once', async () => {
    await withTwoGPUs({}, async () => {
      const c = caseNamed('gptq_b4_g32_asym_v1_bias');
      const {layer} = await openLinear(c, (await filesOf(c)).files);
      const there = ShardedLinear.of(layer, {devices: ['webgpu:0']});
      // One use, and the words are on the device.
      const x = tf.ones([1, c.inDim]);
      const y = await there.forwardAsync(x);
      const record = await there.weight.toRecordAsync();
      expect(record.words).toEqual((layer.weight as QuantizedWeight).words.dataSync() as Int32Array);
      const rows = await there.weight.dequantizeRowsAsync([2, 0]);
      const part = (await there.weight.sliceAsync({rows: [0, 3]})) as QuantizedWeight;
      const [whole, some, back] = [layer.weight.dequantize(), part.dequantize(), await there.weight.dequantizeAsync()];
      const expected = Array.from(whole.dataSync());
      const row = (n: number) => expected.slice(n * c.inDim, (n + 1) * c.inDim);
      expect(Array.from(await rows.data())).toEqual([...row(2), ...row(0)]);
      expect(Array.from(some.dataSync())).toEqual(expected.slice(0, 3 * c.inDim));
      expect(Array.from(back.dataSync())).toEqual(expected);
      part.dispose();
      tf.dispose([x, y, rows, whole, some, back]);
      layer.dispose();
      there.dispose();
    });
  });
});
