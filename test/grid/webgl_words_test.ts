/** Packed words on webgl: exact in our own texture, one copy, freed when tf.js frees the tensor. */
import * as tf from '@tensorflow/tfjs';
import {ops, QuantizedWeight} from '../../src/index.js';
import {layoutWords} from '../support/plain_words.js';
import {describeWebgl, gpuBytes, webglBackend} from '../support/webgl.js';
import {buildWeight, randomX, seeded} from './layouts.js';

/** -1, the ends of the range, a bit that float32 drops, a NaN pattern; then random ones. */
const HARD = [-1, 0x7fffffff, -0x80000000, 0x01000001, 0x7f800001, 1, -0x7fffff, 0];

function hardWords(count: number): Int32Array {
  const random = seeded(9);
  return Int32Array.from({length: count}, (_, i) => HARD[i] ?? Math.floor(random() * 2 ** 32) | 0);
}

/** A weight whose words are given: 1 x 8 codes of 4 bits a word. Multiplying puts them on the GPU. */
function weightOf(words: Int32Array): QuantizedWeight {
  return QuantizedWeight.fromWords(layoutWords(words.length), words.slice());
}

function upload(weight: QuantizedWeight): void {
  const rows = weight.dequantizeRows([0]);
  rows.dispose();
}

describeWebgl('packed words', () => {
  it('come back as they went in', async () => {
    // Over 4096 texels: more than a line, the last one short.
    const words = hardWords(70001);
    const weight = weightOf(words);
    upload(weight);
    expect(gpuBytes()).toBeGreaterThanOrEqual(words.byteLength);
    expect(await weight.words.data()).toEqual(words);
    expect(weight.words.dataSync()).toEqual(words);
    weight.dispose();
  });

  it('reach the shader as they are', async () => {
    // 8-bit codes with no zero and no scale are the bytes of the words.
    const words = hardWords(1000);
    const weight = QuantizedWeight.fromWords(layoutWords(1000, 8), words.slice());
    const bytes = weight.dequantize();
    expect(await bytes.data()).toEqual(Float32Array.from(new Uint8Array(words.buffer)));
    bytes.dispose();
    weight.dispose();
  });

  it('are held once: the host keeps no copy', () => {
    const weight = weightOf(hardWords(5000));
    upload(weight);
    const data = webglBackend().texData.get(weight.words.dataId);
    expect(Object.getOwnPropertyDescriptor(data, 'values')?.get).toBeDefined();
    expect(data.texture).toBeFalsy();
    weight.dispose();
  });

  it('count as their texture in numBytesInGPU', () => {
    const before = gpuBytes();
    const weight = weightOf(hardWords(16384));
    expect(gpuBytes()).toBe(before);
    upload(weight);
    expect(gpuBytes() - before).toBe(65536);
    weight.dispose();
    expect(gpuBytes()).toBe(before);
  });

  it('outlive the tensor that a clone was made of', async () => {
    const before = gpuBytes();
    const words = hardWords(4096);
    const weight = weightOf(words);
    upload(weight);
    const clone = weight.words.clone();
    const reshaped = clone.reshape([64, 64]);
    weight.dispose();
    clone.dispose();
    expect(gpuBytes()).toBeGreaterThan(before);
    expect(await reshaped.data()).toEqual(words);
    reshaped.dispose();
    expect(gpuBytes()).toBe(before);
  });

  it('are freed after a read that was pending', async () => {
    const words = hardWords(4096);
    const weight = weightOf(words);
    upload(weight);
    const pending = weight.words.data();
    weight.dispose();
    expect(await pending).toEqual(words);
  });

  it('follow the tensor to another backend and back', async () => {
    const before = gpuBytes();
    const named = buildWeight('moved', {n: 8, k: 64, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 3);
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const x = randomX(2, 64);
    const product = async () => {
      const xt = tf.tensor2d(x, [2, 64]);
      const y = ops.quantizedMatMul(xt, weight);
      const values = await y.data();
      tf.dispose([xt, y]);
      return values;
    };
    const here = await product();
    expect(gpuBytes()).toBeGreaterThan(before);
    await tf.setBackend('cpu');
    const there = await product();
    await tf.setBackend('webgl');
    expect(gpuBytes()).toBe(before);
    expect(Math.max(...here.map((v, i) => Math.abs(v - (there[i] as number))))).toBeLessThan(1e-5);
    const again = await product();
    expect(again).toEqual(here);
    expect(await weight.words.data()).toEqual(named.words);
    weight.dispose();
  });

  it('move from cpu while a variable holds them', async () => {
    const named = buildWeight('variable', {n: 4, k: 32, planes: [8], zero: 128, scales: [['float32', 1, 32]]}, 4);
    const initial = tf.tensor1d(named.words.slice(), 'int32');
    const variable = tf.variable(initial, false);
    initial.dispose();
    const weight = QuantizedWeight.overTensor(named.layout, variable);
    const all = weight.dequantize();
    expect(await variable.data()).toEqual(named.words);
    all.dispose();
    weight.dispose();
    variable.dispose();
  });

  it('stay exact after an op of tf.js has read them', async () => {
    const words = hardWords(2000);
    const weight = weightOf(words);
    upload(weight);
    const sum = tf.tidy(() => weight.words.toFloat().sum());
    sum.dispose();
    expect(await weight.words.data()).toEqual(words);
    weight.dispose();
  });

  it('are refused once tf.js has made floats of them', () => {
    const weight = weightOf(hardWords(2000));
    // The op uploads the tensor's values as floats and drops them.
    tf.tidy(() => void weight.words.mul(tf.scalar(2, 'int32')));
    expect(() => weight.dequantize()).toThrowError(/float texture loses bits above 2\^24/);
    weight.dispose();
  });

  it('leave nothing of a tidied weight', () => {
    const before = gpuBytes();
    tf.tidy(() => {
      const named = buildWeight('tidied', {n: 4, k: 32, planes: [4], zero: 8}, 5);
      const weight = QuantizedWeight.overTensor(named.layout, tf.tensor1d(named.words, 'int32'));
      return weight.dequantize().sum();
    }).dispose();
    expect(gpuBytes()).toBe(before);
  });
});
