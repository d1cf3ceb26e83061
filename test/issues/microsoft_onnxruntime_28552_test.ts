// https://github.com/microsoft/onnxruntime/issues/28552: fractional zero points were truncated. A scale 2 and zero 1.5 is the offset -3.

import {grid, type WeightLayout} from '../../kernels/layout.js';
import {allocateWords, packCodes, partsOf} from '../../kernels/words.js';
import {QuantizedWeight} from '../../src/index.js';
import {onEachBackend} from '../support/backends.js';

describe('microsoft/onnxruntime#28552', () => {
  onEachBackend(() => {
    it('zero 1.5, scale 2 and codes 0 to 3 are -3, -1, 1 and 3', async () => {
      const level = {grid: grid(1, 4, 1, 4), type: 'float32', divide: false} as const;
      const layout: WeightLayout = {
        outDim: 1,
        inDim: 4,
        planes: [2],
        decode: {kind: 'integer'},
        zero: {kind: 'none'},
        scales: [level],
        offsets: [level],
        ordered: false,
        indexed: false,
      };
      const words = allocateWords(layout);
      const parts = partsOf(layout, words);
      packCodes(layout, parts, [0, 1, 2, 3]);
      parts.scales[0]![0] = 2;
      parts.offsets[0]![0] = -3;
      const weight = QuantizedWeight.fromWords(layout, words);
      const values = weight.dequantize();
      expect([...(await values.data())]).toEqual([-3, -1, 1, 3]);
      values.dispose();
      weight.dispose();
    });
  });
});
