/** quantizeModel as a user meets it: one model with everything in it, every mode, saved and loaded. */
import * as tf from '@tensorflow/tfjs';
import {Linear, type QuantizeConfig, quantizeModel} from '../../src/index.js';
import {randomTensor, saveAndLoad, setSeededWeights, take} from '../layers/layers_support.js';
import {rowErrors} from '../support/errors.js';

const first = (x: tf.Tensor | tf.Tensor[]) => (Array.isArray(x) ? (x[0] as tf.Tensor) : x);

/** A user's own layer, with a weight and an argument. */
class Scale extends tf.layers.Layer {
  static className = 'TflTestScale';
  private scale: tf.LayerVariable | null = null;

  constructor(private readonly args: {by: number; name?: string}) {
    super(args);
  }

  override build(shape: tf.Shape): void {
    this.scale = this.addWeight('scale', [shape[shape.length - 1] as number], 'float32', tf.initializers.ones());
    this.built = true;
  }

  override call(x: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.tidy(() => tf.mul(tf.mul(first(x), (this.scale as tf.LayerVariable).read()), this.args.by));
  }

  override computeOutputShape(shape: tf.Shape): tf.Shape {
    return shape;
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {...super.getConfig(), by: this.args.by};
  }
}

/** Its config does not say what its constructor needs. */
class Forgetful extends tf.layers.Layer {
  static className = 'TflTestForgetful';

  constructor(private readonly given: {by: {length: number}}) {
    super({});
    if (this.given.by.length < 0) throw new Error();
  }

  override call(x: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.clone(first(x));
  }

  override computeOutputShape(shape: tf.Shape): tf.Shape {
    return shape;
  }
}

/** An image and a text: convolution, a nested block, a recurrent and a time-distributed wrapper, a layer used twice, a class of the user's, two outputs. */
function everything(): tf.LayersModel {
  const {conv2d, batchNormalization, flatten, dense, dropout, bidirectional, lstm, timeDistributed, add} = tf.layers;
  const image = tf.input({shape: [8, 8, 3], name: 'image'});
  const text = tf.input({shape: [6, 5], name: 'text'});
  let y = conv2d({filters: 4, kernelSize: 3, activation: 'relu', name: 'conv'}).apply(image) as tf.SymbolicTensor;
  y = flatten().apply(batchNormalization({name: 'norm'}).apply(y)) as tf.SymbolicTensor;
  const up = dense({units: 16, inputShape: [144], activation: 'elu', name: 'up', kernelRegularizer: tf.regularizers.l2()});
  const block = tf.sequential({name: 'block', layers: [up, dropout({rate: 0.2}), dense({units: 12, name: 'down', useBias: false})]});
  const a = block.apply(y) as tf.SymbolicTensor;
  const words = bidirectional({layer: lstm({units: 3, returnSequences: true}) as tf.RNN, mergeMode: 'concat', name: 'both_ways'}).apply(
    text,
  );
  const each = timeDistributed({layer: dense({units: 12, name: 'each'}), name: 'over_time'}).apply(words);
  const b = tf.layers.globalAveragePooling1d({}).apply(each) as tf.SymbolicTensor;
  const shared = dense({units: 12, activation: 'tanh', name: 'shared'});
  const sum = add().apply([shared.apply(a), shared.apply(b)] as tf.SymbolicTensor[]);
  const scaled = new Scale({by: 2, name: 'scale'}).apply(sum as tf.SymbolicTensor);
  const head = dense({units: 7, activation: 'softmax', name: 'head'}).apply(scaled) as tf.SymbolicTensor;
  const model = setSeededWeights(tf.model({inputs: [image, text], outputs: [head, a], name: 'everything'}));
  // A variance is not negative.
  const norm = [tf.ones([4]), tf.zeros([4]), tf.zeros([4]), tf.ones([4])];
  model.getLayer('norm').setWeights(norm);
  tf.dispose(norm);
  return model;
}

/** tf.js counts a layer once for each use, and a model gives back fewer (a shared tf.layers.dense stays as well). */
function dispose(model: tf.LayersModel): void {
  const shared = model.getLayer('shared');
  model.dispose();
  for (const weight of shared.weights) if (!weight.read().isDisposed) weight.dispose();
}

