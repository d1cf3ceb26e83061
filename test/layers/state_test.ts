/** loadStateDict and stateDict: strict, and all or nothing. */
import * as tf from '@tensorflow/tfjs';
import {DType, GPTQLinear, Linear, MissingError, MLP, ShapeError, UnsupportedError, UnusedTensorError} from '../../src/index.js';
import {packedLayer, packedMLP, randomTensor, take} from './layers_support.js';

type Layer = Linear | MLP;

async function values(layer: Layer): Promise<Record<string, number[]>> {
  const entries = Object.entries(layer.stateDict()).map(async ([key, t]): Promise<[string, number[]]> => [key, await take(t)]);
  return Object.fromEntries(await Promise.all(entries));
}

/** `load` throws `kind` and changes nothing, tensors included. */
async function expectRefused(
  layer: Layer,
  state: Record<string, tf.Tensor>,
  kind: new (...parts: never[]) => Error,
  message: RegExp,
): Promise<void> {
  const before = await values(layer);
  const held = tf.memory().numTensors;
  let caught: unknown = null;
  try {
    layer.loadStateDict(state);
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(kind);
  expect(String(caught)).toMatch(message);
  expect(tf.memory().numTensors).toBe(held);
  expect(await values(layer)).toEqual(before);
}

describe('state', () => {
  it('of a dense layer goes in and out unchanged, the caller keeping its tensors', async () => {
    const layer = new Linear({inDim: 5, outDim: 3, hasBias: true});
    const state = {weight: randomTensor([3, 5], 1), bias: randomTensor([3], 2)};
    layer.loadStateDict(state);
    const [weight, bias] = [await take(state.weight), await take(state.bias)];
    expect(await values(layer)).toEqual({weight, bias});
    layer.dispose();
  });

  it('takes integers as numbers', async () => {
    const layer = new Linear({inDim: 2, outDim: 1});
    const weight = tf.tensor2d([[3, -4]], [1, 2], 'int32');
    layer.loadStateDict({weight});
    expect(layer.weight.dequantize().dtype).toBe('float32');
    expect(await values(layer)).toEqual({weight: [3, -4]});
    tf.dispose(weight);
    tf.disposeVariables();
    layer.dispose();
  });

  it('of a 16-bit layer is rounded once', async () => {
    const layer = new Linear({inDim: 3, outDim: 1, dtype: DType.bfloat16});
    // 1 + 2^-8 lies between two bfloat16 and goes to the even one; 1 + 3 * 2^-8 too.
    const weight = tf.tensor2d([[1 + 2 ** -8, 1 + 3 * 2 ** -8, -0.5]]);
    layer.loadStateDict({weight});
    weight.dispose();
    expect(await take(layer.weight.dequantize())).toEqual([1, 1 + 2 ** -6, -0.5]);
    layer.dispose();
  });

  it('of a packed layer is its words: they move to another layer of the same layout', async () => {
    const from = await packedLayer('gptq_b4_g64_sym_act_v1_bias');
    const to = new Linear({...(from.getConfig() as unknown as ConstructorParameters<typeof Linear>[0])});
    const state = from.stateDict();
    to.loadStateDict(state);
    tf.dispose(state);
    const x = randomTensor([2, 256]);
    expect(await take(to.forward(x))).toEqual(await take(from.forward(x)));
    x.dispose();
    from.dispose();
    to.dispose();
  });

  it('is refused with a key missing, one too many, or a shape that does not fit', async () => {
    const layer = new Linear({inDim: 5, outDim: 3, hasBias: true});
    const weight = tf.zeros([3, 5]);
    const bias = tf.zeros([3]);
    const [wrong, short] = [tf.zeros([5, 3]), tf.zeros([2])];
    await expectRefused(layer, {weight}, MissingError, /a value for 'bias'/);
    await expectRefused(layer, {wieght: weight, bias}, MissingError, /Did you mean 'wieght'/);
    await expectRefused(layer, {weight, bias, scale: bias}, UnusedTensorError, /only weight, bias. Received: scale/);
    await expectRefused(layer, {weight: wrong, bias}, ShapeError, /weight: expected \[3,5\]. Received: \[5,3\]/);
    await expectRefused(layer, {weight, bias: short}, ShapeError, /bias: expected \[3\]. Received: \[2\]/);
    layer.loadStateDict({weight, bias, scale: bias}, {strict: false});
    expect((await values(layer)).weight).toEqual(Array(15).fill(0));
    tf.dispose([weight, bias, wrong, short]);
    layer.dispose();
  });

  it('of a packed layer is refused where it is not its words', async () => {
    const layer = await packedLayer('gptq_b4_g32_sym_v1');
    const [floats, words] = [tf.zeros([96, 256]), tf.zeros([7], 'int32')];
    await expectRefused(layer, {weight: floats}, ShapeError, /packed words, int32 \[\d+\].*openCheckpoint.*quantizeModel/);
    await expectRefused(layer, {weight: words}, ShapeError, /Received: int32 \[7\]/);
    tf.dispose([floats, words]);
    layer.dispose();
  });

  it('that lacks a key is not told of one that belongs elsewhere', () => {
    const mlp = new MLP({hiddenDim: 2, feedForwardLength: 2});
    const weight = tf.zeros([2, 2]);
    expect(() => mlp.loadStateDict({'gate_proj.weight': weight})).toThrowError(
      MissingError,
      /a value for 'up_proj.weight'. Received: gate_proj.weight. Check/,
    );
    expect(() => mlp.loadStateDict({'gate_proj.weight': weight, 'up_prj.weight': weight})).toThrowError(/Did you mean 'up_prj.weight'/);
    const gptq = new GPTQLinear({inDim: 32, outDim: 8, quantizationConfig: {bits: 4, groupSize: 32, sym: true}});
    expect(() => gptq.loadStateDict({bias: weight})).toThrowError(UnusedTensorError, /expected none. Received: bias/);
    weight.dispose();
    mlp.dispose();
    gptq.dispose();
  });

  it('keys carry an explicit name', async () => {
    const layer = new Linear({inDim: 2, outDim: 1, name: 'mlp.up'});
    const weight = tf.tensor2d([[1, 2]]);
    await expectRefused(layer, {weight}, MissingError, /a value for 'mlp.up.weight'/);
    layer.loadStateDict({'mlp.up.weight': weight});
    expect(await values(layer)).toEqual({'mlp.up.weight': [1, 2]});
    weight.dispose();
    layer.dispose();
  });

  for (const dtype of [DType.float32, DType.float16]) {
    it(`of a ${dtype} MLP: all three projections or none`, async () => {
      const mlp = new MLP({hiddenDim: 4, feedForwardLength: 6, hasBias: true, dtype});
      const state: Record<string, tf.Tensor> = {
        'gate_proj.weight': tf.ones([6, 4]),
        'gate_proj.bias': tf.ones([6]),
        'up_proj.weight': tf.ones([6, 4]),
        'up_proj.bias': tf.ones([6]),
        'down_proj.weight': tf.ones([4, 6]),
        'down_proj.bias': tf.ones([4]),
      };
      const flat = tf.ones([24]);
      await expectRefused(mlp, {...state, 'down_proj.weight': flat}, ShapeError, /down_proj.*weight: expected \[4,6\]. Received: \[24\]/);
      await expectRefused(mlp, {...state, 'down_proj.bias': flat}, ShapeError, /down_proj.*bias: expected \[4\]/);
      const {'up_proj.bias': left, ...rest} = state;
      await expectRefused(mlp, rest, MissingError, /'up_proj.bias'/);
      await expectRefused(mlp, {...state, 'router.weight': flat}, UnusedTensorError, /router.weight/);
      mlp.loadStateDict(state);
      expect(left?.isDisposed).toBe(false);
      expect(await take(mlp.gateProj.weight.dequantize())).toEqual(Array(24).fill(1));
      expect(Object.keys(await values(mlp)).sort()).toEqual(Object.keys(state).sort());
      tf.dispose([state, flat]);
      mlp.dispose();
    });
  }

  it('of a stacked MLP moves as a whole; its halves refuse one of their own', async () => {
    const [from, to] = [await packedMLP({bias: true}), await packedMLP({bias: true})];
    const state = from.stateDict();
    expect(Object.keys(state)).toEqual(['gate_up.weight', 'gate_up.bias', 'down_proj.weight', 'down_proj.bias']);
    const bias = tf.ones([192]);
    to.loadStateDict({...state, 'gate_up.bias': bias});
    expect(await take(tf.clone(to.upProj.bias as tf.Tensor))).toEqual(Array(96).fill(1));
    const half = {
      [`${to.upProj.keyPrefix}weight`]: state['gate_up.weight'] as tf.Tensor,
      [`${to.upProj.keyPrefix}bias`]: to.upProj.bias as tf.Tensor,
    };
    expect(() => to.upProj.loadStateDict(half)).toThrowError(UnsupportedError);
    tf.dispose([state, bias]);
    from.dispose();
    to.dispose();
  });
});
