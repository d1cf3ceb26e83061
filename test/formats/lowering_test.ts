/** The WebAssembly module that lowers, beside the plain loops that stand in for it. */
import {loweringModule, transposeWith} from '../../kernels/lowering.js';
import {allocateWords, partsOf} from '../../kernels/words.js';
import {FileFormatError} from '../../src/errors.js';
import {lowerBlocks} from '../../src/formats/gguf.js';
import {gatherBlocks} from '../../src/formats/gguf_gather.js';
import {layoutOf, problemOf} from '../../src/formats/gguf_header.js';
import {BLOCK_TYPES} from '../../src/formats/gguf_types.js';
import {transposeWords} from '../../src/formats/packing.js';
import {seeded} from '../grid/random.js';
import {ggufModule, randomBlocks} from './gguf_support.js';

/** Types that the module cannot read: codes that are no fields of bytes, runs of 8 bytes. */
const PLAIN_ONLY = ['NVFP4', 'TQ1_0'];

/** Words of the rows of `data`, in pieces of `rows` rows. */
function lowered(name: string, outDim: number, inDim: number, data: Uint8Array, rows: number, plain: boolean): Int32Array {
  const problem = problemOf(ggufModule(name, outDim, inDim, data));
  const layout = layoutOf(problem);
  const words = allocateWords(layout);
  const parts = partsOf(layout, words);
  const rowBytes = data.length / outDim;
  for (let n = 0; n < outDim; n += rows) {
    const piece = data.slice(n * rowBytes, (n + rows) * rowBytes);
    if (plain) lowerBlocks(problem, piece, layout, parts, n, null);
    else lowerBlocks(problem, piece, layout, parts, n);
  }
  return words;
}

describe('The module that lowers', () => {
  it('is there: every engine that we test on has SIMD', () => {
    expect(loweringModule()).not.toBeNull();
  });

  for (const name of BLOCK_TYPES.keys()) {
    it(`gives ${name} the words that plain loops give`, () => {
      const {elements} = BLOCK_TYPES.get(name)!;
      const shapes = [
        [1, 1],
        [3, 1],
        [37, 3],
        [5, 17],
        // More than is moved at a time, and rows that are not.
        [500, 4],
        [3, 2 ** 18 / elements],
        [2, 2 ** 20 / elements],
      ] as const;
      for (const [outDim, blocks] of shapes) {
        const inDim = elements * blocks;
        const data = randomBlocks(name, outDim, inDim, outDim + blocks);
        const expected = lowered(name, outDim, inDim, data, outDim, true);
        for (const rows of [outDim, 2]) {
          const words = lowered(name, outDim, inDim, data, rows, false);
          expect(words.findIndex((word, i) => word !== expected[i]))
            .withContext(`${outDim} x ${inDim}, ${rows} rows at a time`)
            .toBe(-1);
        }
      }
    });
  }

  it('takes every type but those of other structure', () => {
    const module = loweringModule()!;
    const plainOnly = [...BLOCK_TYPES.entries()].filter(([name, type]) => {
      const problem = problemOf(ggufModule(name, 1, type.elements, randomBlocks(name, 1, type.elements, 1)));
      const layout = layoutOf(problem);
      const parts = partsOf(layout, allocateWords(layout));
      return !gatherBlocks(module, randomBlocks(name, 1, type.elements, 1), type, layout, parts, {where: '', perRow: 1, first: 0});
    });
    expect(plainOnly.map(([name]) => name).sort()).toEqual(PLAIN_ONLY);
  });

  it('says where a scale is not finite, in whichever tile', () => {
    const [outDim, inDim] = [900, 1024];
    for (const name of ['Q4_0', 'Q4_K', 'Q6_K']) {
      const type = BLOCK_TYPES.get(name)!;
      const perRow = inDim / type.elements;
      const data = randomBlocks(name, outDim, inDim, 3);
      new DataView(data.buffer).setUint16((871 * perRow + 3) * type.bytes + type.scale.at, 0xfc00, true);
      for (const plain of [true, false]) {
        expect(() => lowered(name, outDim, inDim, data, 870, plain))
          .withContext(name)
          .toThrowMatching((e) => e instanceof FileFormatError && e.message.includes('code 0xfc00 in row 871, block 3'));
      }
    }
  });

  it('transposes words of any shape', () => {
    const random = seeded(5);
    const module = loweringModule()!;
    for (const [rows, columns] of [
      [1, 1],
      [3, 17],
      [4, 16],
      [5, 15],
      [0, 8],
      [100, 1000],
      [129, 433],
      [300, 500],
      [2, 60_000],
    ] as const) {
      const words = Uint32Array.from({length: rows * columns}, () => random() * 2 ** 32);
      // Rows of the record that hold more than these words, and no more.
      for (const [stride, first] of [
        [rows + 5, 2],
        [rows, 0],
      ] as const) {
        const [expected, plain, out] = Array.from({length: 3}, () => new Uint32Array(columns * stride)) as Uint32Array[];
        for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) expected![c * stride + first + r] = words[r * columns + c]!;
        transposeWords(words, rows, columns, plain!, stride, null, first, null);
        transposeWith(module, words, rows, columns, out!, stride, first);
        for (const got of [plain!, out!]) {
          expect(got.findIndex((word, i) => word !== expected![i]))
            .withContext(`${rows} x ${columns} into ${stride}`)
            .toBe(-1);
        }
      }
    }
  });
});
