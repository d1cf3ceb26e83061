/** Records, enums and devices: each spec is named after its row in the table of `npm run surface`. */
import * as tf from '@tensorflow/tfjs';
import {
  ArgumentError,
  DeviceRef,
  DType,
  encodingInfo,
  Float8Config,
  Float8InputScaleSpec,
  Float8ScaleGranularity,
  Float8ScaleOrigin,
  Float8WeightScaleSpec,
  Linear,
  ops,
  QuantizationConfig,
  QuantizationEncoding,
  UnsupportedError,
} from '../../src/index.js';

const {TENSOR, ROWWISE, COLWISE, BLOCK} = Float8ScaleGranularity;
const {STATIC, DYNAMIC} = Float8ScaleOrigin;
const FLAGS = ['isTensor', 'isRowwise', 'isColwise', 'isBlock'] as const;

const dynamicInput = new Float8InputScaleSpec({granularity: COLWISE, origin: DYNAMIC, dtype: DType.bfloat16, activationScaleUb: 1200});
const rowwise = new Float8WeightScaleSpec({granularity: ROWWISE, dtype: DType.bfloat16});
const full = new Float8Config({
  inputScale: dynamicInput,
  weightScale: rowwise,
  mlpInFloat8: new Set([0, 2]),
  attnQkvInFloat8: [1],
  embeddingOutputDtype: DType.bfloat16,
  quantMethod: 'fbgemm_fp8',
});

