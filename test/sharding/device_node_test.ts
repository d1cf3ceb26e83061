/** A device whose backend has not started yet: refused, with the current backend left as it was. */
import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import path from 'node:path';
import {build} from 'esbuild';

describe('DeviceRef of a backend that starts asynchronously', () => {
  it('is refused until it has started, and the current backend goes on', async () => {
    const folder = mkdtempSync('build/device-');
    const outfile = path.join(folder, 'device.mjs');
    const source = `
      import * as tf from '@tensorflow/tfjs';
      import '@tensorflow/tfjs-backend-wasm';
      import {linear} from './src/index.js';
      await tf.setBackend('cpu');
      let refused = '';
      try { linear({inDim: 2, outDim: 3, device: 'wasm'}); } catch (error) { refused = error.name; }
      const before = [tf.getBackend(), tf.add(1, 2).dataSync()[0]];
      await tf.setBackend('wasm');
      await tf.setBackend('cpu');
      const layer = linear({inDim: 2, outDim: 3, device: 'wasm'});
      const y = layer.forward(tf.ones([1, 2]));
      console.log(JSON.stringify([refused, ...before, tf.getBackend(), y.shape]));`;
    await build({
      stdin: {contents: source, resolveDir: process.cwd(), loader: 'ts'},
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
    });
    const {stdout, stderr} = spawnSync(process.execPath, [outfile], {encoding: 'utf8'});
    rmSync(folder, {recursive: true});
    expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? 'null'))
      .withContext(stderr)
      .toEqual(['DeviceError', 'cpu', 3, 'cpu', [1, 3]]);
  });
});
