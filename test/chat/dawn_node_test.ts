import {promisify} from 'node:util';
import * as tf from '@tensorflow/tfjs';
import {provideDawn} from '../../examples/chat/dawn.js';
import {useWebGPU} from '../support/webgpu.js';

describe('WebGPU in Node', () => {
  afterAll(() => tf.setBackend('cpu'));

  it('leaves setImmediate what it was to everybody but Dawn', async () => {
    await provideDawn();
    expect(await promisify(setImmediate)('value')).toBe('value');
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      setTimeout(() => order.push('timer'), 20);
      const cancelled = setImmediate(() => order.push('cancelled'));
      setImmediate((a: string, b: string) => order.push(a + b), 'soon', ' done');
      clearImmediate(cancelled);
      setTimeout(resolve, 40);
    });
    expect(order).toEqual(['soon done', 'timer']);
  });

  it('answers reads while the event loop has nothing else to do', async () => {
    await useWebGPU();
    const y = tf.tidy(() => tf.add(tf.tensor1d([1, 2, 3]), 1));
    expect([...(await y.data())]).toEqual([2, 3, 4]);
    y.dispose();
  });
});
