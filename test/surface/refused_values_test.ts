/** Values that TypeScript would not let through, one by one: each is refused by a typed error that names it, and leaves no tensor. */
import * as tf from '@tensorflow/tfjs';
import {floatLayout} from '../../kernels/layout.js';
import {
  ColumnParallelLinear,
  DeviceRef,
  DistributedMLP,
  encodingInfo,
  GPTQLinear,
  Linear,
  LinearV1,
  MLP,
  MLPV1,
  ops,
  QLinearV1,
  QuantizationConfig,
  QuantizedWeight,
  Segment,
  ShardedLinear,
  ShardingStrategy,
  StackedLinear,
  saveSafetensors,
  TfjsLinearError,
  Weight,
} from '../../src/index.js';

const any = (value: unknown) => value as never;
const linear = (options: object) => new Linear(any({inDim: 4, outDim: 3, ...options}));
const mlp = (options: object) => new MLP(any({hiddenDim: 4, feedForwardLength: 3, ...options}));
const stacked = (options: object) => new StackedLinear(any({inDim: 4, outDims: [1, 2], names: ['q', 'k'], ...options}));
const gptq = (options: object) => new QuantizationConfig(any({quantMethod: 'gptq', bits: 4, groupSize: 32, ...options}));

type Calls = readonly (readonly [RegExp, () => unknown])[];

