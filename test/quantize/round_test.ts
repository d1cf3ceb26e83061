/** Rounding of weights: nearest codes, finite scales, groups. */
import {RowReader} from '../../kernels/cpu/row.js';
import {decodeTable} from '../../kernels/float_codes.js';
import {codeBits} from '../../kernels/layout.js';
import {partsOf, unpackRowCodes} from '../../kernels/words.js';
import {type QuantizeMode, type RoundedWeight, type Rounding, roundWeight} from '../../src/quantize/round.js';
import {randomX} from '../grid/layouts.js';

function decode({layout, words}: RoundedWeight): Float32Array {
  const reader = new RowReader(layout, partsOf(layout, words));
  const out = new Float32Array(layout.outDim * layout.inDim);
  for (let n = 0; n < layout.outDim; n++) reader.read(n, out.subarray(n * layout.inDim, (n + 1) * layout.inDim));
  return out;
}

function scalesOf({layout, words}: RoundedWeight): number[] {
  const stored = partsOf(layout, words).scales[0] as ArrayLike<number>;
  return Array.from(stored, (s) => (layout.scales[0]?.type === 'float16' ? (decodeTable('float16')[s] as number) : s));
}

const [N, K] = [6, 21];
const VALUES = randomX(N, K, 5);
VALUES[3] = -40;

describe('roundWeight', () => {
  for (const rounding of [
    {mode: 'int8', groupSize: -1},
    {mode: 'int8', groupSize: 8},
    {mode: 'int4', groupSize: 8},
    {mode: 'int4', groupSize: 128},
  ] satisfies Rounding[]) {
    it(`${rounding.mode} by ${rounding.groupSize}: no other code is nearer`, () => {
      const rounded = roundWeight(VALUES, N, K, rounding, 'w');
      const {layout} = rounded;
      const columns = rounding.groupSize === -1 ? K : Math.min(K, rounding.groupSize);
      expect(layout.scales[0]?.grid.shape).toEqual([N, Math.ceil(K / columns)]);
      expect(layout.scales[0]?.type).toBe(columns < K ? 'float16' : 'float32');
      const scales = scalesOf(rounded);
      const values = decode(rounded);
      const codes = new Uint8Array(K);
      const bits = codeBits(layout);
      for (let n = 0; n < N; n++) {
        unpackRowCodes(layout, partsOf(layout, rounded.words), n, codes);
        for (let k = 0; k < K; k++) {
          const scale = scales[n * Math.ceil(K / columns) + Math.floor(k / columns)] as number;
          const value = VALUES[n * K + k] as number;
          const off = Math.abs((values[n * K + k] as number) - value);
          for (let code = 0; code < 2 ** bits; code++) {
            expect(off).toBeLessThanOrEqual(Math.abs(Math.fround(scale * (code - 2 ** (bits - 1))) - value) + 1e-5 * scale);
          }
          expect(off).toBeLessThanOrEqual(scale * 0.5 + Math.abs(value) * 1e-7);
        }
      }
    });
  }

  it('float8: the nearest e4m3fn number under a scale of absmax / 448 a row', () => {
    const rounded = roundWeight(VALUES, N, K, {mode: 'float8', groupSize: -1}, 'w');
    const table = Array.from(decodeTable('float8_e4m3fn')).filter((v) => Number.isFinite(v));
    const scales = scalesOf(rounded);
    expect(scales[0]).toBe(Math.fround(40 / 448));
    decode(rounded).forEach((value, i) => {
      const scale = scales[Math.floor(i / K)] as number;
      const nearest = Math.min(...table.map((v) => Math.abs(Math.fround(v * scale) - (VALUES[i] as number))));
      expect(Math.abs(value - (VALUES[i] as number))).toBeLessThanOrEqual(nearest + 1e-6 * scale);
    });
  });

  it('tiny and huge groups keep finite scales and their values', () => {
    for (const mode of ['int8', 'int4', 'float8'] satisfies QuantizeMode[]) {
      const values = new Float32Array(4 * 8);
      values.fill(2 ** -149, 8, 16);
      values.fill(3e38, 16, 24);
      values.fill(-1e-7, 24, 32);
      const rounded = roundWeight(values, 4, 8, {mode, groupSize: mode === 'float8' ? -1 : 4}, 'w');
      for (const scale of scalesOf(rounded)) expect(Number.isFinite(scale) && scale > 0).toBeTrue();
      decode(rounded).forEach((value, i) => {
        const wanted = values[i] as number;
        expect(Math.abs(value - wanted)).toBeLessThanOrEqual(Math.abs(wanted) * 0.08);
      });
    }
  });
});
