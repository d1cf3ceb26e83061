/** Products with what surrounds them on every webgpu kernel, against float64; and in how many dispatches. */
import * as tf from '@tensorflow/tfjs';
import {type Activation, activate} from '../../kernels/activation.js';
import {multiply} from '../../kernels/webgpu/matmul.js';
import {rewriteShaders} from '../../kernels/webgpu/record.js';
import {ops, QuantizedWeight} from '../../src/index.js';
import {rowErrors} from '../support/errors.js';
import {magnitudesOf, productOf, unpacked} from '../support/reference.js';
import {countWork, describeWebGPU, webgpuBackend, withProfile, withVariant} from '../support/webgpu.js';
import {buildWeight, type NamedWeight, randomWeights, randomX} from './layouts.js';

const BOUND = 2e-6;
const EPSILON = 1e-3;

interface Around {
  readonly norm: boolean;
  readonly gate: Activation | null;
  readonly residual: boolean;
  readonly bias: boolean;
  readonly activation: Activation | null;
}

const PLAIN: Around = {norm: false, gate: null, residual: false, bias: false, activation: null};
const AROUND: readonly Around[] = [
  {...PLAIN, norm: true, bias: true},
  {...PLAIN, norm: true, gate: 'silu'},
  {...PLAIN, residual: true, activation: 'relu'},
  {...PLAIN, gate: 'gelu', bias: true, residual: true},
  {...PLAIN, gate: 'relu', activation: 'tanh', residual: true},
  {norm: true, gate: 'gelu_tanh', residual: true, bias: true, activation: null},
];

function normalised(x: Float32Array, weight: Float32Array): Float32Array {
  const k = weight.length;
  return x.map((value, at) => {
    const row = x.subarray(at - (at % k), at - (at % k) + k);
    return (value / Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / k + EPSILON)) * (weight[at % k] as number);
  });
}

/** A window of an even number of rows, from the second on where there is an odd one. */
function windowOf({layout, words}: NamedWeight): {start: number; whole: QuantizedWeight; weight: QuantizedWeight} {
  const start = layout.outDim % 2;
  const whole = QuantizedWeight.fromWords(layout, words.slice());
  return {start, whole, weight: whole.window(start, layout.outDim)};
}

async function expectRight(named: NamedWeight, m: number, around: Around): Promise<void> {
  const {norm, gate, residual, bias, activation} = around;
  const k = named.layout.inDim;
  const {start, whole, weight} = windowOf(named);
  const n = weight.shape[0];
  const width = gate === null ? n : n / 2;
  const w = unpacked(named).subarray(start * k);
  const [xs, bs, fs, rs] = [randomX(m, k, m), randomX(1, n, 4), randomX(1, k, 6), randomX(m, width, 8)];
  const given = {
    x: tf.tensor2d(xs, [m, k]),
    bias: bias ? tf.tensor1d(bs) : null,
    norm: norm ? tf.tensor1d(fs) : null,
    residual: residual ? tf.tensor2d(rs, [m, width]) : null,
  };
  const y = ops.fusedMatMul(given.x, weight, {
    bias: given.bias,
    activation,
    norm: given.norm === null ? null : {weight: given.norm, epsilon: EPSILON},
    gate,
    residual: given.residual,
  });
  const x = norm ? normalised(xs, fs) : xs;
  const b = bias ? bs : new Float32Array(n);
  const product = productOf(x, w, m, n, b, activation);
  const size = magnitudesOf(x, w, m, n, b);
  const [expected, sizes] = [new Float64Array(m * width), new Float64Array(m * width)];
  for (let at = 0; at < m * width; at++) {
    const first = Math.floor(at / width) * n + (at % width);
    const r = residual ? (rs[at] as number) : 0;
    const [p, other] = [product[first] as number, product[first + width] as number];
    expected[at] = r + (gate === null ? p : activate(gate, p) * other);
    const [s, t] = [size[first] as number, size[first + width] as number];
    sizes[at] = Math.abs(r) + (gate === null ? s : s * t);
  }
  expect(rowErrors(await y.data(), expected, width, sizes))
    .withContext(`${named.name}, M = ${m}, ${JSON.stringify(around)}`)
    .toBeLessThan(gate === null ? BOUND : 2 * BOUND);
  tf.dispose([y, given.x, given.bias, given.norm, given.residual] as tf.Tensor[]);
  weight.dispose();
  whole.dispose();
}

