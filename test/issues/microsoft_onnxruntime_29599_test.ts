// https://github.com/microsoft/onnxruntime/issues/29599: 16-bit partial sums overflowed although the true answer is zero.
import type {WeightLayout} from '../../kernels/layout.js';
import {allocateWords, packCodes, partsOf} from '../../kernels/words.js';
import {ALL_BACKENDS, multiplyOnce, onBackends} from '../support/gpu_cases.js';
import {withVariant} from '../support/webgpu.js';

/** Rows of +2250, +2250, -2250, -2250 as 16-bit integers. */
function alternating(n: number, k: number) {
  const layout: WeightLayout = {
    outDim: n,
    inDim: k,
    planes: [16],
    decode: {kind: 'integer'},
    zero: {kind: 'constant', value: 32768},
    scales: [],
    offsets: [],
    ordered: false,
    indexed: false,
  };
  const words = allocateWords(layout);
  packCodes(
    layout,
    partsOf(layout, words),
    Array.from({length: n * k}, (_, i) => 32768 + (i % 4 < 2 ? 2250 : -2250)),
  );
  return {name: 'alternating', layout, words};
}

describe('microsoft/onnxruntime#29599', () => {
  const named = alternating(8, 4096);
  const x = new Float32Array(4096).fill(16);

  onBackends(ALL_BACKENDS, (backend) => {
    it('sums to exactly 0', async () => {
      const {y} = await multiplyOnce(named, x);
      expect([...y].every((v) => v === 0)).toBe(true);
    });

    if (backend === 'webgpu') {
      for (const variant of ['gemv_thread', 'gemv_tree', 'gemm_registers', 'gemm_tiles', 'plain']) {
        it(`sums to exactly 0, ${variant}`, async () => {
          const {y} = await withVariant(variant, () => multiplyOnce(named, x));
          expect([...y].every((v) => v === 0)).toBe(true);
        });
      }
    }
  });
});