describe('surface: configuration', () => {
  it('Float8Config', () => {
    const least = new Float8Config({inputScale: {granularity: TENSOR, origin: STATIC}, weightScale: {granularity: TENSOR}});
    expect([least.mlpInFloat8.size, least.attnQkvInFloat8.size, least.embeddingOutputDtype, least.quantMethod]).toEqual([0, 0, null, null]);
    expect(() => new Float8Config({...least, weight_scale: rowwise} as never)).toThrowError(/weight_scale/);
    expect(Object.isFrozen(full)).toBeTrue();
    const wrong: [object, RegExp][] = [
      [{mlpInFloat8: 3}, /mlpInFloat8: expected indices.*Received: 3/],
      [{attnQkvInFloat8: ['0']}, /attnQkvInFloat8.*Received: 0/],
      [{mlpInFloat8: [1, -1]}, /mlpInFloat8.*Received: 1, -1/],
      [{embeddingOutputDtype: 'f32'}, /embeddingOutputDtype: expected one of float32,.*Received: f32/],
      [{inputScale: {granularity: TENSOR, origin: DYNAMIC, activationScaleUb: Number.POSITIVE_INFINITY}}, /activationScaleUb/],
      [{inputScale: {granularity: TENSOR, origin: DYNAMIC, activationScaleUb: '12'}}, /activationScaleUb: expected a positive number.*12/],
    ];
    for (const [fields, message] of wrong)
      expect(() => new Float8Config({...least, ...fields} as never)).toThrowError(ArgumentError, message);
  });
  it('Float8Config: inputScale', () => expect(full.inputScale).toBe(dynamicInput));
  it('Float8Config: weightScale', () => expect(full.weightScale).toBe(rowwise));
  it('Float8Config: mlpInFloat8', () => expect([...full.mlpInFloat8]).toEqual([0, 2]));
  it('Float8Config: attnQkvInFloat8', () => expect([...full.attnQkvInFloat8]).toEqual([1]));
  it('Float8Config: embeddingOutputDtype', () => expect(full.embeddingOutputDtype).toBe('bfloat16'));
  it('Float8Config: quantMethod', () => expect(full.quantMethod).toBe('fbgemm_fp8'));
  for (const [flag, origin] of [
    ['isStatic', STATIC],
    ['isDynamic', DYNAMIC],
  ] as const) {
    it(`Float8Config: ${flag}`, () => {
      for (const o of [STATIC, DYNAMIC]) {
        const config = new Float8Config({inputScale: {granularity: TENSOR, origin: o}, weightScale: {granularity: TENSOR}});
        expect(config[flag]).toBe(o === origin);
      }
    });
  }

  it('Float8InputScaleSpec', () => {
    expect(() => new Float8InputScaleSpec({granularity: 'row' as never, origin: DYNAMIC})).toThrowError(/granularity.*tensor, rowwise/);
    expect(() => new Float8InputScaleSpec({granularity: BLOCK, origin: DYNAMIC})).toThrowError(/blockSize/);
    expect(Object.isFrozen(dynamicInput)).toBeTrue();
  });
  it('Float8InputScaleSpec: granularity', () => expect(dynamicInput.granularity).toBe('colwise'));
  it('Float8InputScaleSpec: origin', () => expect(dynamicInput.origin).toBe('dynamic'));
  it('Float8InputScaleSpec: dtype', () => {
    expect(dynamicInput.dtype).toBe('bfloat16');
    expect(new Float8InputScaleSpec({granularity: TENSOR, origin: STATIC}).dtype).toBe('float32');
  });
  it('Float8InputScaleSpec: activationScaleUb', () => {
    // MAX drops it; here larger values saturate: 4 is divided by 2 / 448 and clamped to 448.
    const layer = new Linear({
      inDim: 2,
      outDim: 1,
      float8Config: {inputScale: {granularity: COLWISE, origin: DYNAMIC, activationScaleUb: 2}, weightScale: {granularity: TENSOR}},
    });
    const [weight, scale, x] = [tf.tensor2d([[1, 0]]), tf.scalar(1), tf.tensor2d([[4, 0]])];
    layer.loadStateDict({weight, weight_scale: scale});
    const y = layer.forward(x);
    expect(y.dataSync()[0]).toBeCloseTo(2, 5);
    expect(new Float8InputScaleSpec({granularity: TENSOR, origin: STATIC}).activationScaleUb).toBeNull();
    tf.dispose([weight, scale, x, y]);
    layer.dispose();
  });
  for (const [flag, granularity] of FLAGS.map((flag) => [flag, flag.slice(2).toLowerCase()] as const)) {
    const blockOf = (g: string, size: unknown) => (g === BLOCK ? {blockSize: size as never} : {});
    it(`Float8InputScaleSpec: ${flag}`, () => {
      for (const g of Object.values(Float8ScaleGranularity)) {
        expect(new Float8InputScaleSpec({granularity: g, origin: DYNAMIC, ...blockOf(g, 128)})[flag]).toBe(g === granularity);
      }
    });
    it(`Float8WeightScaleSpec: ${flag}`, () => {
      for (const g of Object.values(Float8ScaleGranularity)) {
        expect(new Float8WeightScaleSpec({granularity: g, ...blockOf(g, [128, 128])})[flag]).toBe(g === granularity);
      }
    });
  }
  it('Float8WeightScaleSpec', () => {
    expect(() => new Float8WeightScaleSpec({granularity: ROWWISE, dtype: DType.int8})).toThrowError(/dtype.*float32, float16, bfloat16/);
    expect(Object.isFrozen(rowwise)).toBeTrue();
  });
  it('Float8WeightScaleSpec: granularity', () => expect(rowwise.granularity).toBe('rowwise'));
  it('Float8WeightScaleSpec: dtype', () => expect(rowwise.dtype).toBe('bfloat16'));

  it('Float8ScaleGranularity', () => {
    expect({...Float8ScaleGranularity}).toEqual({TENSOR: 'tensor', ROWWISE: 'rowwise', COLWISE: 'colwise', BLOCK: 'block'});
  });
  it('Float8ScaleGranularity: TENSOR', () => expect(TENSOR).toBe('tensor'));
  it('Float8ScaleGranularity: ROWWISE', () => expect(ROWWISE).toBe('rowwise'));
  it('Float8ScaleGranularity: COLWISE', () => expect(COLWISE).toBe('colwise'));
  it('Float8ScaleGranularity: BLOCK', () => expect(BLOCK).toBe('block'));
  it('Float8ScaleOrigin', () => expect({...Float8ScaleOrigin}).toEqual({STATIC: 'static', DYNAMIC: 'dynamic'}));
  it('Float8ScaleOrigin: STATIC', () => expect(STATIC).toBe('static'));
  it('Float8ScaleOrigin: DYNAMIC', () => expect(DYNAMIC).toBe('dynamic'));

  it('DType', () => {
    expect(() => new Linear({inDim: 1, outDim: 1, dtype: DType.float64})).toThrowError(/float64.*32-bit floats on every backend/);
  });
  for (const dtype of [DType.float32, DType.float16, DType.bfloat16]) {
    it(`DType: ${dtype}`, () => {
      const layer = new Linear({inDim: 2, outDim: 2, dtype});
      expect([layer.weightDType, layer.weight.byteLength]).toEqual([dtype, dtype === 'float32' ? 16 : 8]);
      layer.dispose();
    });
  }
  for (const dtype of [
    DType.int8,
    DType.float8_e4m3fn,
    DType.float8_e5m2,
    DType.float8_e4m3fnuz,
    DType.float8_e5m2fnuz,
    DType.float4_e2m1fn,
  ]) {
    it(`DType: ${dtype}`, () => {
      // As a type of activations: a number that every one of them has survives the rounding.
      const x = tf.tensor2d([[1.5, -0.5, 0, 1.5]]);
      const {codes, scales} = ops.fp8Quantize(x, {dtype, granularity: 'tensor', origin: 'dynamic'});
      expect(scales.dataSync()[0]).toBeGreaterThan(0);
      expect(codes.dataSync()[0]).toEqual(codes.dataSync()[3] as number);
      expect(codes.dataSync()[0]).not.toEqual(codes.dataSync()[1] as number);
      tf.dispose([x, codes, scales]);
    });
  }
  for (const dtype of [DType.float64, DType.uint8, DType.int32, DType.float8_e8m0fnu]) {
    it(`DType: ${dtype}`, () => {
      expect(() => new Linear({inDim: 1, outDim: 1, dtype})).toThrowError(
        new RegExp(`expected dtype float32, float16 or bfloat16.*${dtype}`),
      );
    });
  }

  it('DeviceRef', () => {
    expect(new DeviceRef('cpu').toString()).toBe('cpu');
    expect(() => new Linear({inDim: 2, outDim: 2, device: new DeviceRef('nowhere')})).toThrowError(
      /device 'nowhere': expected a registered backend/,
    );
  });
  it('DeviceRef: cpu', () => expect(DeviceRef.cpu().backendName).toBe('wasm'));
  it('DeviceRef: gpu', () => {
    const gpus = ['webgpu', 'webgl', 'tensorflow'].filter((name) => (tf.findBackendFactory(name) ?? null) !== null);
    if (gpus.length > 0) expect(DeviceRef.gpu().backendName).toBe(gpus[0] as string);
    else expect(() => DeviceRef.gpu()).toThrowError(/DeviceRef.gpu\(0\): expected a registered backend: webgpu, webgl, tensorflow/);
    expect(() => DeviceRef.gpu(7)).toThrowError(/webgpu:7/);
  });

  it('QuantizationConfig', () => {
    expect(() => new QuantizationConfig({quantMethod: 'gptq', bits: 4, groupsize: 128} as never)).toThrowError(/Did you mean 'groupSize'/);
    for (const quantMethod of ['constructor', '__proto__']) {
      expect(() => new QuantizationConfig({quantMethod, bits: 4, groupSize: 128})).toThrowError(
        UnsupportedError,
        /Received: '[a-z_]+'\. docs/,
      );
    }
    expect(Object.isFrozen(new QuantizationConfig({quantMethod: 'gptq', bits: 4, groupSize: 128}))).toBeTrue();
  });
  for (const [name, value] of Object.entries({quantMethod: 'gptq', bits: 3, groupSize: 64, descAct: true, sym: true})) {
    it(`QuantizationConfig: ${name}`, () => {
      const config = new QuantizationConfig({quantMethod: 'gptq', bits: 3, groupSize: 64, descAct: true, sym: true});
      expect(config[name as keyof QuantizationConfig]).toBe(value);
      if (typeof value === 'boolean') {
        // MAX's defaults.
        expect(new QuantizationConfig({quantMethod: 'gptq', bits: 3, groupSize: 64})[name as 'sym' | 'descAct']).toBeFalse();
      }
    });
  }

  it('QuantizationEncoding', () => {
    expect(Object.values(QuantizationEncoding).filter((name) => !encodingInfo(name).isGguf)).toEqual(['GPTQ']);
    expect(() => encodingInfo('Q4_k' as never)).toThrowError(/Received: 'Q4_k'.*Did you mean 'Q4_0'/);
  });
  for (const [name, elements, bytes] of [
    ['Q4_0', 32, 18],
    ['Q4_K', 256, 144],
    ['Q5_K', 256, 176],
    ['Q6_K', 256, 210],
    ['GPTQ', null, null],
  ] as const) {
    it(`QuantizationEncoding: ${name}`, () => {
      const info = encodingInfo(QuantizationEncoding[name]);
      expect([info.elementsPerBlock, info.bytesPerBlock, info.isGguf]).toEqual([elements, bytes, name !== 'GPTQ']);
    });
  }
});