/** |y - y'| / |y| of seeded weights, which are larger than trained ones. */
const CONFIGS: readonly [QuantizeConfig, weight: number][] = [
  [{mode: 'int8'}, 0.006],
  [{mode: 'int8', groupSize: 5}, 0.006],
  [{mode: 'int4', groupSize: 7}, 0.1],
  [{mode: 'int4'}, 0.1],
  [{mode: 'float8'}, 0.03],
  [{mode: 'float16'}, 3e-4],
  [{mode: 'bfloat16'}, 2e-3],
];

describe('quantizeModel of a whole model', () => {
  beforeAll(() => tf.setBackend('cpu'));

  for (const [config, weight] of CONFIGS) {
    it(`${JSON.stringify(config)}: report, the source as it was, numbers, a file`, async () => {
      const source = everything();
      const before = await Promise.all(source.getWeights().map(async (w) => Array.from(await w.data())));
      const {model, report} = await quantizeModel(source, config);
      expect(report.layers.map(({path}) => path)).toEqual(['over_time/each', 'block/up', 'block/down', 'shared', 'head']);
      expect(report.skipped.map(({path, className}) => [path, className])).toEqual([
        ['conv', 'Conv2D'],
        ['norm', 'BatchNormalization'],
        ['both_ways', 'Bidirectional'],
        ['scale', 'TflTestScale'],
      ]);
      for (const line of report.layers) {
        expect(line.relativeError).withContext(line.path).toBeGreaterThan(0);
        expect(line.relativeError).withContext(line.path).toBeLessThan(weight);
        expect(line.bytesAfter).withContext(line.path).toBeLessThan(line.bytesBefore);
        expect(line.dropped).toEqual(line.path === 'block/up' ? ['kernelRegularizer'] : []);
      }
      const saved = report.layers.reduce((sum, line) => sum + line.bytesBefore - line.bytesAfter, 0);
      expect(report.bytesBefore - report.bytesAfter).toBe(saved);
      expect(model.countParams()).toBe(source.countParams());
      expect((model.getLayer('shared') as tf.layers.Layer).constructor).toBe(Linear);
      expect(await Promise.all(source.getWeights().map(async (w) => Array.from(await w.data())))).toEqual(before);
      const loaded = await saveAndLoad(model);
      const x = [randomTensor([2, 8, 8, 3]), randomTensor([2, 6, 5])];
      const run = async (m: tf.LayersModel) => Promise.all((m.predict(x) as tf.Tensor[]).map(take));
      const [was, is, again] = [await run(source), await run(model), await run(loaded)] as [number[][], number[][], number[][]];
      expect(again).toEqual(is);
      // The block's output: two rounded layers.
      expect(rowErrors(is[1] as number[], was[1] as number[], 12)).toBeLessThan(3 * weight);
      tf.dispose(x);
      for (const m of [source, model, loaded]) dispose(m);
    });
  }

  it('stops when it is told to, between two layers', async () => {
    const source = everything();
    const {numTensors} = tf.memory();
    const controller = new AbortController();
    const seen: string[] = [];
    const onProgress = ({path}: {path: string}) => {
      seen.push(path);
      if (seen.length === 2) controller.abort(new Error('enough'));
    };
    await expectAsync(quantizeModel(source, {mode: 'int8'}, {onProgress, signal: controller.signal})).toBeRejectedWithError('enough');
    expect(seen).toEqual(['over_time/each', 'block/up']);
    expect(tf.memory().numTensors).toBe(numTensors);
    dispose(source);
  });

  it('says so where a class cannot be made again, and refuses unknown options', async () => {
    const source = tf.sequential({layers: [tf.layers.dense({units: 4, inputShape: [4]}), new Forgetful({by: [1]})]});
    const {numTensors} = tf.memory();
    await expectAsync(quantizeModel(source, {mode: 'int8'})).toBeRejectedWithError(
      /a model that tf.js can make again from its config.*Dense, TflTestForgetful.*getConfig/,
    );
    expect(tf.memory().numTensors).toBe(numTensors);
    await expectAsync(quantizeModel(source, {mode: 'int8'}, {filter: 'x'} as object)).toBeRejectedWithError(/'filter'.*filters/);
    source.dispose();
  });
});
