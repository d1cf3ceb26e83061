/** https://github.com/tensorflow/tfjs/issues/7586: no way to list devices, or to choose one. */
import * as tf from '@tensorflow/tfjs';
import {Linear, ShardManager} from '../../src/index.js';
import type {LocalShard} from '../../src/sharding/local_shard.js';
import {backendNameOf} from '../../src/sharding/transfer.js';
import {IN_BROWSER} from '../support/environment.js';

describe('tensorflow/tfjs#7586', () => {
  it('lists backends with their limits, and honours the choice', async () => {
    const manager = await ShardManager.create({devices: IN_BROWSER ? ['wasm', 'webgl'] : ['wasm', 'cpu']});
    const listed = manager.listDevices();
    const names = listed.map(({name}) => name);
    for (const name of manager.devices) expect(names).toContain(name);
    const wasm = listed.find(({name}) => name === 'wasm');
    expect([wasm?.isStarted, wasm?.isSynchronous]).toEqual([true, true]);
    if (IN_BROWSER) {
      const webgl = listed.find(({name}) => name === 'webgl');
      expect(webgl?.limits.maxTextureSize).toBeGreaterThanOrEqual(2048);
      expect(webgl?.adapter?.description).not.toBe('');
    }
    const layer = new Linear({inDim: 4, outDim: 4});
    const spread = await manager.spread(layer);
    expect(spread.places.map(({device}) => device)).toEqual([...manager.devices]);
    // The weights are really there.
    expect(spread.spread.shards.map((shard) => backendNameOf(((shard as LocalShard).weight as {tensor: tf.Tensor}).tensor))).toEqual([
      ...manager.devices,
    ]);
    layer.dispose();
    spread.dispose();
    expect(tf.getBackend()).toBe('cpu');
  });
});
