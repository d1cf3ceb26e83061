/** Linear and GPTQLinear by themselves and inside tf.js models. */
import * as tf from '@tensorflow/tfjs';
import {DType, GPTQLinear, Linear, linear, memory} from '../../src/index.js';
import {onEachBackend} from '../support/backends.js';
import {product} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {packedLayer, randomTensor, take} from './layers_support.js';

/** A dense and two packed layers with a bias, [96, 256]. */
const MAKE: Readonly<Record<string, () => Promise<Linear>>> = {
  dense: async () => new Linear({inDim: 256, outDim: 96, hasBias: true}),
  float16: async () => new Linear({inDim: 256, outDim: 96, hasBias: true, dtype: DType.float16}),
  'packed, 4 bit': () => packedLayer('gptq_b4_g128_sym_v1_bias'),
  'packed, in its own column order': () => packedLayer('gptq_b4_g64_sym_act_v1_bias'),
};

async function expectProduct(layer: Linear, x: tf.Tensor, y: tf.Tensor, bound: number): Promise<void> {
  const [n, k] = layer.weight.shape;
  expect(y.shape).toEqual([...x.shape.slice(0, -1), n]);
  const weight = await take(layer.weight.dequantize());
  const bias = layer.bias === null ? null : await layer.bias.data();
  const expected = product(await x.data(), weight, bias, {outDim: n, inDim: k});
  expect(rowErrors(await y.data(), expected, n)).toBeLessThanOrEqual(bound);
}

describe('Linear', () => {
  onEachBackend((backend) => {
    for (const [name, make] of Object.entries(MAKE)) {
      it(`${name}: forward, apply and predict agree at rank 1 to 4`, async () => {
        const layer = await make();
        if (name === 'float16') {
          const weight = randomTensor([96, 256], 3);
          const bias = randomTensor([96], 4);
          layer.loadStateDict({weight, bias});
          tf.dispose([weight, bias]);
        }
        const bound = backend === 'wasm' && name.startsWith('packed') ? 1e-4 : 1e-6;
        for (const shape of [[256], [5, 256], [2, 3, 256], [2, 1, 3, 256]]) {
          const x = randomTensor(shape, 7);
          const y = layer.forward(x);
          await expectProduct(layer, x, y, bound);
          const values = await take(y);
          expect(await take(layer.predict(x))).toEqual(values);
          expect(await take(await layer.forwardAsync(x))).toEqual(values);
          // tf.js's own apply() knows no rank 1: a first dimension is always a batch.
          if (shape.length > 1) expect(await take(layer.apply(x) as tf.Tensor)).toEqual(values);
          x.dispose();
        }
        layer.dispose();
      });

      it(`${name}: no rows give no rows`, async () => {
        const layer = await make();
        for (const shape of [
          [0, 256],
          [2, 0, 256],
        ]) {
          const x = tf.zeros(shape);
          for (const y of [layer.forward(x), layer.predict(x), layer.apply(x) as tf.Tensor]) {
            expect(y.shape).toEqual([...shape.slice(0, -1), 96]);
            expect(await take(y)).toEqual([]);
          }
          x.dispose();
        }
        layer.dispose();
      });

      it(`${name}: refuses x of another width, and leaves no tensor`, async () => {
        const layer = await make();
        const x = tf.zeros([2, 255]);
        const before = tf.memory().numTensors;
        expect(() => layer.forward(x)).toThrowError(/\[\.\.\., 256\] for a \[96, 256\] weight.*Received: \[2,255\]/);
        expect(tf.memory().numTensors).toBe(before);
        x.dispose();
        layer.dispose();
      });
    }

    it('sits in tf.sequential and in a functional model', async () => {
      const first = await packedLayer('gptq_b4_g128_sym_v1_bias');
      const second = new Linear({inDim: 96, outDim: 8, hasBias: true});
      const model = tf.sequential({layers: [first, tf.layers.reLU(), second]});
      const x = randomTensor([4, 256], 2);
      const byHand = tf.tidy(() => second.forward(tf.relu(first.forward(x))));
      expect(await take(model.predict(x) as tf.Tensor)).toEqual(await take(byHand));
      const input = tf.input({shape: [3, 256]});
      const functional = tf.model({inputs: input, outputs: first.apply(input) as tf.SymbolicTensor});
      expect(functional.outputs[0]?.shape).toEqual([null, 3, 96]);
      const wide = randomTensor([2, 3, 256], 3);
      expect(await take(functional.predict(wide) as tf.Tensor)).toEqual(await take(first.forward(wide)));
      tf.dispose([x, wide]);
      functional.dispose();
      model.dispose();
      first.dispose();
    });

    it('uses the same tensors on every forward', async () => {
      const before = tf.memory().numTensors;
      const layer = await packedLayer('gptq_b4_g64_sym_act_v1_bias');
      expect(tf.memory().numTensors - before).toBe(2);
      const x = randomTensor([3, 256]);
      const held = tf.memory().numTensors;
      for (let i = 0; i < 20; i++) layer.forward(x).dispose();
      expect(tf.memory().numTensors).toBe(held);
      x.dispose();
      layer.dispose();
      expect(tf.memory().numTensors).toBe(before);
      expect(memory().codesBytes).toBe(0);
    });
  });

  it('counts parameters, not packed words, also in summary()', async () => {
    const packed = await packedLayer('gptq_b4_g128_sym_v1_bias');
    const dense = linear({inDim: 256, outDim: 96});
    expect(packed.countParams()).toBe(96 * 256 + 96);
    expect(dense.countParams()).toBe(96 * 256);
    const lines: string[] = [];
    packed.summary(undefined, undefined, (line) => lines.push(String(line)));
    expect(lines.join('\n')).toMatch(/Total params: 24672/);
    packed.dispose();
    dense.dispose();
  });

  it('holds 16-bit weights in 16 bits', () => {
    const layer = new Linear({inDim: 256, outDim: 96, dtype: DType.bfloat16});
    expect(layer.weight.byteLength).toBe(256 * 96 * 2);
    expect(layer.byteLength).toBe(256 * 96 * 2);
    layer.dispose();
  });

  it('loads a GPTQ module as a GPTQLinear, and refuses one without a layout', async () => {
    const layer = await packedLayer('gptq_b3_g64_asym_v1_bias');
    expect(layer).toBeInstanceOf(GPTQLinear);
    layer.dispose();
    const other = await packedLayer('awq_gemm_g32_bias');
    expect(other).not.toBeInstanceOf(GPTQLinear);
    other.dispose();
    expect(() => new GPTQLinear({inDim: 32, outDim: 32})).toThrowError(/expected a QuantizationConfig.*openCheckpoint/);
  });

  it('refuses sizes, types and clips that mean nothing, and leaves no tensor', () => {
    const before = tf.memory().numTensors;
    expect(() => new Linear({inDim: 0, outDim: 4})).toThrowError(/inDim: expected an integer of at least 1. Received: 0/);
    expect(() => new Linear({inDim: 4, outDim: 2.5})).toThrowError(/outDim: expected an integer.*Received: 2.5/);
    expect(() => new Linear({inDim: 4, outDim: 4, dtype: DType.float64})).toThrowError(/float64.*32-bit floats.*Cast to float32/);
    expect(() => new Linear({inDim: 4, outDim: 4, clipWeight: Number.NaN})).toThrowError(/clipWeight/);
    expect(() => new Linear({inDim: 4, outDim: 4, quantizationEncoding: 'Q4_Z'})).toThrowError(
      /quantizationEncoding.*Q4_0.*Received: Q4_Z/,
    );
    expect(tf.memory().numTensors).toBe(before);
  });
});
