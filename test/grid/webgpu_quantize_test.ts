/** Rounding of x on webgpu, bit for bit: every option, ordinary numbers and any bits at all, and x too long for one workgroup. */
import * as tf from '@tensorflow/tfjs';
import {FP8_QUANTIZE} from '../../kernels/attributes.js';
import {quantizeRows} from '../../kernels/cpu/quantize.js';
import {type InputQuantization, type InputType, quantizeAttrs, scaleShape} from '../../kernels/input_quantization.js';
import {SPAN} from '../../kernels/webgpu/quantize.wgsl.js';
import {rewriteShaders} from '../../kernels/webgpu/record.js';
import {DeviceError, ops} from '../../src/index.js';
import {describeWebGPU, webgpuBackend, withDevice, withProfile} from '../support/webgpu.js';
import {randomX, seeded} from './layouts.js';

type Scheme = Omit<InputQuantization, 'scale'> & {scale?: readonly number[]};

const DYNAMIC = {dtype: 'float8_e4m3fn', origin: 'dynamic'} as const;
const INT8: InputType = 'int8';

/** [what it shows, scheme, rows, columns] */
const SCHEMES: readonly (readonly [string, Scheme, number, number])[] = [
  [
    'int8 in blocks of 32 as runtimes of 4-bit blocks round',
    {dtype: INT8, origin: 'dynamic', granularity: 'block', block: 32, reciprocal: true},
    3,
    96,
  ],
  ['int8 in blocks of 256', {dtype: INT8, origin: 'dynamic', granularity: 'block', block: 256}, 2, 600],
  ['int8 a token', {dtype: INT8, origin: 'dynamic', granularity: 'colwise'}, 3, 77],
  ['an upper bound', {...DYNAMIC, granularity: 'colwise', scaleUb: 0.7}, 3, 64],
  ['a floor', {...DYNAMIC, granularity: 'block', block: 16, amaxFloor: 0.9}, 3, 50],
  ['a divisor of its own', {...DYNAMIC, granularity: 'rowwise', divisor: 240, reciprocal: true}, 5, 33],
  ['two levels of e2m1', {dtype: 'float4_e2m1fn', origin: 'dynamic', granularity: 'block', block: 16, globalScale: 300}, 3, 48],
  ['two levels of e4m3fn', {...DYNAMIC, granularity: 'tensor', globalScale: 17}, 3, 48],
  ['e5m2', {dtype: 'float8_e5m2', origin: 'dynamic', granularity: 'colwise'}, 3, 40],
  ['e4m3fnuz', {dtype: 'float8_e4m3fnuz', origin: 'dynamic', granularity: 'tensor'}, 3, 40],
  [
    'e5m2fnuz',
    {dtype: 'float8_e5m2fnuz', origin: 'static', granularity: 'rowwise', scale: Array.from({length: 40}, (_, i) => i * 1e-3)},
    3,
    40,
  ],
  ['bfloat16', {dtype: 'bfloat16', origin: 'static', granularity: 'tensor', scale: [1]}, 3, 40],
  ['a static scale and its reciprocal', {dtype: INT8, origin: 'static', granularity: 'tensor', scale: [0.0123], reciprocal: true}, 3, 40],
  [
    'scales of zero, infinity, NaN and below the normal numbers',
    {...DYNAMIC, origin: 'static', granularity: 'colwise', scale: [0, Infinity, NaN, 1e-40, -0.5]},
    5,
    40,
  ],
];

/** Any bits: a third ordinary, a third small, a third anything. */
function anyBits(count: number): Float32Array {
  const random = seeded(count);
  const bits = Uint32Array.from({length: count}, (_, i) => {
    const word = (random() * 2 ** 32) >>> 0;
    return i % 3 === 2 ? word : ((word & 0x807fffff) | ((i % 3 === 0 ? 120 + (i % 9) : i % 30) << 23)) >>> 0;
  });
  return new Float32Array(bits.buffer);
}