const NAMES = ['int4 g128 zeros', 'int3 K=40 g32', 'int6 g16 two levels', 'int4 superblock', 'e4m3fn blocks 16x32', 'int8 g32 ordered'];

describeWebGPU('products with what surrounds them', () => {
  for (const name of NAMES) {
    const named = () => randomWeights().find((w) => w.name === name) as NamedWeight;

    it(`are right for ${name} by every kernel`, async () => {
      let turn = 0;
      const next = () => AROUND[turn++ % AROUND.length] as Around;
      for (const variant of ['gemv_thread', 'gemv_tree', 'gemm_registers', 'gemm_tiles', 'plain']) {
        for (const m of [1, 3]) await withVariant(variant, () => expectRight(named(), m, next()));
      }
    });

    it(`are right for ${name} as a GPU does them`, async () => {
      await withProfile({software: false, withoutFeatures: ['subgroups']}, async () => {
        for (const around of AROUND) await expectRight(named(), 1, around);
        await expectRight(named(), 5, AROUND[5] as Around);
        await expectRight(named(), 17, AROUND[5] as Around);
      });
    });
  }

  it('are right for many rows of x, and in weights over the binding limit', async () => {
    const named = buildWeight('4 bits', {n: 200, k: 96, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 5);
    for (const m of [1, 6, 500]) await expectRight(named, m, AROUND[5] as Around);
    await withProfile({limits: {maxStorageBufferBindingSize: 8192}}, async () => {
      for (const around of AROUND) await expectRight(named, 2, around);
    });
  });

  it('are right in subgroups, here of one thread each', async () => {
    const named = buildWeight('4 bits', {n: 38, k: 96, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 5);
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const [xs, fs, rs] = [randomX(3, 96, 1), randomX(1, 96, 2), randomX(3, 19, 3)];
    const [x, norm, residual] = [tf.tensor2d(xs, [3, 96]), tf.tensor1d(fs), tf.tensor2d(rs, [3, 19])];
    rewriteShaders(({code}) =>
      code
        .replace('enable subgroups;', '')
        .replace(/, @builtin\(subgroup_size\)[^)]*\)[^)]*u32/, '')
        .replace(/subgroupAdd/g, '')
        .replace(/subgroup_size/g, '1u')
        .replace(/subgroup_lane/g, '0u'),
    );
    try {
      const product = {layout: named.layout, x, words: weight.words, norm, epsilon: EPSILON, residual, rowStart: 0, rowEnd: 38};
      const info = multiply(webgpuBackend(), 'gemv_subgroup', product, {gate: 'silu'});
      const y = tf.engine().makeTensorFromTensorInfo(info);
      const all = productOf(normalised(xs, fs), unpacked(named), 3, 38, null, null);
      const expected = Array.from(rs, (r, at) => {
        const first = Math.floor(at / 19) * 38 + (at % 19);
        return r + activate('silu', all[first] as number) * (all[first + 19] as number);
      });
      expect(rowErrors(await y.data(), expected, 19)).toBeLessThan(2 * BOUND);
      y.dispose();
    } finally {
      rewriteShaders(null);
    }
    tf.dispose([x, norm, residual]);
    weight.dispose();
  });

  it('are one dispatch for a few rows, on a GPU and where shaders run on a CPU', async () => {
    const named = buildWeight('4 bits', {n: 200, k: 96, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 5);
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const norm = {weight: tf.ones([96]), epsilon: EPSILON};
    const residual = tf.ones([2, 100]);
    const x = tf.ones([2, 96]);
    for (const software of [true, false]) {
      await withProfile({software}, async () => {
        const run = () => ops.fusedMatMul(x, weight, {norm, gate: 'silu', residual}).dispose();
        // The first is followed by the known answers of its kernel.
        run();
        expect((await countWork(run)).dispatches).toBe(1);
        expect((await countWork(() => ops.quantizedMatMul(x, weight).dispose())).dispatches).toBe(1);
      });
    }
    tf.dispose([norm.weight, residual, x]);
    weight.dispose();
  });
});
