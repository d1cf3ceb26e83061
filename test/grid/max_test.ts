/** Linear, MLP and the activations beside what MAX itself computed (test/fixtures/max; its README says what to compare with). */
import * as tf from '@tensorflow/tfjs';
import type {FileTensor} from '../../src/formats/format.js';
import {type Activation, DType, Linear, type LinearConfig, MLP, ops, QuantizedWeight} from '../../src/index.js';
import {denseLayout} from '../../src/layers/dense_matmul.js';
import {onEachBackend} from '../support/backends.js';
import {floatsOf, product} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {readTensors} from '../support/fixtures.js';
import {describeWebGPU} from '../support/webgpu.js';

const ACTIVATIONS: readonly Activation[] = ['silu', 'gelu', 'gelu_tanh', 'relu', 'tanh', 'sigmoid'];
const BOUND = 1e-6;

type Tensors = ReadonlyMap<string, FileTensor>;

function floats(tensors: Tensors, name: string): Float32Array {
  const tensor = tensors.get(name) as FileTensor;
  if (tensor.dtype !== 'F64') return floatsOf(tensor);
  return Float32Array.from(new Float64Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.length / 8));
}

function tensor(tensors: Tensors, name: string): tf.Tensor {
  return tf.tensor(floats(tensors, name), [...(tensors.get(name) as FileTensor).shape], 'float32');
}

/** A Linear over `weight` and, where the config has one, `bias` of the file. */
function loaded(tensors: Tensors, config: Partial<LinearConfig>, weightName = 'weight'): Linear {
  const [outDim, inDim] = (tensors.get(weightName) as FileTensor).shape as [number, number];
  const layer = new Linear({inDim, outDim, ...config});
  const state: Record<string, tf.Tensor> = {weight: tensor(tensors, weightName)};
  if (config.hasBias) state.bias = tensor(tensors, 'bias');
  layer.loadStateDict(state);
  tf.dispose(state);
  return layer;
}

async function expectClose(
  layer: Linear | MLP,
  tensors: Tensors,
  xName: string,
  expected: ArrayLike<number>,
  shape: readonly number[],
): Promise<void> {
  const x = tensor(tensors, xName);
  const y = layer.forward(x);
  expect(y.shape).toEqual([...shape]);
  expect(rowErrors(await y.data(), expected, shape[shape.length - 1] as number))
    .withContext(xName)
    .toBeLessThanOrEqual(BOUND);
  tf.dispose([x, y]);
}

