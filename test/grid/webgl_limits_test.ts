/** Devices that are smaller or odder than this one: small textures, 16-bit floats, WebGL1, a lost context, wrong arithmetic. */
import * as tf from '@tensorflow/tfjs';
import {checkContext, type WebglBackend} from '../../kernels/webgl/backend.js';
import {ANSWERS, compareAnswers} from '../../kernels/webgl/check.js';
import {DeviceError, ops, QuantizedWeight} from '../../src/index.js';
import {rowErrors} from '../support/errors.js';
import {magnitudesOf, productOf, unpacked} from '../support/reference.js';
import {describeWebgl, withFlags} from '../support/webgl.js';
import {buildWeight, type NamedWeight, randomX, type Structure} from './layouts.js';

async function products(named: NamedWeight, m: number, bound: number): Promise<void> {
  const {outDim: n, inDim: k} = named.layout;
  const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
  const w = unpacked(named);
  const x = randomX(m, k);
  const xt = tf.tensor2d(x, [m, k]);
  const y = ops.quantizedMatMul(xt, weight);
  expect(rowErrors(await y.data(), productOf(x, w, m, n), n, magnitudesOf(x, w, m, n)))
    .withContext(named.name)
    .toBeLessThan(bound);
  const all = weight.dequantize();
  expect(((await all.data()) as Float32Array).map((v) => v + 0))
    .withContext(named.name)
    .toEqual(w);
  tf.dispose([xt, y, all]);
  weight.dispose();
}

const f16 = 'float16' as const;

const STRUCTURES: Readonly<Record<string, Structure>> = {
  'K over the limit': {n: 5, k: 288, planes: [4], zero: 8, scales: [[f16, 1, 32]]},
  ordered: {n: 5, k: 288, planes: [4], zero: [1, 32], scales: [[f16, 1, 32]], ordered: true},
  'rows over the limit': {n: 270, k: 12, planes: [8], zero: 128, scales: [['float32', 1, 12]]},
  'M over the limit': {n: 3, k: 12, planes: [8], zero: 128, scales: [['float32', 1, 12]]},
  'weight by weight': {n: 9, k: 131, planes: [4], zero: 8, scales: [[f16, 1, 10]]},
};

describeWebgl('limits', () => {
  for (const [name, structure] of Object.entries(STRUCTURES)) {
    it(`folds what passes textures of 64 x 64: ${name}`, async () => {
      await withFlags({WEBGL_MAX_TEXTURE_SIZE: 64}, async () => {
        for (const m of [1, 3, structure.n === 3 ? 300 : 11]) await products(buildWeight(name, structure, 1), m, 1e-6);
      });
    });
  }

  describe('16-bit float textures', () => {
    const flags = {WEBGL_RENDER_FLOAT32_ENABLED: false};
    for (const [name, structure] of Object.entries(STRUCTURES)) {
      it(`multiply to 2e-3 and unpack exactly: ${name}`, async () => {
        await withFlags(flags, async () => products(buildWeight(name, structure, 1), 3, 2e-3));
      });
    }

    it('do not change row numbers above 2048', async () => {
      await withFlags(flags, async () => {
        const named = buildWeight('rows', {n: 5000, k: 4, planes: [8], zero: 128, scales: [['float32', 1, 4]]}, 1);
        const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
        const w = unpacked(named);
        const rows = [4999, 2049, 4097, 0, 2051];
        const some = weight.dequantizeRows(rows);
        expect(await some.data()).toEqual(Float32Array.from(rows.flatMap((r) => [...w.subarray(4 * r, 4 * r + 4)])));
        some.dispose();
        weight.dispose();
      });
    });
  });

  it('asks for WebGL2', async () => {
    await withFlags({WEBGL_VERSION: 1}, async () => {
      expect(() => checkContext(tf.backend() as unknown as WebglBackend)).toThrowError(DeviceError, /expected WebGL2\. Received: WebGL1/);
    });
  });

  it('refuses a lost context', () => {
    const lost = {gpgpu: {gl: {isContextLost: () => true}}} as unknown as WebglBackend;
    expect(() => checkContext(lost)).toThrowError(DeviceError, /a live context/);
  });

  it('refuses a device that computes wrongly', () => {
    compareAnswers(ANSWERS);
    const flushed = ANSWERS.map((answer) => (answer === 0x00400000 ? 0 : answer));
    expect(() => compareAnswers(flushed)).toThrowError(DeviceError, /expected 0x00400000 as answer 7\. Received: 0x00000000/);
  });
});