const CONSTRUCTORS: Calls = [
  [/inDim.*Received: nothing/, () => linear({inDim: []})],
  [/Linear: expected an object of options.*an array/, () => new Linear(any([]))],
  [/layout: expected the layout of a \[3,4\] weight. Received: \{\}/, () => linear({layout: {}})],
  [/layout.*Received: "x"/, () => linear({layout: 'x'})],
  [
    /layout: expected the layout of a \[3,4\] weight. Received: \{"outDim":3,"inDim":5/,
    () => linear({layout: floatLayout('float16', 3, 5)}),
  ],
  [/layout/, () => linear({layout: {...floatLayout('float16', 3, 4), planes: [7]}})],
  [/layout/, () => linear({layout: {...floatLayout('float16', 3, 4), scales: [{}]}})],
  [/layout/, () => linear({layout: {...floatLayout('float16', 3, 4), zero: {kind: 'codes'}}})],
  [/layout/, () => linear({layout: {...floatLayout('float16', 3, 4), decode: null}})],
  [/origin: expected that of a loaded layer. Received: 3/, () => linear({origin: 3})],
  [/origin/, () => linear({origin: {parts: [{}]}})],
  [/quantizationEncoding.*Received: GPTQ\. Use GPTQLinear/, () => linear({quantizationEncoding: 'GPTQ'})],
  [
    /checkpointFormat: expected gptq or gptq_v2. Received: marlin/,
    () => new GPTQLinear(any({inDim: 32, outDim: 8, quantizationConfig: {bits: 4, groupSize: 32, sym: true}, checkpointFormat: 'marlin'})),
  ],
  [/activationFunction: expected one of silu.*swish/, () => mlp({activationFunction: 'swish'})],
  [/swigluLimit.*Received: 7/, () => mlp({swigluLimit: '7'})],
  [/quantizationEncoding.*Received: 3/, () => linear({quantizationEncoding: 3})],
  [/DeviceRef: expected a backend's name.*Received: 3/, () => linear({device: 3})],
  [/clipWeight.*Received: 3/, () => linear({clipWeight: '3'})],
  [/clipWeight.*Received: true/, () => linear({clipWeight: true})],
  [/inputPrecision: expected 'auto' or 'float32'.*float64/, () => linear({inputPrecision: 'float64'})],
  [/trainable: expected true or false/, () => linear({trainable: 'no'})],
  [/Linear: name: expected text.*""/, () => linear({name: ''})],
  [/Linear: name: expected text.*3/, () => linear({name: 3})],
  [/MLP: name: expected text/, () => mlp({name: 3})],
  [/devices: expected a non-empty list of devices.*Received: cpu/, () => mlp({devices: 'cpu'})],
  [/DeviceRef: expected a backend's name.*Received: null/, () => mlp({devices: [null]})],
  [/linearCls: expected a class/, () => mlp({linearCls: 3})],
  [/children: expected options among gate_proj.*'foo'/, () => mlp({children: {foo: {}}})],
  [/StackedLinear: expected an object of options/, () => new StackedLinear(any(undefined))],
  [/as many different names as outDims/, () => stacked({names: 'qk'})],
  [/as many different names as outDims/, () => stacked({outDims: undefined})],
  [/outDim: expected none, or the sum of outDims, 3.*Received: 4/, () => stacked({outDim: 4})],
  [/GPTQLinear: expected an object of options.*null/, () => new GPTQLinear(any(null))],
  [/QuantizationConfig.sym: expected true or false/, () => gptq({sym: 'yes'})],
  [/QuantizationConfig.descAct: expected true or false/, () => gptq({descAct: 2})],
  [/QuantizationConfig: expected an object.*undefined/, () => new QuantizationConfig(any(undefined))],
  [/LinearV1: expected an object of options/, () => new LinearV1(any(undefined))],
  [/LinearV1: weight: expected a tensor, a layer's weight or a Weight.*null/, () => new LinearV1(any({weight: null}))],
  [/LinearV1: weight.*Received: 3/, () => new QLinearV1(any({weight: 3}))],
  [
    /LinearV1.*'biass'. Did you mean 'bias'/,
    () => new LinearV1(any({weight: new Weight({name: 'w', shape: [1, 1], data: new Float32Array(1)}), biass: null})),
  ],
  [/LinearV1.create: expected an object of options/, () => LinearV1.create(any(undefined))],
  [/LinearV1.create: weights: expected an object/, () => LinearV1.create(any({inFeatures: 1, outFeatures: 1}))],
  [/MLPV1: expected an object of options/, () => new MLPV1(any(null))],
  [/Weight: expected an object of options/, () => new Weight(any(null))],
  [/weight 'w': expected a shape, and data/, () => new Weight(any({name: 'w', shape: [3], data: [1, 2, 3]}))],
  [/DeviceRef/, () => new DeviceRef(any(undefined))],
  [/DistributedMLP: expected an object of options/, () => new DistributedMLP(any(undefined))],
  [/ColumnParallelLinear: expected an object of options/, () => new ColumnParallelLinear(any(undefined))],
  [/ShardedLinear: expected an object of options/, () => new ShardedLinear(any(undefined))],
  [/Weight: name: expected text/, () => new Weight(any({shape: [1], data: new Float32Array(1)}))],
  [/fromWords: expected a layout. Received: \{\}/, () => QuantizedWeight.fromWords(any({}), new Int32Array(3))],
  [/fromWords: expected a layout. Received: undefined/, () => QuantizedWeight.fromWords(any(undefined), new Int32Array(3))],
  [/packed words of a \[1, 4\] weight.*Received: undefined/, () => QuantizedWeight.fromWords(floatLayout('float16', 1, 4), any(undefined))],
  [/quantization encoding: expected one of Q4_0.*'undefined'/, () => encodingInfo(any(undefined))],
  [/quantisation method.*'undefined'/, () => gptq({quantMethod: undefined})],
  [/saveSafetensors: expected an object of layers by prefix/, () => saveSafetensors(any(undefined))],
  [/devices.*Received: null/, () => new ShardedLinear(any({inDim: 4, outDim: 3, devices: null}))],
  [
    /tiedWeight: expected a Linear.*Received: Number/,
    () => new ColumnParallelLinear(any({inDim: 4, outDim: 3, devices: ['cpu'], tiedWeight: 3})),
  ],
];

const STRATEGIES: Calls = [
  [/expected a kind among rowwise.*Received: rows/, () => ShardingStrategy.from(any({kind: 'rows', numDevices: 2}))],
  [/ShardingStrategy: expected an object of options.*null/, () => ShardingStrategy.from(any(null))],
  [/'device'/, () => ShardingStrategy.from(any({kind: 'rowwise', numDevices: 2, device: 1}))],
  [/segments/, () => ShardingStrategy.from({kind: 'segmented', numDevices: 2, axis: 0})],
  [/segments.*Received: 4/, () => ShardingStrategy.segmented(2, 0, any(4))],
  [/segments/, () => ShardingStrategy.segmented(2, 0, [Segment.even(2), any({size: 2})])],
  [/numHeads/, () => ShardingStrategy.from({kind: 'stackedQkv', numDevices: 2, headDim: 2})],
  [/headDim/, () => ShardingStrategy.headAwareColumnwise(2, 2, any(undefined))],
  [/axis.*Received: undefined/, () => ShardingStrategy.axiswise(any(undefined), 2)],
  [/axis.*Received: 2/, () => ShardingStrategy.gateUp(2, any(2))],
  [/shares/, () => ShardingStrategy.rowwise(2).withShares(any(['1', 2]))],
  [/shares/, () => ShardingStrategy.rowwise(2).withShares(any(3))],
  [/a shape \[N, K\].*Received: \[4\]/, () => ShardingStrategy.rowwise(2).cuts(any([4]))],
  [/a shape \[N, K\]/, () => ShardingStrategy.rowwise(2).cuts([-1, 2])],
];

function check(calls: Calls): void {
  const before = tf.memory().numTensors;
  for (const [message, call] of calls) {
    expect(call).toThrowMatching((error) => {
      const fits = error instanceof TfjsLinearError && message.test(error.message);
      if (!fits) fail(`${message}: ${error}`);
      return fits && [error.where, error.expected, error.received, error.why, error.remedy].every((part) => /\S/.test(part));
    });
  }
  expect(tf.memory().numTensors).toBe(before);
}

describe('refused values', () => {
  it('of constructors', () => check(CONSTRUCTORS));
  it('of strategies', () => check(STRATEGIES));

  it('of setSharding, shard, loadStateDict and forwardEach', () => {
    const layer = linear({});
    const spread = new ShardedLinear({inDim: 4, outDim: 3, devices: ['cpu', 'cpu']});
    const weight = tf.ones([3, 4]);
    const [one, two] = [tf.ones([1, 4]), tf.ones([2, 4])];
    layer.setSharding(ShardingStrategy.rowwise(2));
    const packed = new GPTQLinear({inDim: 32, outDim: 8, quantizationConfig: {bits: 4, groupSize: 32, sym: true}});
    check([
      [/qweight: expected a tensor of real numbers.*Received: 3/, () => packed.loadStateDict({qweight: any(3), scales: weight})],
      [/setSharding: expected a ShardingStrategy.*undefined/, () => layer.setSharding(any(undefined))],
      [
        /setSharding: expected a ShardingStrategy.*plain data.*ShardingStrategy.from/,
        () => layer.setSharding(any({kind: 'rowwise', numDevices: 2})),
      ],
      [/shard: expected 2 devices.*Received: cpu/, () => layer.shard(any('cpu'))],
      [/shard: expected 2 devices.*Received: undefined/, () => layer.shard(any(undefined))],
      [/DeviceRef.*Received: 3/, () => layer.shard(any(['cpu', 3]))],
      [/'strickt'. Did you mean 'strict'/, () => layer.loadStateDict({weight}, any({strickt: false}))],
      [/strict: expected true or false/, () => layer.loadStateDict({weight}, any({strict: 'no'}))],
      [/one x, or one for each of 2 devices.*null/, () => spread.forwardEach(any(null))],
      [/the same x on every device.*\[1,4\], \[2,4\]/, () => spread.forwardEach([one, two])],
      [/forwardEach: expected a tensor/, () => spread.forwardEach([one, any(3)])],
    ]);
    tf.dispose([weight, one, two]);
    for (const each of [layer, spread, packed]) each.dispose();
  });

  it('of one scale for an input that has one a column', () => {
    const float8Config = {inputScale: {granularity: 'rowwise', origin: 'static'}, weightScale: {granularity: 'tensor'}} as const;
    const layer = linear({float8Config});
    const state = {weight: tf.ones([3, 4]), weight_scale: tf.ones([1]), input_scale: tf.ones([1])};
    check([[/input_scale: expected \[4\]. Received: \[1\]/, () => layer.loadStateDict(state)]]);
    tf.dispose(state);
    layer.dispose();
  });

  const weights: Readonly<Record<string, () => Linear>> = {
    dense: () => linear({}),
    packed: () => linear({dtype: 'bfloat16'}),
    spread: () => new ShardedLinear({inDim: 4, outDim: 3, devices: ['cpu', 'cpu']}),
  };
  for (const [kind, make] of Object.entries(weights)) {
    it(`of rows and parts of a ${kind} weight`, () => {
      const layer = make();
      const weight = layer.weight as QuantizedWeight;
      const [far, text] = [tf.tensor1d([5], 'int32'), tf.tensor1d(['a'])];
      check([
        ...[undefined, null, 'x', 3, {}].map(
          (rows) => [/row indices, an array or a tensor/, () => weight.dequantizeRows(any(rows))] as const,
        ),
        ...[[3], [-1], [1.5], [Number.NaN]].map((rows) => [/row indices in \[0, 3\)/, () => weight.dequantizeRows(rows)] as const),
        [/row indices in \[0, 3\)/, () => weight.dequantizeRows(far)],
        [/a tensor of real numbers.*string/, () => weight.dequantizeRows(text)],
        ...[null, 3].map((part) => [/slice: expected an object of options/, () => weight.slice(any(part))] as const),
        ...[[0, 9], [2, 1], [0, 0.5], [0]].map(
          (rows) => [/rows of a slice: expected \[begin, end\]/, () => weight.slice(any({rows}))] as const,
        ),
        [/'row'. Did you mean 'rows'/, () => weight.slice(any({row: [0, 1]}))],
      ]);
      const whole = weight.slice();
      expect(whole.shape).toEqual([3, 4]);
      whole.dispose();
      tf.dispose([far, text]);
      layer.dispose();
    });
  }

  it('of an op', () => {
    const layer = linear({dtype: 'bfloat16'});
    const x = tf.ones([1, 4]);
    check([
      [/gatedActivation: limit: expected a positive number/, () => ops.gatedActivation(x, 'relu', -1)],
      [/rmsNorm: epsilon: expected a number of at least 0/, () => ops.rmsNorm(x, x, any(undefined))],
      [/saveSafetensors: expected an object.*undefined/, () => saveSafetensors(any(undefined))],
      [
        /inputPrecision: expected 'auto' or 'float32'/,
        () => ops.quantizedMatMul(x, layer.weight as QuantizedWeight, any({inputPrecision: 'fp16'})),
      ],
    ]);
    x.dispose();
    layer.dispose();
  });
});
