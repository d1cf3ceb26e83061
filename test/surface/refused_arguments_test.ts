/** Arguments of another kind than meant, of each function that tf.js or JavaScript would have answered with an error of its own, or not at all. */
import * as tf from '@tensorflow/tfjs';
import {floatLayout} from '../../kernels/layout.js';
import {
  DistributedMLP,
  GPTQLinear,
  GPTQLinearV1,
  Linear,
  LinearV1,
  MLP,
  MLPV1,
  openCheckpoint,
  ops,
  PastPositions,
  QLinearV1,
  QuantizedWeight,
  quantizeModel,
  ShardedLinear,
  StackedLinear,
  saveSafetensors,
  TfjsLinearError,
  Weight,
} from '../../src/index.js';
import {BACKENDS_AND_WEBGPU, onEachBackend} from '../support/backends.js';

type Calls = readonly (readonly [RegExp, () => unknown])[];

const any = (value: unknown) => value as never;

/** Each call throws, or rejects with, an error of ours that fits, and leaves no tensor. */
async function refused(calls: Calls): Promise<void> {
  const before = tf.memory().numTensors;
  for (const [message, call] of calls) {
    let error: unknown = 'nothing';
    try {
      await call();
    } catch (caught) {
      error = caught;
    }
    const fits = error instanceof TfjsLinearError && message.test(error.message);
    if (!fits) fail(`${message}: ${error}`);
  }
  expect(tf.memory().numTensors).toBe(before);
}

const linear = (options: object = {}) => new Linear(any({inDim: 4, outDim: 3, ...options}));

