/**
 * The limits of MAX's max.nn.linear that ours goes beyond, one by one (research page of MAX's semantics, section 11). A limit is proven here, or by
 * the spec that it names, which must be there.
 */
import * as tf from '@tensorflow/tfjs';
import {
  ColumnParallelLinear,
  DistributedMLP,
  DType,
  GPTQLinear,
  Linear,
  MLP,
  MLPV1,
  quantizeModel,
  ShardingStrategy,
} from '../../src/index.js';
import {randomTensor, saveAndLoad, setSeededWeights, take} from '../layers/layers_support.js';
import {IN_BROWSER} from '../support/environment.js';
import {readSource} from '../support/files.js';

type Proof = (() => void | Promise<void>) | {readonly file: string; readonly title: string};

const spec = (file: string, title: string): Proof => ({file, title});

function set<L extends Linear | MLP>(layer: L, state: Record<string, tf.Tensor>): L {
  layer.loadStateDict(state);
  tf.dispose(state);
  return layer;
}

async function forward(layer: Linear | MLP, x: tf.Tensor): Promise<number[]> {
  return take(await layer.forwardAsync(x));
}

function close(is: readonly number[], expected: readonly number[]): void {
  expect(is.length).toBe(expected.length);
  is.forEach((v, i) => expect(v).toBeCloseTo(expected[i] as number, 4));
}

