import * as tf from '@tensorflow/tfjs';
import {onEachBackend} from './backends.js';
import {IN_BROWSER} from './environment.js';
import {fixtureSource} from './files.js';

describe('test harness', () => {
  onEachBackend((backend) => {
    it('multiplies two small matrices', async () => {
      expect(tf.getBackend()).toBe(backend);
      const a = tf.tensor2d([1, 2, 3, 4], [2, 2]);
      const b = tf.tensor2d([5, 6, 7, 8], [2, 2]);
      const product = tf.matMul(a, b);
      expect(Array.from(await product.data())).toEqual([19, 22, 43, 50]);
      tf.dispose([a, b, product]);
    });
  });

  if (IN_BROWSER) {
    it('runs on a cross-origin isolated page', () => {
      expect(crossOriginIsolated).toBe(true);
      expect(new SharedArrayBuffer(8).byteLength).toBe(8);
    });

    it('has an adapter for WebGPU and a WebGL2 context', async () => {
      expect(await navigator.gpu.requestAdapter()).not.toBeNull();
      expect(document.createElement('canvas').getContext('webgl2')).not.toBeNull();
    });

    it('serves files by ranges', async () => {
      const url = '/base/node_modules/@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm';
      const response = await fetch(url, {headers: {Range: 'bytes=1-3'}});
      expect(response.status).toBe(206);
      expect(await response.text()).toBe('asm');
    });
  }

  it('tells where the fixtures are', async () => {
    expect(await fixtureSource('a/b.json')).toMatch(
      IN_BROWSER ? /^http:\/\/127\.0\.0\.1:\d+\/base\/test\/fixtures\/a\/b\.json$/ : /test.fixtures.a.b\.json$/,
    );
  });
});
