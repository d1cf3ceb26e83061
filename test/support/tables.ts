/** Tables of 16 numbers for 4-bit codes, and a weight that has every code at every place. */
import {allocateWords, packCodes, partsOf} from '../../kernels/words.js';
import {QuantizedWeight} from '../../src/index.js';
import {buildWeight} from '../grid/layouts.js';

export const TABLES = {
  'near a polynomial': [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113],
  'in no order': [3, -90, 17, 5, 127, -128, 0, 64, -1, 99, 42, -7, 8, 120, -55, 31],
} as const;

/** [16, k]: row n holds code n alone. */
export function rowsOfCodes(table: readonly number[], k: number): QuantizedWeight {
  const n = table.length;
  const {layout} = buildWeight('table', {n, k, planes: [4], decode: {kind: 'table', table}}, 1);
  const words = allocateWords(layout);
  packCodes(
    layout,
    partsOf(layout, words),
    Uint8Array.from({length: n * k}, (_, i) => Math.floor(i / k)),
  );
  return QuantizedWeight.fromWords(layout, words);
}
