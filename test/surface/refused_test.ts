/** What a caller gets wrong on the public surface is refused by a typed error with all five fields, and leaves no tensor. */
import * as tf from '@tensorflow/tfjs';
import {
  ArgumentError,
  DeviceError,
  explainWebGPU,
  FileFormatError,
  Float8Config,
  Float8InputScaleSpec,
  Linear,
  MissingError,
  MLP,
  openCheckpoint,
  ops,
  type QuantizedWeight,
  ShapeError,
  SourceError,
  saveSafetensors,
  type TfjsLinearError,
  UnusedTensorError,
} from '../../src/index.js';
import {jsonBytes} from '../support/files.js';

type Class = new (...args: never[]) => TfjsLinearError;

/** Runs `f`, which must throw one of `cls` whose message fits, with every field. */
async function refused(cls: Class, message: RegExp, f: () => unknown): Promise<void> {
  const before = tf.memory().numTensors;
  let error: unknown = null;
  tf.engine().startScope();
  try {
    await f();
  } catch (e) {
    error = e;
  }
  tf.engine().endScope();
  expect(error).withContext(String(message)).toBeInstanceOf(cls);
  const {where, expected, received, why, remedy, message: text} = error as TfjsLinearError;
  for (const part of [where, expected, received, why, remedy]) expect(part).withContext(text).toMatch(/\S/);
  expect(text).toMatch(message);
  expect(text).not.toMatch(/(?<!\.)\.\.(?!\.)|\?\./);
  expect(tf.memory().numTensors).withContext(text).toBe(before);
}

/** Calls that TypeScript would not let through. */
const any = (value: unknown) => value as never;