/** [limit of section 11, what ours does, proof] */
const LIMITS: readonly (readonly [limit: string, ours: string, proof: Proof])[] = [
  [
    '1',
    'fp8: tensor, row, column and block scales, static and dynamic: all 32, at any rank, in f32',
    spec('test/grid/fp8_test.ts', ' with W '),
  ],
  ['1', 'fp8: the same in layers, on every backend', spec('test/layers/every_class.ts', 'Linear, fp8 block, dynamic block')],
  ['1', 'fp8: activation_scale_ub bounds from above', spec('test/grid/max_inputs_test.ts', 'dynamic: s = min(amax, ub) / 448 a token')],
  [
    '1',
    'fp8: the bias is float32',
    async () => {
      const float8Config = {inputScale: {granularity: 'tensor', origin: 'dynamic'}, weightScale: {granularity: 'tensor'}} as const;
      const layer = new Linear({inDim: 4, outDim: 2, hasBias: true, float8Config});
      set(layer, {weight: tf.zeros([2, 4]), weight_scale: tf.scalar(1), bias: tf.tensor1d([1000.125, -0.001])});
      const x = tf.ones([1, 4]);
      close(await forward(layer, x), [1000.125, -0.001]);
      x.dispose();
      layer.dispose();
    },
  ],
  ['1', 'fp8: e5m2 and the fnuz types', spec('test/layers/every_class.ts', 'Linear, e5m2fnuz')],
  [
    '2',
    'GPTQ: every width and group, symmetric and not, on every backend',
    spec('test/formats/gptq_grid_test.ts', ': every width, symmetric and not'),
  ],
  [
    '2',
    'GPTQ: zero points, a bias, a map of groups in the layer itself',
    spec('test/quantize/gptq_linear_test.ts', ": the file's own tensors give the checkpoint's record"),
  ],
  [
    '2',
    'GPTQ: sym: false needs no other class, and f32 out',
    () => {
      const layer = new GPTQLinear({inDim: 64, outDim: 8, hasBias: true, quantizationConfig: {bits: 3, groupSize: -1}});
      expect([layer.quantizationConfig.sym, layer.hasBias]).toEqual([false, true]);
      const y = tf.tidy(() => layer.forward(tf.ones([2, 64])));
      expect(y.dtype).toBe('float32');
      y.dispose();
      layer.dispose();
    },
  ],
  [
    '3',
    'GGUF: Q5_K and all the types MAX lacks',
    spec('test/formats/gguf_matmul_test.ts', 'unpack to the bit and multiply as the fixtures do'),
  ],
  ['3', 'GGUF: any N, K-quants too', spec('test/formats/gguf_matmul_test.ts', 'of K-quants are right where N is not a multiple of 32')],
  [
    '3',
    'GGUF: Q4_0 with an N that 32 does not divide, a float bias, a clip',
    async () => {
      const blocks = Int32Array.from({length: 3 * 18}, (_, i) => (i % 18 === 0 ? 0 : i % 18 === 1 ? 0x3c : i * 7)).map((v) => v & 255);
      const config = {inDim: 32, outDim: 3, quantizationEncoding: 'Q4_0', hasBias: true};
      const state = () => ({weight: tf.tensor2d(blocks, [3, 18], 'int32'), bias: tf.tensor1d([0.5, -0.25, 100])});
      const [plain, clipped] = [set(new Linear(config), state()), set(new Linear({...config, clipWeight: 2}), state())];
      const x = randomTensor([2, 32], 3);
      const rows = await take(plain.weight.dequantize());
      expect(Math.max(...rows)).toBeGreaterThan(2);
      const expected = (clip: number) =>
        tf.tidy(() =>
          tf.add(tf.matMul(x, tf.clipByValue(tf.tensor2d(rows, [3, 32]), -clip, clip), false, true), tf.tensor1d([0.5, -0.25, 100])),
        );
      close(await forward(plain, x), await take(expected(1e9)));
      close(await forward(clipped, x), await take(expected(2)));
      x.dispose();
      for (const l of [plain, clipped]) l.dispose();
    },
  ],
  ['3', 'GGUF: rounding of x is an option', spec('test/grid/max_inputs_test.ts', ' with int8 blocks of ')],
  [
    '4',
    'MLP: any rank, with clip and overrides of linearCls',
    async () => {
      class Tripled extends Linear {
        static override className = 'TflTestTripled';
        override forward(x: tf.Tensor): tf.Tensor {
          return tf.tidy(() => tf.mul(super.forward(x), 3));
        }
      }
      const mlp = setSeededWeights(new MLP({hiddenDim: 4, feedForwardLength: 6, activationFunction: 'relu', linearCls: Tripled}));
      const plain = new MLP({hiddenDim: 4, feedForwardLength: 6, activationFunction: 'relu'});
      plain.setWeights(mlp.getWeights());
      const x = randomTensor([2, 2, 3, 4], 5);
      // relu(3 g) * 3 u, then 3 times down.
      close(
        await forward(mlp, x),
        (await forward(plain, x)).map((v) => 27 * v),
      );
      x.dispose();
      for (const l of [mlp, plain]) l.dispose();
    },
  ],
  [
    '4',
    'MLP: a bias on one of gate and up counts',
    async () => {
      const layer = (hasBias: boolean) => setSeededWeights(new Linear({inDim: 2, outDim: 3, hasBias}));
      const [gateProj, upProj, downProj] = [layer(true), layer(false), setSeededWeights(new Linear({inDim: 3, outDim: 2}))];
      const mlp = new MLPV1({gateProj, upProj, downProj});
      const x = randomTensor([2, 2], 3);
      const by = (silent: boolean) =>
        tf.tidy(() => {
          const gate = silent ? tf.sub(gateProj.forward(x), gateProj.bias as tf.Tensor) : gateProj.forward(x);
          return downProj.forward(tf.mul(tf.mul(gate, tf.sigmoid(gate)), upProj.forward(x)));
        });
      const y = await forward(mlp, x);
      close(y, await take(by(false)));
      expect(y).not.toEqual(await take(by(true)));
      x.dispose();
      mlp.dispose();
    },
  ],
  [
    '4',
    'MLP: an unknown activation is refused with the names; Linear takes every one that tf.js has',
    () => {
      expect(() => new MLP({hiddenDim: 2, feedForwardLength: 2, activationFunction: 'swish' as 'silu'})).toThrowError(/silu.*gelu.*relu/);
      const layer = new Linear({inDim: 2, outDim: 2, activation: 'softmax'});
      expect(layer.activation).toBe('softmax');
      layer.dispose();
    },
  ],
  [
    '5',
    'DistributedMLP: biases, no accelerators, the same device several times',
    async () => {
      const config = {hiddenDim: 4, feedForwardLength: 7, hasBias: true};
      const [whole, spread] = [setSeededWeights(new MLP(config)), new DistributedMLP({...config, devices: ['cpu', 'cpu', 'cpu']})];
      const state = whole.stateDict();
      spread.loadStateDict(state);
      const x = randomTensor([3, 4], 3);
      close(await forward(spread, x), await forward(whole, x));
      tf.dispose([x, state]);
      for (const l of [whole, spread]) l.dispose();
    },
  ],
  [
    '5',
    'ColumnParallelLinear: the same device twice; tied, hasBias false and true',
    async () => {
      const owner = setSeededWeights(new Linear({inDim: 3, outDim: 5}));
      const x = randomTensor([2, 3], 3);
      const y = await forward(owner, x);
      for (const hasBias of [false, true]) {
        const head = new ColumnParallelLinear({inDim: 3, outDim: 5, devices: ['cpu', 'cpu'], tiedWeight: owner, hasBias});
        if (hasBias) set(head, {bias: tf.fill([5], 2)});
        close(
          await forward(head, x),
          y.map((v) => v + (hasBias ? 2 : 0)),
        );
        head.dispose();
      }
      x.dispose();
      owner.dispose();
    },
  ],
  ['5', 'scales are cut with the codes', spec('test/sharding/record_test.ts', 'and put it together again')],
  [
    '6',
    'columns split: the bias is added once; q, k, v: each shard has its heads of it',
    async () => {
      const layer = setSeededWeights(new Linear({inDim: 6, outDim: 12, hasBias: true}));
      const x = randomTensor([2, 6], 3);
      const y = await forward(layer, x);
      layer.setSharding(ShardingStrategy.columnwise(3));
      const columns = layer.shard(['cpu', 'cpu', 'cpu']);
      expect(columns.map((shard) => shard.hasBias)).toEqual([true, false, false]);
      close(await take(tf.tidy(() => tf.addN(columns.map((s, i) => s.forward(tf.slice(x, [0, 2 * i], [2, 2])))))), y);
      layer.setSharding(ShardingStrategy.stackedQkv(2, 2, 2));
      const heads = layer.shard(['cpu', 'cpu']);
      const bias = await take((layer.bias as tf.Tensor).clone());
      expect(await take(((heads[1] as Linear).bias as tf.Tensor).clone())).toEqual([2, 3, 6, 7, 10, 11].map((n) => bias[n] as number));
      x.dispose();
      for (const l of [layer, ...columns, ...heads]) l.dispose();
    },
  ],
  ['7', 'gradients and training', spec('test/layers/every_class_test.ts', ': fit moves ')],
  ['7', 'saving', spec('test/layers/save_classes_test.ts', 'save and load, alone and nested')],
  [
    '7',
    'a quantiser',
    async () => {
      const model = tf.sequential({layers: [tf.layers.dense({units: 3, inputShape: [8], kernelInitializer: 'randomUniform'})]});
      const {model: small, report} = await quantizeModel(model, {mode: 'int8'});
      expect(report.layers[0]?.relativeError).toBeLessThan(0.01);
      const loaded = await saveAndLoad(small);
      expect(loaded.countParams()).toBe(27);
      for (const m of [model, small, loaded]) m.dispose();
    },
  ],
  [
    '8',
    'errors come from the constructor, typed, with what to do',
    () => {
      const cases: [() => unknown, RegExp][] = [
        [() => new GPTQLinear({inDim: 8, outDim: 8}), /quantizationConfig: expected a QuantizationConfig.*openCheckpoint/],
        [() => new Linear({inDim: 100, outDim: 8, quantizationEncoding: 'Q4_K'}), /256/],
        [() => new Linear({inDim: 8, outDim: 8, quantizationEncoding: 'Q9_Z'}), /expected one of .*Q4_0/],
        [() => new Linear({inDim: 8, outDim: 8, dtype: DType.float64}), /32-bit floats on every backend/],
        [() => new ColumnParallelLinear({inDim: 8, outDim: 8, devices: []}), /devices: expected a non-empty list/],
        [() => new MLP({hiddenDim: 8, feedForwardLength: 8, devices: []}), /devices: expected a non-empty list of devices/],
      ];
      for (const [make, message] of cases) expect(make).toThrowError(message);
    },
  ],
  [
    '8',
    'x of another width: both shapes are named',
    () => {
      const layer = new Linear({inDim: 8, outDim: 3});
      expect(() => tf.tidy(() => layer.forward(tf.ones([2, 7])))).toThrowError(
        /expected \[\.\.\., 8\] for a \[3, 8\] weight.*Received: \[2,7\]/,
      );
      layer.dispose();
    },
  ],
  ['9', 'bfloat16 sums in float32', spec('test/grid/max_test.ts', ', beside exact sums')],
  [
    '9',
    'float16 weights on a processor',
    async () => {
      const layer = set(new Linear({inDim: 2, outDim: 1, dtype: DType.float16}), {weight: tf.tensor2d([[0.5, 2]])});
      const x = tf.tensor2d([[4, 8]]);
      expect(await forward(layer, x)).toEqual([18]);
      x.dispose();
      layer.dispose();
    },
  ],
];

describe("MAX's limits", () => {
  beforeAll(() => tf.setBackend('cpu'));

  it('are all here, 1 to 9', () => {
    expect([...new Set(LIMITS.map(([limit]) => limit))]).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9']);
  });

  for (const [limit, ours, proof] of LIMITS) {
    // Specs are sources, which a page has not: Node looks whether they are there.
    if (IN_BROWSER && typeof proof !== 'function') continue;
    it(`${limit}. ${ours}`, async () => {
      if (typeof proof === 'function') await proof();
      else expect(await readSource(proof.file)).toContain(proof.title);
    });
  }
});