describe('refused arguments', () => {
  beforeAll(() => tf.setBackend('cpu'));

  it('of PastPositions and attend', async () => {
    const past = new PastPositions({keyHeads: 1, headDim: 2});
    const qkv = tf.ones([1, 6]) as tf.Tensor2D;
    const [cos, sin] = [tf.ones([1, 1]), tf.ones([1, 1])];
    await refused([
      [/PastPositions: expected an object of options.*undefined/, () => new PastPositions(any(undefined))],
      [/PastPositions: expected an object of options.*Received: 3/, () => new PastPositions(any(3))],
      [/PastPositions: keyHeads: expected an integer.*undefined/, () => new PastPositions(any({headDim: 2}))],
      [/PastPositions: expected an even headDim. Received: headDim 3/, () => new PastPositions({keyHeads: 1, headDim: 3})],
      [/'heads'/, () => new PastPositions(any({keyHeads: 1, headDim: 2, heads: 2}))],
      [/attend: past: expected PastPositions.*undefined/, () => ops.attend(qkv, any(undefined), any({cos, sin}))],
      [/attend: past: expected PastPositions.*Object/, () => ops.attend(qkv, any({keyHeads: 1, headDim: 2}), any({cos, sin}))],
      [/attend: rotation: expected an object of tensors.*null/, () => ops.attend(qkv, past, any(null))],
      [/attend: sin: expected a tensor/, () => ops.attend(qkv, past, any({cos}))],
      [/attend: rotation.*'sine'. Did you mean 'sin'/, () => ops.attend(qkv, past, any({cos, sine: sin}))],
      [/step 1: cos: expected a tensor/, () => ops.chain(qkv, [{past, rotation: any({})}])],
    ]);
    expect(past.length).toBe(0);
    tf.dispose([qkv, cos, sin]);
  });

  it('of openCheckpoint and of a checkpoint', async () => {
    const layer = linear();
    const {bytes} = saveSafetensors({up: layer});
    layer.dispose();
    const files = () => ({'model.safetensors': bytes.slice()});
    const checkpoint = await openCheckpoint(files());
    await refused([
      [/openCheckpoint: onProgress: expected a function.*5/, () => openCheckpoint(files(), {onProgress: any(5)})],
      [/openCheckpoint: signal: expected an AbortSignal.*Object/, () => openCheckpoint(files(), {signal: any({})})],
      ...(['linear', 'mlp', 'tensor'] as const).map(
        (name) => [/signal: expected an AbortSignal.*7/, () => checkpoint[name]('up.weight', {signal: any(7)})] as const,
      ),
      [/signal: expected an AbortSignal/, () => checkpoint.stacked(['up'], {signal: any(7)})],
      [/checkpoint module: expected a prefix.*1/, () => checkpoint.stacked(any(Uint8Array.of(1, 2)))],
    ]);
    const reversed = await checkpoint.linear('up', {rows: any(Uint8Array.of(2, 1, 0))});
    expect(reversed.outDim).toBe(3);
    reversed.dispose();
    await checkpoint.close();
  });

  it('of what a layer is made from', async () => {
    const [gate, down] = [linear(), linear({inDim: 3, outDim: 4})];
    const packed = linear({dtype: 'bfloat16'});
    const gone = linear({dtype: 'bfloat16'}).weight as QuantizedWeight;
    const {weight} = packed;
    gone.words.dispose();
    const disposed = tf.ones([3, 4]);
    disposed.dispose();
    const [scales, qweight] = [tf.ones([1, 8]), tf.zeros([4, 8], 'int32')];
    const quantizationConfig = any({quantMethod: 'gptq', bits: 4, groupSize: -1, sym: true});
    const child = {inDim: 4, outDim: 3};
    const layout = floatLayout('float16', 1, 2);
    await refused([
      [/inDim: expected an integer of at least 1 and below 2\^31. Received: 9007199254740992/, () => linear({inDim: 2 ** 53})],
      [/name: expected text/, () => linear({name: Object.create(null)})],
      [/hasBias: expected true or false. Received: a tensor \[3,4\]/, () => linear({hasBias: disposed})],
      [/linearCls: expected a class/, () => new MLP({hiddenDim: 4, feedForwardLength: 3, linearCls: any(() => 1)})],
      [/linearCls/, () => new DistributedMLP(any({hiddenDim: 4, feedForwardLength: 3, devices: ['cpu'], linearCls: null}))],
      [
        /x: expected \[\.\.\., 5\]/,
        () =>
          new MLP({
            hiddenDim: 4,
            feedForwardLength: 3,
            children: {gate_proj: child, up_proj: {inDim: 5, outDim: 3}, down_proj: {inDim: 3, outDim: 4}},
          }),
      ],
      [/MLPV1: upProj: expected a Linear.*undefined/, () => new MLPV1(any({gateProj: gate, downProj: down}))],
      [/MLPV1: gateProj: expected a Linear.*null/, () => new MLPV1(any({gateProj: null, upProj: gate, downProj: down}))],
      [/LinearV1: weight: expected a tensor.*disposed/, () => new LinearV1({weight: disposed})],
      [/QLinearV1: weight: expected a tensor.*disposed/, () => new QLinearV1({weight: disposed, quantizationEncoding: 'Q4_0'})],
      [/weight: expected a live weight/, () => new QLinearV1({weight: gone})],
      [/weight: expected an object of tensors/, () => new GPTQLinearV1({weight: any(null), quantizationConfig})],
      [/qzeros: expected a tensor.*an array/, () => new GPTQLinearV1({weight: any({qweight, scales, qzeros: [1]}), quantizationConfig})],
      [/perm_idx: expected a tensor/, () => new GPTQLinearV1({weight: {qweight, scales}, permIdx: any([0, 1]), quantizationConfig})],
      [/permIdx: expected none/, () => new GPTQLinearV1({weight: weight as QuantizedWeight, permIdx: scales})],
      [/'w': layout: expected a layout. Received: null/, () => new Weight({name: 'w', shape: [1, 2], data: any({layout: null})})],
      [/'w': expected 1 words. Received: 2/, () => new Weight({name: 'w', shape: [1, 2], data: {layout, words: new Int32Array(2)}})],
      [/overTensor: expected a layout/, () => QuantizedWeight.overTensor(any({}), scales)],
      [/overTensor: expected a tensor/, () => QuantizedWeight.overTensor(layout, any(null))],
      ...[{decode: {kind: 'codes'}}, {zero: {kind: 0}}, {planes: [-1]}, {scales: ''}].map(
        (change) => [/expected a layout/, () => QuantizedWeight.fromWords(any({...layout, ...change}), new Int32Array(1))] as const,
      ),
      [/ShardedLinear.of: layer: expected a Linear.*Number/, () => ShardedLinear.of(any(3), {devices: ['cpu']})],
      [/ShardedLinear.ofAsync: layer: expected a Linear/, () => ShardedLinear.ofAsync(any(null), {devices: ['cpu']})],
      [/DistributedMLP.of: mlp: expected an MLP.*Linear/, () => DistributedMLP.of(any(gate), {devices: ['cpu']})],
      [/DistributedMLP.ofAsync: mlp: expected an MLP/, () => DistributedMLP.ofAsync(any(undefined), {devices: ['cpu']})],
    ]);
    for (const each of [gate, down, packed]) each.dispose();
    tf.dispose([scales, qweight]);
  });

  it('of methods of layers', async () => {
    const stacked = new StackedLinear({inDim: 4, outDims: [1, 2], names: ['q', 'k']});
    const gptq = new GPTQLinear({inDim: 32, outDim: 8, quantizationConfig: {bits: 4, groupSize: 32, sym: true}});
    const mlp = new MLP({hiddenDim: 4, feedForwardLength: 3});
    const spread = new ShardedLinear({inDim: 4, outDim: 3, devices: ['cpu', 'cpu']});
    const spreadMLP = new DistributedMLP({hiddenDim: 4, feedForwardLength: 3, devices: ['cpu', 'cpu']});
    const dense = linear();
    const [x, other] = [tf.ones([2, 4]), tf.ones([1, 4])];
    const norm = {weight: tf.ones([4]), epsilon: 0};
    await refused([
      [/split: expected a tensor.*null/, () => stacked.split(any(null))],
      [/split: expected \[\.\.\., 3\]. Received: \[2,4\]/, () => stacked.split(x)],
      [/expected an object of tensors by state key.*null/, () => stacked.loadStateDict(any(null))],
      [/expected an object of tensors by state key.*undefined/, () => gptq.loadStateDict(any(undefined))],
      [/shape: expected an array of sizes.*null/, () => dense.computeOutputShape(any(null))],
      [/shape: expected an array of sizes.*4/, () => mlp.computeOutputShape(any(4))],
      [/x: expected a tensor.*null/, () => spread.forward(any(null))],
      [/x: expected a tensor.*3/, () => spread.forwardAsync(any(3))],
      [/x: expected a tensor.*undefined/, () => spreadMLP.forward(any(undefined))],
      [/forwardAround: expected an object of options.*undefined/, () => mlp.forwardAround(x, any(undefined))],
      [/'residuals'. Did you mean 'residual'/, () => mlp.forwardAround(x, any({residuals: x}))],
      [/chainSteps: expected an object of options.*null/, () => mlp.chainSteps(any(null))],
      [/residual: expected \[2,4\]. Received: \[1,4\]/, () => mlp.forwardAround(x, {norm, residual: other})],
      [/residual: expected \[2,3\]. Received: \[1,4\]/, () => dense.forwardAround(x, {residual: other})],
      [/residual: expected a tensor.*x/, () => mlp.forwardAround(x, {residual: any('x')})],
      [/gatedActivation: activation: expected one of.*undefined/, () => ops.gatedActivation(x, any(null))],
    ]);
    tf.dispose([x, other, norm.weight]);
    for (const each of [stacked, gptq, mlp, spread, spreadMLP, dense]) each.dispose();
  });

  it('of quantizeModel', async () => {
    const model = tf.sequential({layers: [tf.layers.dense({units: 2, inputShape: [4]})]});
    await refused([
      [/onProgress: expected a function.*5/, () => quantizeModel(model, {mode: 'int8'}, {onProgress: any(5)})],
      [/signal: expected an AbortSignal.*true/, () => quantizeModel(model, {mode: 'int8'}, {signal: any(true)})],
    ]);
    model.dispose();
  });

  onEachBackend(() => {
    it('of a norm around a product', async () => {
      const layer = linear({dtype: 'bfloat16'});
      const weight = layer.weight as QuantizedWeight;
      const x = tf.ones([1, 4]) as tf.Tensor2D;
      const ones = tf.ones([4]);
      const norms = [
        [/norm: epsilon: expected a number of at least 0.*undefined/, {weight: ones}],
        [/norm: epsilon: expected a number of at least 0.*-1/, {weight: ones, epsilon: -1}],
        [/norm: epsilon: expected a number of at least 0.*NaN/, {weight: ones, epsilon: Number.NaN}],
        [/norm: expected options among weight, epsilon.*'eps'/, {weight: ones, epsilon: 0, eps: 1e-5}],
      ] as const;
      for (const [message, norm] of norms) {
        await refused([
          [message, () => ops.fusedMatMul(x, weight, {norm: any(norm)})],
          [message, () => ops.chain(x, [{weight, norm: any(norm)}])],
          [message, () => layer.forwardAround(x, {norm: any(norm)})],
        ]);
      }
      tf.dispose([x, ones]);
      layer.dispose();
    });
  }, BACKENDS_AND_WEBGPU);
});