const define = () => {
  const linearCases: Readonly<Record<string, Partial<LinearConfig>>> = {
    plain: {},
    bias: {hasBias: true},
    clip: {clipWeight: 0.5},
    bias_clip: {clipWeight: 0.25, hasBias: true},
    zeroclip: {clipWeight: 0},
  };
  for (const [name, config] of Object.entries(linearCases)) {
    it(`linear_f32 ${name}`, async () => {
      const tensors = await readTensors('max/linear_f32.safetensors');
      const layer = loaded(tensors, config);
      for (const x of ['x1', 'x2', 'x3', 'x4']) {
        const y = `y.${name}.${x}`;
        await expectClose(layer, tensors, x, floats(tensors, y), (tensors.get(y) as FileTensor).shape);
      }
      layer.dispose();
    });
  }

  it('linear_f32 clips NaN to -c and infinities to +-c', async () => {
    const tensors = await readTensors('max/linear_f32.safetensors');
    const layer = loaded(tensors, {clipWeight: 0.5}, 'weight_nonfinite');
    await expectClose(layer, tensors, 'x2', floats(tensors, 'y.nan.x2'), [5, 48]);
    layer.dispose();
  });

  it('linear_f64, cast to float32', async () => {
    const tensors = await readTensors('max/linear_f64.safetensors');
    const layer = loaded(tensors, {clipWeight: 0.5, hasBias: true});
    await expectClose(layer, tensors, 'x', floats(tensors, 'y'), [5, 48]);
    layer.dispose();
  });

  for (const dtype of [DType.float32, DType.bfloat16]) {
    it(`linear_mlp_bf16 held as ${dtype}, beside exact sums`, async () => {
      const tensors = await readTensors('max/linear_mlp_bf16.safetensors');
      const size = {outDim: 48, inDim: 64};
      const [x, weight, bias] = ['x', 'weight', 'bias'].map((name) => floats(tensors, name)) as [Float32Array, Float32Array, Float32Array];
      const plain = loaded(tensors, {dtype});
      await expectClose(plain, tensors, 'x', product(x, weight, null, size), [5, 48]);
      const biased = loaded(tensors, {dtype, hasBias: true});
      await expectClose(biased, tensors, 'x', product(x, weight, bias, size), [5, 48]);
      plain.dispose();
      biased.dispose();
    });
  }

  for (const activation of ACTIVATIONS) {
    it(`mlp_f32 ${activation}`, async () => {
      const tensors = await readTensors('max/mlp_f32.safetensors');
      for (const hasBias of [false, true]) {
        const mlp = new MLP({hiddenDim: 32, feedForwardLength: 48, activationFunction: activation, hasBias});
        const keys = [...tensors.keys()].filter((key) => key.endsWith('.weight') || (hasBias && key.endsWith('.bias')));
        const state = Object.fromEntries(keys.map((key) => [key, tensor(tensors, key)]));
        mlp.loadStateDict(state);
        tf.dispose(state);
        await expectClose(mlp, tensors, 'x', floats(tensors, `y.${activation}_${hasBias ? 'bias' : 'nobias'}`), [6, 32]);
        mlp.dispose();
      }
    });

    it(`activations_f32 ${activation}`, async () => {
      const tensors = await readTensors('max/activations_f32.safetensors');
      const x = floats(tensors, 'x');
      const expected = floats(tensors, `y.${activation}`);
      // One float32 weight of 1: what is left is the fused activation.
      const words = new Int32Array(new Float32Array([1]).buffer);
      const weight = QuantizedWeight.fromWords(denseLayout(1, 1), words);
      const column = tf.tensor2d(x, [x.length, 1]);
      const y = ops.quantizedMatMul(column, weight, {activation});
      const actual = await y.data();
      const curve = [...x.keys()].filter((i) => Math.abs(x[i] as number) <= 12);
      const at = (values: ArrayLike<number>) => curve.map((i) => values[i] as number);
      expect(curve.length).toBeGreaterThan(480);
      expect(rowErrors(at(actual), at(expected), curve.length)).toBeLessThanOrEqual(BOUND);
      for (const [i, value] of x.entries()) {
        const [ours, max] = [actual[i] as number, expected[i] as number];
        if (value === Number.NEGATIVE_INFINITY && Number.isNaN(max))
          expect(ours === 0 || Number.isNaN(ours))
            .withContext(`at ${value}: ${ours}`)
            .toBe(true);
        else if (Number.isFinite(max))
          expect(Math.abs(ours - max))
            .withContext(`at ${value}`)
            .toBeLessThanOrEqual(BOUND * Math.max(1, Math.abs(max)));
        else expect(ours).withContext(`at ${value}`).toEqual(max);
      }
      tf.dispose([column, y]);
      weight.dispose();
    });
  }

  for (const [type, n, k] of [
    ['Q4_0', 64, 96],
    ['Q4_0', 32, 512],
    ['Q4_K', 64, 512],
    ['Q6_K', 64, 512],
  ] as const) {
    it(`qlinear ${type} [${n}, ${k}]: the weight that MAX unpacks, to the bit`, async () => {
      const tensors = await readTensors(`max/qlinear_${type.toLowerCase()}_${n}x${k}.safetensors`);
      const {data} = tensors.get('weight_bytes') as FileTensor;
      const layer = new Linear({inDim: k, outDim: n, quantizationEncoding: type});
      const blocks = tf.tensor2d(Int32Array.from(data), [n, data.length / n], 'int32');
      layer.loadStateDict({weight: blocks});
      const weight = layer.weight.dequantize();
      // -0 and 0 count as equal.
      expect(((await weight.data()) as Float32Array).map((v) => v + 0)).toEqual(floats(tensors, 'dequant').map((v) => v + 0));
      tf.dispose([blocks, weight]);
      layer.dispose();
    });
  }
};

describeWebGPU('MAX', define);

describe('MAX', () => {
  onEachBackend(define);

  it('linear_f32 negclip is refused: every weight would become the bound', () => {
    expect(() => new Linear({inDim: 64, outDim: 48, clipWeight: -0.5})).toThrowError(
      /clipWeight: expected a number of at least 0.*Received: -0.5/,
    );
  });
});
