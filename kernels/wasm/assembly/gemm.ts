// Y = X . W^T for several rows of x as integers: eight rows of W become a panel once, which every row of x meets while it is in the first-level cache.
import {DECODE, IN_DIM, OFFSETS, ZERO_KIND, field} from './layout';
import {PAIRS, PANEL, SHORT, packPanel, panelCodes, panelLevels, panelOffsets} from './panels';
import {addTerms, multiply} from './tile';

/** Results of 128 rows, and of three more that a last pack may have. */
const RESULTS: usize = 4192;

/**
 * Rows begin..end of W times `rows` (at most 128) rows of x in packs of `together`, as packRows makes them: a, steps and sums, one pack after another. K and
 * block are multiples of 16. kind: what is multiplied, see panels.ts; bytes need codes of at most 7 bits, SHORT a block's products below 2^15.
 * y [rows, yStride] with row `begin` of W in column 0.
 * scratch: 21 KiB, 19 runs of blocks + 4 float32, 8 of K bytes rounded up to 32 and 64 more.
 */
export function gemm(
  w: usize, d: usize, a: usize, steps: usize, sums: usize, rows: i32, block: i32, blocks: i32, begin: i32, end: i32, y: usize, yStride: i32, scratch: usize, kind: i32,
  together: i32,
): void {
  const inDim = field(d, IN_DIM), rowBytes = ((<usize>inDim + 31) & ~31) + 64, levels = <usize>blocks << 5, apart = <usize>together << 2;
  const results = scratch + PANEL, scales = results + RESULTS, extra = scales + levels, codes = extra + levels, runs = codes + 8 * rowBytes;
  // Of a column: bytes of a panel, and of a pack of x.
  const columnBytes: usize = kind == PAIRS ? 16 : 8, xBytes: usize = kind == PAIRS ? 8 : kind == SHORT ? 4 : 6, most = <i32>(PANEL / columnBytes) / block;
  const packBytes = <usize>inDim * xBytes, packSteps = <usize>blocks * apart;
  const hasOffset = field(d, OFFSETS) > 0, hasTerms = hasOffset || (kind != PAIRS && (field(d, ZERO_KIND) | field(d, DECODE)) != 0);
  for (let n = begin; n < end; n += 8) {
    const count = min(8, end - n);
    panelCodes(w, d, n, count, codes, rowBytes);
    panelLevels(w, d, n, count, block, blocks, kind, runs, scales, extra);
    memory.fill(results, 0, <usize>(rows + 3) << 5);
    for (let b = 0; b < blocks; b += most) {
      const part = min(most, blocks - b), column = <usize>(b * block), level = <usize>b << 5;
      packPanel(codes + column, rowBytes, count, kind, extra + level, block, part, scratch);
      for (let m = 0, x = a + column * xBytes, h = steps + <usize>b * apart; m < rows; m += together, x += packBytes, h += packSteps) {
        multiply(kind, min(together, rows - m), scratch, x, scales + level, h, apart, results + (<usize>m << 5), block, part);
      }
    }
    if (hasOffset && kind == PAIRS) panelOffsets(w, d, n, count, block, blocks, runs, extra);
    for (let m = 0, t = results, out = y + (<usize>(n - begin) << 2); m < rows; m++, t += 32, out += <usize>yStride << 2) {
      if (hasTerms) addTerms(extra, sums + <usize>(m / together) * packSteps + (<usize>(m % together) << 2), apart, t, blocks);
      if (count == 8) {
        v128.store(out, v128.load(t));
        v128.store(out, v128.load(t, 16), 16);
      } else memory.copy(out, t, <usize>count << 2);
    }
  }
}
