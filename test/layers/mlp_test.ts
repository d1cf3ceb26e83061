/** MLP, dense and from a checkpoint. */
import * as tf from '@tensorflow/tfjs';
import {activate} from '../../kernels/activation.js';
import {ColumnParallelLinear, DistributedMLP, DType, MLP, mlp, openCheckpoint, UnsupportedError} from '../../src/index.js';
import {onEachBackend} from '../support/backends.js';
import {product} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {type MLPFiles, mlpFiles, packedMLP, randomTensor, take} from './layers_support.js';

const [HIDDEN, INNER] = [64, 96];

/** down(gelu_tanh(gate(x)) * up(x)) in float64. */
function expected({weights, biases}: Pick<MLPFiles, 'weights' | 'biases'>, x: ArrayLike<number>): Float64Array {
  const inner = (child: 'gate_proj' | 'up_proj') => product(x, weights[child], biases?.[child] ?? null, {outDim: INNER, inDim: HIDDEN});
  const up = inner('up_proj');
  const gated = inner('gate_proj').map((g, i) => activate('gelu_tanh', g) * (up[i] as number));
  return product(gated, weights.down_proj, biases?.down_proj ?? null, {outDim: HIDDEN, inDim: INNER});
}

/** How many products with a packed weight ran. */
async function products(f: () => tf.Tensor): Promise<number> {
  const {kernels, result} = await tf.profile(f);
  tf.dispose(result as tf.TensorContainer);
  return kernels.filter(({name}) => name.endsWith('QuantizedMatMul')).length;
}

