/** quantizeModel: every Dense of a tf.js model packed, in any kind of model, and what the report says of the rest. */
import * as tf from '@tensorflow/tfjs';
import {Linear, MLP, type QuantizeConfig, type QuantizedWeight, type QuantizeMode, quantizeModel} from '../../src/index.js';
import {flatLayers, randomTensor, saveAndLoad, setSeededWeights, take} from '../layers/layers_support.js';
import {onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';

const MODES: readonly QuantizeMode[] = ['int8', 'int4', 'float8', 'float16', 'bfloat16'];

/** |y - y'| / |y| of each mode, by rounding alone, for weights of a normal spread. */
const BOUNDS: Readonly<Record<QuantizeMode, number>> = {int8: 0.015, int4: 0.2, float8: 0.06, float16: 6e-4, bfloat16: 5e-3};

/** y of the copy, and of the source with the copy's own weights put into it: equal but for the order of sums. */
async function compare(source: tf.LayersModel, small: tf.LayersModel, shape: number[]): Promise<{off: number; same: number}> {
  const x = randomTensor(shape, 11);
  const y = await take(source.predict(x) as tf.Tensor);
  const packed = await take(small.predict(x) as tf.Tensor);
  const before = new Map<string, tf.Tensor[]>();
  for (const layer of flatLayers(source)) {
    const twin = flatLayers(small).find((other) => other.name === layer.name);
    if (!(twin instanceof Linear)) continue;
    before.set(
      layer.name,
      layer.getWeights().map((w) => w.clone()),
    );
    const kernel = tf.tidy(() => tf.transpose(twin.weight.dequantize()));
    layer.setWeights([kernel, ...layer.getWeights().slice(1)]);
    kernel.dispose();
  }
  const rounded = await take(source.predict(x) as tf.Tensor);
  for (const layer of flatLayers(source)) {
    const weights = before.get(layer.name);
    if (weights === undefined) continue;
    layer.setWeights(weights);
    tf.dispose(weights);
  }
  x.dispose();
  const width = y.length;
  return {off: rowErrors(packed, y, width), same: rowErrors(packed, rounded, width)};
}

function dispose(...models: tf.LayersModel[]): void {
  for (const model of models) model.dispose();
}

describe('quantizeModel', () => {
  onEachBackend((backend) => {
    // wasm rounds x to 16 bits, which is part of its kernels' bound.
    const bound = backend === 'wasm' ? 1e-4 : 1e-6;

    for (const mode of MODES) {
      it(`${mode}: a Sequential with activations, with and without bias`, async () => {
        const source = tf.sequential({
          name: `seq_${mode}`,
          layers: [
            tf.layers.dense({units: 48, inputShape: [40], activation: 'relu'}),
            tf.layers.dropout({rate: 0.5}),
            tf.layers.dense({units: 24, useBias: false, activation: 'softsign'}),
            tf.layers.dense({units: 7, biasInitializer: 'randomNormal'}),
          ],
        });
        setSeededWeights(source);
        const bits = source.getWeights().map((w) => w.dataSync().slice());
        const {model, report} = await quantizeModel(source, {mode});
        expect(model.layers.map((l) => l.getClassName())).toEqual(['TflLinear', 'Dropout', 'TflLinear', 'TflLinear']);
        expect(model.layers.map((l) => l.name)).toEqual(source.layers.map((l) => l.name));
        const {off, same} = await compare(source, model, [5, 40]);
        expect(off).toBeLessThan(BOUNDS[mode]);
        expect(same).toBeLessThanOrEqual(bound);
        expect(report.layers.map(({path, className, outDim, inDim}) => [path, className, outDim, inDim])).toEqual(
          [0, 2, 3].map((i, j) => [source.layers[i]?.name as string, 'Dense', [48, 24, 7][j] as number, [40, 48, 24][j] as number]),
        );
        expect(report.skipped).toEqual([]);
        expect(report.bytesBefore).toBe(4 * (40 * 48 + 48 + 48 * 24 + 24 * 7 + 7));
        expect(report.bytesAfter).toBe(report.layers.reduce((sum, l) => sum + l.bytesAfter, 0));
        expect(report.bytesAfter).toBeLessThan(report.bytesBefore * (mode === 'int4' ? 0.25 : mode.endsWith('16') ? 0.55 : 0.4));
        for (const {relativeError} of report.layers) expect(relativeError).toBeLessThan(BOUNDS[mode]);
        // The source is untouched, to the bit.
        expect(source.getWeights().map((w) => w.dataSync().slice())).toEqual(bits);
        dispose(source, model);
      });
    }

    it('a functional model: a layer used twice, two inputs, nested models and layers that stay', async () => {
      const inner = tf.sequential({
        name: 'inner',
        layers: [tf.layers.dense({units: 16, inputShape: [5, 16], activation: 'tanh', name: 'deep'})],
      });
      const shared = tf.layers.dense({units: 16, name: 'shared', activation: 'sigmoid'});
      const [a, b] = [tf.input({shape: [5, 16]}), tf.input({shape: [5, 16]})];
      const twice = tf.layers.add().apply([shared.apply(a), shared.apply(b)] as tf.SymbolicTensor[]) as tf.SymbolicTensor;
      const conv = tf.layers.conv1d({filters: 8, kernelSize: 3, name: 'conv'}).apply(inner.apply(twice)) as tf.SymbolicTensor;
      const each = tf.layers.timeDistributed({layer: tf.layers.dense({units: 6, name: 'timed'}), name: 'each'}).apply(conv);
      const output = tf.layers.dense({units: 4, activation: 'softmax', name: 'head'}).apply(each) as tf.SymbolicTensor;
      const source = setSeededWeights(tf.model({inputs: [a, b], outputs: output}));
      const {model, report} = await quantizeModel(source, {mode: 'int8', groupSize: 5});
      expect(report.layers.map((l) => l.path).sort()).toEqual(['each/timed', 'head', 'inner/deep', 'shared']);
      expect(report.skipped).toEqual([
        {path: 'conv', className: 'Conv1D', reason: 'no Dense: Conv1D keeps its weights as they are', bytes: 4 * (3 * 16 * 8 + 8)},
      ]);
      expect(report.groupSize).toBe(5);
      const xs = [randomTensor([2, 5, 16], 1), randomTensor([2, 5, 16], 2)];
      const y = await take(source.predict(xs) as tf.Tensor);
      const packed = await take(model.predict(xs) as tf.Tensor);
      expect(rowErrors(packed, y, 4)).toBeLessThan(0.02);
      expect((model.getLayer('shared') as Linear).inboundNodes.length).toBe(
        (source.getLayer('shared') as tf.layers.Layer).inboundNodes.length + 1,
      );
      tf.dispose(xs);
      dispose(source, model);
      // tf.js counts a layer's calls and a model its own: one that is called twice outlives its model.
      source.getLayer('shared').dispose();
      model.getLayer('shared').dispose();
    });
  });

  it('keeps masks, batch sizes and ranks', async () => {
    const source = tf.sequential({
      layers: [
        tf.layers.embedding({inputDim: 9, outputDim: 12, maskZero: true, inputLength: 6}),
        tf.layers.dense({units: 10}),
        tf.layers.lstm({units: 4}),
      ],
    });
    setSeededWeights(source);
    const {model, report} = await quantizeModel(source, {mode: 'float16'});
    expect(report.skipped.map((s) => s.className)).toEqual(['Embedding', 'LSTM']);
    const x = tf.tensor2d(
      [
        [1, 2, 3, 0, 0, 0],
        [4, 5, 6, 7, 8, 0],
      ],
      [2, 6],
    );
    expect(rowErrors(await take(model.predict(x) as tf.Tensor), await take(source.predict(x) as tf.Tensor), 4)).toBeLessThan(1e-3);
    x.dispose();
    dispose(source, model);
    const fixed: tf.LayersModel = tf.sequential({layers: [tf.layers.dense({units: 3, batchInputShape: [2, 5, 4], activation: 'relu'})]});
    setSeededWeights(fixed);
    const {model: small} = await quantizeModel(fixed, {mode: 'int8'});
    expect(small.inputs[0]?.shape).toEqual([2, 5, 4]);
    expect((await compare(fixed, small, [2, 5, 4])).off).toBeLessThan(0.02);
    dispose(fixed, small);
  });

  it('packs our own float layers, and a model that is one', async () => {
    const mlp = new MLP({hiddenDim: 16, feedForwardLength: 24, hasBias: true, activationFunction: 'gelu'});
    const x = randomTensor([3, 16]);
    setSeededWeights(mlp, 20);
    const {model, report} = await quantizeModel(mlp, {mode: 'int8'});
    expect(model).toBeInstanceOf(MLP);
    expect(report.layers.length).toBe(3);
    expect((model as MLP).byteLength).toBeLessThan(mlp.byteLength / 2);
    expect(rowErrors(await take(model.predict(x) as tf.Tensor), await take(mlp.forward(x)), 16)).toBeLessThan(0.02);
    const half = new Linear({inDim: 16, outDim: 8, dtype: 'bfloat16', hasBias: true, name: 'half', clipWeight: 0.5});
    const weight = randomTensor([8, 16], 3);
    const bias = tf.ones([8]);
    half.loadStateDict({'half.weight': weight, 'half.bias': bias});
    const {model: small} = await quantizeModel(half, {mode: 'int4', groupSize: 8});
    expect((small as Linear).clipWeight).toBe(0.5);
    expect(rowErrors(await take(small.predict(x) as tf.Tensor), await take(half.forward(x)), 8)).toBeLessThan(0.15);
    const again = await quantizeModel(half, {mode: 'float16'});
    expect(again.report.skipped.map((l) => l.reason)).toEqual(['already packed']);
    tf.dispose([x, weight, bias]);
    dispose(mlp, model, half, small, again.model);
  });

  it('filters by regular expressions on paths or by a function, and reports progress', async () => {
    const source = tf.sequential({
      layers: [
        tf.layers.dense({units: 4, inputShape: [4], name: 'up'}),
        tf.layers.dense({units: 4, name: 'down'}),
        tf.layers.dense({units: 2, name: 'lm_head'}),
      ],
    });
    const seen: string[] = [];
    const onProgress = ({path, done, total}: {path: string; done: number; total: number}) => seen.push(`${path} ${done}/${total}`);
    const {model, report} = await quantizeModel(source, {mode: 'int8'}, {filters: ['^up$', /do/g], onProgress});
    expect(seen).toEqual(['up 1/2', 'down 2/2']);
    expect(report.skipped.map(({path, reason}) => [path, reason])).toEqual([['lm_head', 'left out by filters']]);
    expect(model.layers.map((l) => l instanceof Linear)).toEqual([true, true, false]);
    const {model: other} = await quantizeModel(source, {mode: 'int8'}, {filters: (layer, path) => layer.name === path && path.length > 4});
    expect(other.layers.map((l) => l instanceof Linear)).toEqual([false, false, true]);
    dispose(source, model, other);
  });

  it('saves and loads to the same bits, and trains what is left to train', async () => {
    const source = tf.sequential({
      layers: [tf.layers.dense({units: 12, inputShape: [8], activation: 'gelu_new' as 'relu'}), tf.layers.dense({units: 2})],
    });
    setSeededWeights(source);
    const {model} = await quantizeModel(source, {mode: 'int4', groupSize: 3}, {filters: (_l, path) => path === source.layers[0]?.name});
    const loaded = await saveAndLoad(model);
    const [x, y] = [randomTensor([6, 8]), randomTensor([6, 2])];
    expect(await take(loaded.predict(x) as tf.Tensor)).toEqual(await take(model.predict(x) as tf.Tensor));
    loaded.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
    const words = (loaded.layers[0] as Linear).weight as QuantizedWeight;
    const codes = words.words.dataSync().slice();
    const {history} = await loaded.fit(x, y, {epochs: 12, verbose: 0});
    const losses = history.loss as number[];
    expect(losses[11] as number).toBeLessThan((losses[0] as number) * 0.9);
    expect(words.words.dataSync()).toEqual(codes);
    tf.dispose([x, y]);
    loaded.optimizer.dispose();
    dispose(source, model, loaded);
  });

  it('refuses what it cannot do, and leaves nothing behind', async () => {
    const source = tf.sequential({layers: [tf.layers.dense({units: 2, inputShape: [3], name: 'd'})]});
    const refusal = (config: object, model: unknown = source, filters?: unknown) =>
      quantizeModel(model as tf.LayersModel, config as QuantizeConfig, filters === undefined ? {} : {filters: filters as never}).then(
        () => 'no error',
        (error: Error) => `${error.name}: ${error.message}`,
      );
    expect(await refusal({mode: 'int3'})).toMatch(/ArgumentError: quantizeModel: mode: expected int8, int4.*int3.*Did you mean 'int/);
    expect(await refusal({mode: 'int4', groupsize: 32})).toMatch(/'groupsize'. Did you mean 'groupSize'/);
    expect(await refusal({mode: 'float8', groupSize: 32})).toMatch(/groupSize: expected none with mode 'float8'/);
    expect(await refusal({mode: 'int4', groupSize: 0})).toMatch(/groupSize: expected a positive integer/);
    expect(await refusal({mode: 'int4'}, {predict: () => 1})).toMatch(/expected a tf.LayersModel.*tf.loadLayersModel/);
    expect(await refusal({mode: 'int4'}, tf.sequential())).toMatch(/ArgumentError: quantizeModel: model: expected a model with layers/);
    for (const [filters, received] of [
      [3, '3'],
      ['(', '\\('],
      [['d', null], 'null'],
      [[], 'an empty list'],
    ]) {
      const refused = new RegExp(`ArgumentError: quantizeModel: filters: expected regular expressions.*Received: ${received}\\.`);
      expect(await refusal({mode: 'int4'}, source, filters)).toMatch(refused);
    }
    const kernel = tf.tensor2d([
      [1, 2],
      [3, Number.NaN],
      [5, 1e6],
    ]);
    const bias = tf.zeros([2]);
    source.setWeights([kernel, bias]);
    expect(await refusal({mode: 'int8'})).toMatch(/d\[1, 1\]: expected a finite weight. Received: NaN/);
    expect(await refusal({mode: 'float16'})).toMatch(
      /d\[1, 2\]: expected a weight that float16 has. Received: 1000000. Use mode 'bfloat16'/,
    );
    tf.dispose([kernel, bias]);
    source.dispose();
  });
});