/** Runs the kernel on [m, k] and expects the oracle's codes or values, and its scales. */
async function expectOracle(scheme: Scheme, x: Float32Array, m: number, k: number, values: boolean): Promise<void> {
  const {scale, ...rest} = scheme;
  const attrs = quantizeAttrs(scale === undefined ? (rest as InputQuantization) : {...rest, scale: 1}, values);
  const expected = quantizeRows(x, scale === undefined ? null : Float32Array.from(scale), m, k, attrs);
  const inputs: tf.NamedTensorMap = {x: tf.tensor2d(x.slice(), [m, k])};
  if (scale !== undefined)
    inputs.scale = tf.tensor(Float32Array.from(scale), scale.length === 1 ? [] : scaleShape(scheme.granularity, m, k, scheme.block ?? 0));
  const [out, scales] = tf.engine().runKernel(FP8_QUANTIZE, inputs, attrs as unknown as tf.NamedAttrMap) as unknown as [
    tf.Tensor,
    tf.Tensor,
  ];
  const [got, want] = [await out.data(), expected.out];
  const differs = (a: number, b: number) => a !== b && !(Number.isNaN(a) && Number.isNaN(b));
  const wrong = [...want.keys()].filter((i) => differs(got[i] as number, want[i] as number));
  expect(wrong.slice(0, 4).map((i) => [i, x[i], got[i], want[i]])).toEqual([]);
  expect(await scales.data()).toEqual(expected.scales);
  tf.dispose([out, scales, ...Object.values(inputs)]);
}

describeWebGPU('rounding of x', () => {
  for (const [what, scheme, m, k] of SCHEMES) {
    it(`to ${what}`, async () => {
      const ordinary = randomX(m, k, 3);
      ordinary.fill(0, 0, k);
      await expectOracle(scheme, ordinary, m, k, false);
      await expectOracle(scheme, ordinary, m, k, true);
      await expectOracle(scheme, anyBits(m * k), m, k, false);
      await expectOracle(scheme, anyBits(m * k), m, k, true);
    });
  }

  it('with one scale for more than a workgroup takes, as a GPU and as a CPU does it', async () => {
    const [m, k] = [5, SPAN + 3];
    const x = randomX(m, k, 8);
    x[m * k - 1] = 77;
    for (const software of [true, false]) {
      await withProfile({software}, () => expectOracle({...DYNAMIC, granularity: 'tensor'}, x, m, k, false));
      await withProfile({software}, () => expectOracle({...DYNAMIC, granularity: 'colwise'}, x, m, k, false));
    }
  });

  it('with grids folded at the limit of workgroups', async () => {
    const [m, k] = [7, 160];
    await withProfile({limits: {maxComputeWorkgroupsPerDimension: 6}}, async () => {
      for (const granularity of ['tensor', 'colwise', 'rowwise', 'block'] as const) {
        const block = granularity === 'block' ? {block: 32} : {};
        await expectOracle({...DYNAMIC, granularity, ...block}, randomX(m, k, 8), m, k, false);
        const scale = scaleShape(granularity, m, k, 32).reduce((a, b) => a * b, 1);
        const given = Array.from({length: scale}, (_, i) => 0.01 + i * 1e-3);
        await expectOracle({...DYNAMIC, origin: 'static', granularity, ...block, scale: given}, randomX(m, k, 8), m, k, false);
      }
    });
  });

  it('of no numbers', async () => {
    for (const [m, k] of [
      [0, 8],
      [3, 0],
    ] as const) {
      for (const granularity of ['tensor', 'colwise', 'rowwise'] as const) {
        await expectOracle({...DYNAMIC, granularity, amaxFloor: 448}, new Float32Array(0), m, k, false);
        await expectOracle({...DYNAMIC, origin: 'static', granularity, scale: [2]}, new Float32Array(0), m, k, false);
      }
    }
  });

  it('is refused from a device that rounds wrongly', async () => {
    await withDevice({}, async () => {
      rewriteShaders(({label, code}) => (label.startsWith('quantize group ') ? code.replace('(q & 1u) == 1u', 'true') : code));
      const x = tf.tensor2d(randomX(2, 32), [2, 32]);
      const {codes, scales} = ops.fp8Quantize(x, {...DYNAMIC, granularity: 'colwise'});
      rewriteShaders(null);
      await expectAsync(codes.data()).toBeRejectedWithError(DeviceError, /known-answer test of 'quantize'/);
      tf.dispose([x, codes, scales]);
    });
  });

  it('in one dispatch where entries that share a scale are neighbours', async () => {
    const x = tf.tensor2d(randomX(4, 64), [4, 64]);
    await x.data();
    const backend = webgpuBackend();
    const count = async (granularity: InputQuantization['granularity']) => {
      const before = backend.dispatchCountInPass;
      const attrs = quantizeAttrs({...DYNAMIC, granularity}, true);
      const outputs = tf.engine().runKernel(FP8_QUANTIZE, {x}, attrs as unknown as tf.NamedAttrMap) as unknown as tf.Tensor[];
      const dispatches = backend.dispatchCountInPass - before;
      await outputs[0]?.data();
      tf.dispose(outputs);
      return dispatches;
    };
    for (const granularity of ['tensor', 'colwise', 'rowwise'] as const)
      expect(await count(granularity))
        .withContext(granularity)
        .toBe(1);
    x.dispose();
  });
});
