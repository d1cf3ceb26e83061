/** Saving to a handler and tf.loadLayersModel: the same class, config and bits, alone and inside other models. */
import * as tf from '@tensorflow/tfjs';
import {DType, GPTQLinear, Linear, MLP, openCheckpoint, type QuantizedWeight, saveSafetensors} from '../../src/index.js';
import {CASES} from '../grid/cases.js';
import {onEachBackend} from '../support/backends.js';
import {jsonBytes} from '../support/files.js';
import {mlpFiles, packedLayer, packedMLP, randomTensor, saveAndLoad, take} from './layers_support.js';

async function expectSame(model: tf.LayersModel, shape: readonly number[]): Promise<tf.LayersModel> {
  const loaded = await saveAndLoad(model);
  const x = randomTensor(shape, 4);
  const before = await take(model.predict(x) as tf.Tensor);
  expect(await take(loaded.predict(x) as tf.Tensor)).toEqual(before);
  x.dispose();
  return loaded;
}

describe('saving', () => {
  onEachBackend(() => {
    it('a dense Linear, biased and clipped', async () => {
      const layer = new Linear({inDim: 12, outDim: 7, hasBias: true, clipWeight: 0.2});
      const loaded = (await expectSame(layer, [3, 12])) as Linear;
      expect(loaded).toBeInstanceOf(Linear);
      expect(loaded.clipWeight).toBe(0.2);
      expect(loaded.countParams()).toBe(12 * 7 + 7);
      layer.dispose();
      loaded.dispose();
    });

    for (const dtype of [DType.float16, DType.bfloat16]) {
      it(`a ${dtype} Linear stays 16 bit`, async () => {
        const layer = new Linear({inDim: 12, outDim: 7, dtype});
        const weight = randomTensor([7, 12], 9);
        layer.loadStateDict({weight});
        const loaded = (await expectSame(layer, [3, 12])) as Linear;
        expect(loaded.weight.byteLength).toBe(7 * 12 * 2);
        expect(loaded.weightDType).toBe(dtype);
        tf.dispose(weight);
        layer.dispose();
        loaded.dispose();
      });
    }
  });

  for (const {name, inDim} of CASES) {
    it(`a packed layer, ${name}`, async () => {
      const layer = await packedLayer(name);
      const loaded = (await expectSame(layer, [2, inDim])) as Linear;
      expect(loaded instanceof GPTQLinear).toBe(layer instanceof GPTQLinear);
      const [was, is] = [layer.weight, loaded.weight] as [QuantizedWeight, QuantizedWeight];
      expect(is.layout).toEqual(was.layout);
      expect(await is.words.data()).toEqual(await was.words.data());
      expect(loaded.inputQuantization).toEqual(layer.inputQuantization);
      layer.dispose();
      loaded.dispose();
    });
  }

  it('several layers inside tf.sequential, packed and dense', async () => {
    const packed = await packedLayer('gptq_b4_g32_sym_v1');
    const biased = await packedLayer('gptq_b4_g128_sym_v1_bias');
    const middle = new Linear({inDim: 96, outDim: 256, hasBias: true});
    const model = tf.sequential({layers: [packed, middle, biased, tf.layers.dense({units: 3})]});
    const loaded = await expectSame(model, [2, 256]);
    expect(loaded.layers.map((l) => l.constructor)).toEqual(model.layers.map((l) => l.constructor));
    model.dispose();
    loaded.dispose();
  });

  it('in a functional model, a layer used twice', async () => {
    const shared = new Linear({inDim: 8, outDim: 8, hasBias: true});
    const mlp = new MLP({hiddenDim: 8, feedForwardLength: 12, hasBias: true});
    const input = tf.input({shape: [5, 8]});
    const once = shared.apply(input) as tf.SymbolicTensor;
    const twice = shared.apply(tf.layers.reLU().apply(once)) as tf.SymbolicTensor;
    const output = tf.layers.add().apply([once, mlp.apply(twice) as tf.SymbolicTensor]) as tf.SymbolicTensor;
    const model = tf.model({inputs: input, outputs: output});
    const loaded = await expectSame(model, [2, 5, 8]);
    expect(loaded.countParams()).toBe(model.countParams());
    // tf.js counts a layer once for each use, and a model gives back fewer (a shared tf.layers.dense stays as well).
    for (const m of [model, loaded]) {
      const again = m.getLayer(shared.name);
      m.dispose();
      again.dispose();
    }
  });

  it('an MLP alone', async () => {
    const mlp = new MLP({hiddenDim: 8, feedForwardLength: 12, hasBias: true, activationFunction: 'gelu_tanh'});
    const loaded = (await expectSame(mlp, [3, 8])) as MLP;
    expect(loaded).toBeInstanceOf(MLP);
    expect(loaded.activationFunction).toBe('gelu_tanh');
    mlp.dispose();
    loaded.dispose();
  });

  it('an MLP whose projections are of a class of its own', async () => {
    class Doubled extends Linear {
      static override className = 'TflTestDoubled';
      override forward(x: tf.Tensor): tf.Tensor {
        return tf.tidy(() => tf.mul(super.forward(x), 2));
      }
    }
    const mlp = new MLP({hiddenDim: 8, feedForwardLength: 12, linearCls: Doubled});
    await expectAsync(saveAndLoad(mlp)).toBeRejectedWithError(/class registered under its own className.*Doubled/);
    tf.serialization.registerClass(Doubled as unknown as tf.serialization.SerializableConstructor<Doubled>);
    const loaded = (await expectSame(mlp, [3, 8])) as MLP;
    expect(loaded.downProj).toBeInstanceOf(Doubled);
    mlp.dispose();
    loaded.dispose();
  });

  it('a stacked MLP of a checkpoint, with its biases', async () => {
    const mlp = await packedMLP({bias: true});
    const loaded = (await expectSame(mlp, [3, 64])) as MLP;
    expect(loaded.gateUp).not.toBeNull();
    // The halves are views of what was loaded after they were made.
    const x = randomTensor([2, 64], 6);
    for (const half of ['gateProj', 'upProj'] as const) {
      expect(await take(loaded[half].forward(x))).toEqual(await take(mlp[half].forward(x)));
    }
    x.dispose();
    mlp.dispose();
    loaded.dispose();
  });

  it('a file has the config of the checkpoint once a layer, and an MLP has it once', async () => {
    const {files} = mlpFiles({bias: true});
    const config = JSON.parse(new TextDecoder().decode(files['config.json'])) as {quantization_config: Record<string, unknown>};
    const marker = 'modules-that-stay';
    config.quantization_config.modules_to_not_convert = [marker];
    const checkpoint = await openCheckpoint({...files, 'config.json': jsonBytes(config)});
    const [up, block] = [await checkpoint.linear('mlp.up_proj'), await checkpoint.mlp('mlp')];
    for (const layer of [up, block]) {
      expect(JSON.stringify(layer.toJSON()).split(marker).length - 1).toBe(1);
      const loaded = (await saveAndLoad(layer)) as Linear | MLP;
      expect(saveSafetensors({x: loaded})).toEqual(saveSafetensors({x: layer}));
      layer.dispose();
      loaded.dispose();
    }
    await checkpoint.close();
  });

  it('fromConfig: getConfig gives the arguments, and a changed one counts', () => {
    const layer = new Linear({inDim: 4, outDim: 3, hasBias: true, clipWeight: 0.5, dtype: DType.float16});
    const {name, inDim, outDim, hasBias, clipWeight, dtype} = layer.getConfig();
    expect({inDim, outDim, hasBias, clipWeight, dtype}).toEqual({inDim: 4, outDim: 3, hasBias: true, clipWeight: 0.5, dtype: 'float16'});
    const copy = Linear.fromConfig(Linear as unknown as tf.serialization.SerializableConstructor<Linear>, layer.getConfig());
    expect(copy.name).toBe(name as string);
    const changed = Linear.fromConfig(Linear as unknown as tf.serialization.SerializableConstructor<Linear>, {
      ...layer.getConfig(),
      name: 'copy',
      clipWeight: 0.25,
    });
    expect([changed.name, changed.clipWeight, changed.hasBias]).toEqual(['copy', 0.25, true]);
    for (const l of [layer, copy, changed]) l.dispose();
  });

  it('keeps state keys: a name prefixes them only where it was given', async () => {
    for (const name of [undefined, 'up_proj']) {
      const layer = new Linear({inDim: 4, outDim: 3, hasBias: true, ...(name === undefined ? {} : {name})});
      const loaded = (await saveAndLoad(layer)) as Linear;
      const [was, is] = [layer.stateDict(), loaded.stateDict()];
      expect(Object.keys(was)).toEqual(name === undefined ? ['weight', 'bias'] : ['up_proj.weight', 'up_proj.bias']);
      expect(Object.keys(is)).toEqual(Object.keys(was));
      tf.dispose([was, is]);
      layer.dispose();
      loaded.dispose();
    }
  });
});