function packed(): Linear {
  const layer = new Linear({inDim: 4, outDim: 3, dtype: 'bfloat16'});
  tf.tidy(() => layer.loadStateDict({weight: tf.tensor2d([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [3, 4])}));
  return layer;
}

describe('refused: options', () => {
  it('of constructors', async () => {
    await refused(ArgumentError, /'has_bias'. Did you mean 'hasBias'\?/, () => new Linear(any({inDim: 2, outDim: 2, has_bias: true})));
    await refused(ArgumentError, /hasBias.*true or false.*yes/, () => new Linear(any({inDim: 2, outDim: 2, hasBias: 'yes'})));
    await refused(ArgumentError, /an object of options/, () => new Linear(any(undefined)));
    await refused(ArgumentError, /MLP: .*activationFunction.*'activation'/, () => {
      new MLP(any({hiddenDim: 2, feedForwardLength: 2, activation: 'relu'}));
    });
    await refused(ArgumentError, /Float8InputScaleSpec.*undefined/, () => new Linear(any({inDim: 2, outDim: 2, float8Config: {}})));
    await refused(ArgumentError, /Float8Config: .*null/, () => new Float8Config(any(null)));
    await refused(ArgumentError, /dtype.*float8_e4m3fn.*float8_e5m2/, () => {
      const scale = {granularity: 'tensor', origin: 'dynamic'} as const;
      new Linear({inDim: 2, outDim: 2, dtype: 'float8_e5m2', float8Config: {inputScale: scale, weightScale: {granularity: 'tensor'}}});
    });
  });

  it('of ops', async () => {
    const layer = packed();
    const weight = layer.weight as QuantizedWeight;
    const x = () => tf.ones([2, 4]);
    await refused(ArgumentError, /'biass'. Did you mean 'bias'\?/, () => ops.quantizedMatMul(x(), weight, any({biass: null})));
    await refused(ArgumentError, /weight: .*QuantizedWeight.*Tensor/, () => ops.quantizedMatMul(x(), any(tf.ones([3, 4]))));
    await refused(ArgumentError, /weight: .*QuantizedWeight.*undefined/, () => ops.unpackWeight(any(undefined)));
    await refused(ArgumentError, /x: expected a tensor.*an array/, () => ops.quantizedMatMul(any([[1, 2, 3, 4]]), weight));
    await refused(ArgumentError, /x: expected a tensor.*undefined/, () => layer.forward(any(undefined)));
    const dynamic = {inputOrigin: 'dynamic', inputGranularity: 'tensor'} as const;
    await refused(ArgumentError, /'activationScaleUB'/, () => ops.fp8ScaledMatMul(x(), weight, any({...dynamic, activationScaleUB: 1})));
    await refused(ArgumentError, /outputDtype.*float16/, () => ops.fp8ScaledMatMul(x(), weight, any({...dynamic, outputDtype: 'float16'})));
    await refused(ArgumentError, /scale.*-1/, () => {
      ops.fp8ScaledMatMul(x(), weight, {inputOrigin: 'static', inputGranularity: 'tensor', inputScale: -1});
    });
    await refused(ArgumentError, /undefined/, () => ops.fp8ScaledMatMul(x(), weight, any(undefined)));
    await refused(ArgumentError, /undefined/, () => ops.fp8Quantize(x(), any(undefined)));
    await refused(ArgumentError, /explainWebGPU: layout.*undefined/, () => explainWebGPU(any(undefined), any(undefined)));
    await refused(ArgumentError, /explainWebGPU: rows.*undefined/, () => explainWebGPU(weight.layout, any(undefined)));
    await refused(DeviceError, /explainWebGPU: 'webgpu:9'/, () => explainWebGPU(weight.layout, 1, 'webgpu:9'));
    layer.dispose();
  });

  it('of weights', async () => {
    const layer = packed();
    const weight = layer.weight as QuantizedWeight;
    await refused(ArgumentError, /'row'. Did you mean 'rows'\?/, () => weight.slice(any({row: [0, 1]})));
    await refused(ArgumentError, /rows of a slice/, () => weight.slice({rows: any(1)}));
    await refused(ArgumentError, /row indices/, () => weight.dequantizeRows(any(undefined)));
    const whole = weight.slice();
    expect(whole.shape).toEqual([3, 4]);
    whole.dispose();
    layer.dispose();
    await refused(ArgumentError, /disposed/, () => weight.slice({rows: [0, 1]}));
    const dense = new Linear({inDim: 4, outDim: 3});
    dense.dispose();
    await refused(ArgumentError, /disposed/, () => dense.forward(tf.ones([1, 4])));
  });

  it('of what Keras would take', async () => {
    const [dense, mlp] = [new Linear({inDim: 4, outDim: 3}), new MLP({hiddenDim: 4, feedForwardLength: 2})];
    const layer = packed();
    await refused(ArgumentError, /x: expected one tensor.*a list of 2/, () => mlp.predict([tf.ones([1, 4]), tf.ones([1, 4])]));
    for (const one of [dense, layer]) {
      await refused(ArgumentError, /x: expected one tensor.*a list of 2.*tf\.concat/, () =>
        one.predict([tf.ones([1, 4]), tf.ones([1, 4])]),
      );
      await refused(ArgumentError, /x: expected a tensor.*an array/, () => one.predict(any([[1, 2, 3, 4]])));
      await refused(ArgumentError, /x: expected a tensor.*undefined/, () => one.predict([]));
      await refused(ArgumentError, /forwardAround: .*undefined/, () => one.forwardAround(tf.ones([1, 4]), any(undefined)));
      await refused(ArgumentError, /'residul'. Did you mean 'residual'/, () =>
        one.forwardAround(tf.ones([1, 4]), any({residul: tf.ones([1, 3])})),
      );
    }
    for (const one of [dense, layer, mlp]) {
      const cls = one.constructor as typeof Linear;
      await refused(ArgumentError, /fromConfig: .*undefined.*Linear\.fromConfig\(Linear/, () =>
        cls.fromConfig(any(one.getConfig()), any(undefined)),
      );
      const x = tf.ones([1, 4]);
      const y = one.predict([x]);
      expect(y.shape[0]).toBe(1);
      tf.dispose([x, y]);
      one.dispose();
    }
  });

  it('of loadStateDict', async () => {
    const layer = new Linear({inDim: 3, outDim: 2, hasBias: true});
    await refused(ArgumentError, /weight: expected a tensor.*an array/, () => layer.loadStateDict(any({weight: [1], bias: tf.ones([2])})));
    await refused(ArgumentError, /tensors by state key/, () => layer.loadStateDict(any(undefined)));
    await refused(ArgumentError, /tensors by state key.*an array/, () => layer.loadStateDict(any([])));
    await refused(UnusedTensorError, /extra/, () =>
      layer.loadStateDict({weight: tf.ones([2, 3]), bias: tf.ones([2]), extra: tf.ones([1])}),
    );
    await refused(ShapeError, /\[2,3\].*\[3,2\]/, () => layer.loadStateDict({weight: tf.ones([3, 2]), bias: tf.ones([2])}));
    layer.dispose();
  });
});

describe('refused: checkpoints', () => {
  const file = () => {
    const layer = packed();
    const {bytes} = saveSafetensors({up: layer});
    layer.dispose();
    return bytes;
  };

  it('options and names', async () => {
    const source = {'model.safetensors': file()};
    await refused(ArgumentError, /'progress'/, () => openCheckpoint(source, any({progress: null})));
    const checkpoint = await openCheckpoint(source);
    await refused(ArgumentError, /stacked: modules: .*an array.*'?up/, () => checkpoint.stacked(any('up')));
    await refused(ArgumentError, /stacked: modules: .*undefined/, () => checkpoint.stacked(any(undefined)));
    await refused(ArgumentError, /rows: expected an array of rows.*2/, () => checkpoint.linear('up', {rows: any(2)}));
    await refused(ArgumentError, /tensor: .*'dtype'/, () => checkpoint.tensor('up.weight', any({dtype: 'float16'})));
    const layer = packed();
    await refused(ArgumentError, /saveSafetensors: .*a model: linear.*\{'up_proj': layer\}/, () => saveSafetensors(any(layer)));
    layer.dispose();
    await refused(ArgumentError, /'devise'. Did you mean 'device'\?/, () => checkpoint.linear('up', any({devise: 'cpu'})));
    await refused(ArgumentError, /'activation'/, () => checkpoint.mlp('up', any({activation: 'silu'})));
    await refused(ArgumentError, /a prefix of tensor names/, () => checkpoint.linear(any(undefined)));
    await refused(MissingError, /Did you mean 'up'\?/, () => checkpoint.linear('upp'));
    await refused(MissingError, /none of 1 names\./, () => checkpoint.linear('something_else'));
    await checkpoint.close();
  });

  it('configs that are no objects', async () => {
    const bytes = file();
    await refused(FileFormatError, /quantization_config: expected an object.*"gptq"/, () => {
      return openCheckpoint({'model.safetensors': bytes, 'config.json': jsonBytes({quantization_config: 'gptq'})});
    });
    await refused(FileFormatError, /config\.json: expected an object.*\[\]/, () => {
      return openCheckpoint({'model.safetensors': bytes, 'config.json': jsonBytes([])});
    });
  });

  it('URLs that name no file', async () => {
    await refused(SourceError, /a blob: URL.*Pass the Blob/, () => openCheckpoint('blob:null/123'));
    await refused(SourceError, /a data: URL/, () => openCheckpoint('data:application/octet-stream;base64,AAAA'));
  });
});

describe('blocks of x', () => {
  it('are cut as the weight is, or at 128 columns', () => {
    const float8Config = {
      inputScale: new Float8InputScaleSpec({granularity: 'block', origin: 'dynamic', blockSize: [64, 2]}),
      weightScale: {granularity: 'block', blockSize: [1, 2]},
    } as const;
    expect(float8Config.inputScale.blockSize).toBe(2);
    const layer = new Linear({inDim: 4, outDim: 1, float8Config});
    tf.tidy(() => {
      layer.loadStateDict({weight: tf.ones([1, 4]), weight_scale: tf.ones([1, 2])});
      // In one block of four 0.001 would be rounded to 2 ** -9.
      const x = tf.tensor2d([[448, 448, 0.001, 0.001]]);
      const options = {inputOrigin: 'dynamic', inputGranularity: 'block'} as const;
      const y = ops.fp8ScaledMatMul(x, layer.weight as QuantizedWeight, options).dataSync()[0] as number;
      expect(Math.abs(y - 896.002)).toBeLessThan(1e-4);
      const {scales} = ops.fp8Quantize(tf.ones([1, 300]), {dtype: 'float8_e4m3fn', granularity: 'block', origin: 'dynamic'});
      expect(scales.shape).toEqual([1, 3]);
    });
    layer.dispose();
  });
});