describe('MLP', () => {
  onEachBackend((backend) => {
    // Two products of 16-bit integers on wasm, one on what the other made.
    const bound = backend === 'wasm' ? 2e-4 : 1e-6;

    for (const bias of [false, true]) {
      for (const ordered of [false, true]) {
        it(`of a checkpoint${bias ? ', biased' : ''}${ordered ? ', each projection in its own column order' : ''}`, async () => {
          const layer = await packedMLP({bias, ordered});
          expect(layer.gateUp === null).toBe(ordered);
          expect(layer.activationFunction).toBe('gelu_tanh');
          const reference = mlpFiles({bias, ordered});
          for (const shape of [[HIDDEN], [5, HIDDEN], [2, 3, HIDDEN], [2, 1, 3, HIDDEN]]) {
            const x = randomTensor(shape, 8);
            const y = layer.forward(x);
            expect(y.shape).toEqual(x.shape);
            expect(rowErrors(await y.data(), expected(reference, await x.data()), HIDDEN)).toBeLessThanOrEqual(bound);
            const values = await take(y);
            expect(await take(layer.predict(x))).toEqual(values);
            if (shape.length > 1) expect(await take(layer.apply(x) as tf.Tensor)).toEqual(values);
            x.dispose();
          }
          const none = tf.tidy(() => layer.forward(tf.zeros([0, HIDDEN])));
          expect(none.shape).toEqual([0, HIDDEN]);
          layer.dispose();
          tf.dispose(none);
        });
      }
    }

    it('keeps both factors of the gating within swigluLimit, in one record, apart, and over devices', async () => {
      const limit = 0.05;
      const {files} = mlpFiles({bias: true});
      const checkpoint = await openCheckpoint(files);
      const free = await checkpoint.mlp('mlp', {inputPrecision: 'float32'});
      const options = {swigluLimit: limit, inputPrecision: 'float32'} as const;
      const spread = {...options, devices: [backend, backend]};
      const x = randomTensor([3, HIDDEN], 8);
      const wanted = tf.tidy(() => {
        const gate = free.gateProj.forward(x);
        const active = tf.minimum(tf.mul(gate, tf.sigmoid(gate)), limit);
        return free.downProj.forward(tf.mul(active, tf.clipByValue(free.upProj.forward(x), -limit, limit)));
      });
      for (const layer of [await checkpoint.mlp('mlp', options), await checkpoint.mlp('mlp', spread)]) {
        const y = await layer.forwardAsync(x);
        expect(rowErrors(await y.data(), await wanted.data(), HIDDEN)).toBeLessThanOrEqual(1e-6);
        expect(layer.getConfig().swigluLimit).toBe(limit);
        y.dispose();
        layer.dispose();
      }
      await checkpoint.close();
      tf.dispose([x, wanted]);
      free.dispose();
    });

    it('computes in float32 where it is asked to', async () => {
      const reference = mlpFiles({bias: true});
      const checkpoint = await openCheckpoint(reference.files);
      const layer = await checkpoint.mlp('mlp', {activationFunction: 'gelu_tanh', inputPrecision: 'float32'});
      await checkpoint.close();
      const x = randomTensor([4, HIDDEN], 9);
      const y = layer.forward(x);
      expect(rowErrors(await y.data(), expected(reference, await x.data()), HIDDEN)).toBeLessThanOrEqual(1e-6);
      tf.dispose([x, y]);
      layer.dispose();
    });
  });

  it('reads gate and up in one product where they are one record, and the halves are the same layers', async () => {
    for (const ordered of [false, true]) {
      const layer = await packedMLP({bias: true, ordered});
      const x = randomTensor([2, HIDDEN]);
      expect(await products(() => layer.forward(x))).toBe(ordered ? 3 : 2);
      x.dispose();
      const {weights} = mlpFiles({bias: true, ordered});
      expect(await take(layer.gateProj.weight.dequantize())).toEqual(Array.from(weights.gate_proj));
      expect(await take(layer.upProj.weight.dequantize())).toEqual(Array.from(weights.up_proj));
      expect(layer.byteLength).toBe(
        (layer.gateUp?.byteLength ?? layer.gateProj.byteLength + layer.upProj.byteLength) + layer.downProj.byteLength,
      );
      layer.dispose();
    }
  });

  it('half of a stacked record multiplies with its own bias, also after that has changed', async () => {
    const reference = mlpFiles({bias: true});
    const layer = await packedMLP({bias: true});
    const x = randomTensor([3, HIDDEN], 2);
    const up = product(await x.data(), reference.weights.up_proj, null, {outDim: INNER, inDim: HIDDEN});
    const biased = (bias: ArrayLike<number>) => up.map((v, i) => v + (bias[i % INNER] as number));
    const first = await take(layer.upProj.forward(x));
    expect(rowErrors(first, biased(reference.biases?.up_proj as Float32Array), INNER)).toBeLessThanOrEqual(1e-6);
    const state = layer.stateDict();
    const twos = tf.fill([2 * INNER], 2);
    layer.loadStateDict({...state, 'gate_up.bias': twos});
    expect(rowErrors(await take(layer.upProj.forward(x)), biased(Array(INNER).fill(2)), INNER)).toBeLessThanOrEqual(1e-6);
    tf.dispose([x, state, twos]);
    layer.dispose();
  });

  it('sits in other models', async () => {
    const layer = mlp({hiddenDim: 8, feedForwardLength: 12, hasBias: true});
    const model = tf.sequential({layers: [tf.layers.dense({units: 8, inputShape: [3, 4]}), layer, tf.layers.flatten()]});
    const x = randomTensor([2, 3, 4]);
    const inner = (model.layers[0] as tf.layers.Layer).apply(x) as tf.Tensor;
    const byHand = layer.forward(inner);
    expect(await take(model.predict(x) as tf.Tensor)).toEqual(await take(byHand));
    expect(layer.countParams()).toBe(2 * (8 * 12 + 12) + 12 * 8 + 8);
    tf.dispose([x, inner]);
    model.dispose();
  });

  it('holds 16-bit projections in 16 bits', () => {
    const layer = new MLP({hiddenDim: 8, feedForwardLength: 12, dtype: DType.bfloat16});
    expect(layer.byteLength).toBe(3 * 8 * 12 * 2);
    layer.dispose();
  });

  it('refuses a limit that is none', () => {
    for (const swigluLimit of [0, -1, Number.NaN])
      expect(() => new MLP({hiddenDim: 4, feedForwardLength: 4, swigluLimit})).toThrowError(/swigluLimit: expected a positive number/);
  });

  it('frees the projections that were made before one that cannot be', () => {
    const before = tf.memory().numTensors;
    const config = {hiddenDim: 64, feedForwardLength: 10, hasBias: true};
    const wrong: [() => unknown, RegExp][] = [
      [() => new MLP({...config, quantizationEncoding: 'Q4_0'}), /10 is not a multiple of 32/],
      [() => new DistributedMLP({...config, quantizationEncoding: 'Q4_0', devices: ['cpu', 'cpu']}), /10 is not a multiple of 32/],
      [() => new MLP({...config, children: {down_proj: {inDim: 10, outDim: 64, clipWeight: -1}}}), /clipWeight/],
      [() => new MLP({...config, devices: ['cpu', 'nowhere']}), /registered/],
      [() => new ColumnParallelLinear({inDim: 4, outDim: 6, hasBias: true, devices: ['cpu', 'nowhere']}), /registered/],
    ];
    for (const [make, message] of wrong) expect(make).toThrowError(message);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('refuses what it cannot be, and leaves no tensor', () => {
    const before = tf.memory().numTensors;
    expect(() => new MLP({hiddenDim: 8, feedForwardLength: 12, activationFunction: 'swish' as 'silu'})).toThrowError(
      /silu, gelu.*Received: swish/,
    );
    expect(() => new MLP({hiddenDim: 8, feedForwardLength: 0})).toThrowError(/feedForwardLength/);
    expect(() => new MLP({hiddenDim: 8, feedForwardLength: 12, devices: []})).toThrowError(/a non-empty list of devices/);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('refuses a bias on some projections only', async () => {
    const {files} = mlpFiles({bias: true});
    const bytes = (files['model.safetensors'] as Uint8Array).slice();
    // The same length, so that the header stays valid: the bias of one projection goes by another name.
    const at = new TextDecoder('latin1').decode(bytes).indexOf('mlp.up_proj.bias');
    bytes.set(new TextEncoder().encode('xlp'), at);
    const checkpoint = await openCheckpoint({...files, 'model.safetensors': bytes});
    await expectAsync(checkpoint.mlp('mlp')).toBeRejectedWithError(
      UnsupportedError,
      /a bias on all three projections or on none.*Received: 2 of 3/,
    );
    await checkpoint.close();
  });
});
