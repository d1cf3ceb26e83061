/** DESIGN, section 6: every row of y is held to 1e-4 of its own norm, where outputs are few and cancel, and where x has outliers. */
import * as tf from '@tensorflow/tfjs';
import {ops, QuantizedWeight} from '../../src/index.js';
import {BACKENDS_AND_WEBGPU, onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {productOf, unpacked} from '../support/reference.js';
import {variantsOf} from '../support/variants.js';
import {buildWeight, type NamedWeight, randomX} from './layouts.js';

/** Bit planes of a width. */
const PLANES: Readonly<Record<number, readonly number[]>> = {2: [2], 4: [4], 5: [4, 1], 6: [4, 2], 8: [8]};

const integers = (bits: number, n: number, k: number, groupSize: number): NamedWeight =>
  buildWeight(
    `${bits} bits`,
    {n, k, planes: PLANES[bits] as number[], zero: 2 ** (bits - 1), scales: [['float16', 1, groupSize]]},
    900 + n,
  );

const floats = (n: number, k: number): NamedWeight =>
  buildWeight('e4m3', {n, k, planes: [8], decode: {kind: 'float', type: 'float8_e4m3fn'}, scales: [['float32', 1, k]]}, 950 + n);

async function worstRow(named: NamedWeight, values: Float32Array, m: number): Promise<number> {
  const {outDim: n, inDim: k} = named.layout;
  const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
  const x = tf.tensor2d(values, [m, k]);
  const y = ops.quantizedMatMul(x, weight);
  const error = rowErrors(await y.data(), productOf(values, unpacked(named), m, n), n);
  tf.dispose([x, y]);
  weight.dispose();
  return error;
}

describe('the bound of a row', () => {
  onEachBackend((backend) => {
    const variants = variantsOf(backend);
    afterEach(() => variants.force(null));

    // A single output is near nothing in one row of eight.
    for (const [n, k] of [
      [1, 256],
      [2, 64],
      [5, 96],
      [15, 1024],
    ] as const) {
      it(`holds for ${n} outputs`, async () => {
        for (const m of [1, 200]) {
          const values = randomX(m, k, 40 + m);
          for (const bits of Object.keys(PLANES).map(Number)) {
            expect(await worstRow(integers(bits, n, k, 32), values, m))
              .withContext(`${bits} bits, ${m} rows`)
              .toBeLessThan(1e-4);
          }
          expect(await worstRow(floats(n, k), values, m))
            .withContext(`e4m3, ${m} rows`)
            .toBeLessThan(1e-4);
        }
      });
    }

    // One number of each 128 a thousand times the others: one step of 16-bit integers for all 128 would be off by 1e-4.
    for (const variant of ['auto', ...variants.names.filter((name) => !name.endsWith('f16'))]) {
      it(`holds for rows of outliers with a scale for 128 columns, ${variant}`, async () => {
        variants.force(variant === 'auto' ? null : variant);
        const k = 256;
        for (const m of [1, 130]) {
          const values = randomX(m, k, 60 + m).map((v, i) => (i % 128 === 5 ? 1000 * v : v));
          for (const bits of [4, 6, 8]) {
            expect(await worstRow(integers(bits, 64, k, 128), values, m))
              .withContext(`${bits} bits, ${m} rows`)
              .toBeLessThan(1e-4);
          }
        }
      });
    }
  }, BACKENDS_AND_WEBGPU);
});
