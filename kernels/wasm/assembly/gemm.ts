// Y = X . W^T for several rows of x as integers: eight rows of W become a panel once, which every row of x meets while it is in the first-level cache.
import {DECODE, IN_DIM, OFFSETS, ZERO_KIND, field} from './layout';
import {PAIRS, PANEL, SPLIT, packPanel, panelCodes, panelLevels, panelOffsets} from './panels';
import {addTerms, multiply} from './tile';

/**
 * Rows begin..end of W times `rows` (at most 128) rows of x in quads, as packRows makes them: a, steps and sums, one quad after another. K and block are
 * multiples of 16. kind: what is multiplied, see panels.ts; bytes need codes of at most 7 bits, SHORT a block's products below 2^15.
 * y [rows, yStride] with row `begin` of W in column 0.
 * scratch: 20 KiB, 19 runs of blocks + 4 float32, 8 of K bytes rounded up to 32 and 64 more.
 */
export function gemm(
  w: usize, d: usize, a: usize, steps: usize, sums: usize, rows: i32, block: i32, blocks: i32, begin: i32, end: i32, y: usize, yStride: i32, scratch: usize, kind: i32,
): void {
  const inDim = field(d, IN_DIM), rowBytes = ((<usize>inDim + 31) & ~31) + 64, levels = <usize>blocks << 5, quadSteps = <usize>blocks << 4;
  const results = scratch + PANEL, scales = results + 4096, extra = scales + levels, codes = extra + levels, runs = codes + 8 * rowBytes;
  // Of a column: bytes of a panel, and of a quad of x.
  const columnBytes: usize = kind == PAIRS ? 16 : 8, xBytes = columnBytes >> 1, quadBytes = <usize>inDim * xBytes, together = <i32>(PANEL / columnBytes) / block;
  const quad = kind == SPLIT ? 2 : 4, hasOffset = field(d, OFFSETS) > 0, hasTerms = hasOffset || (kind != PAIRS && (field(d, ZERO_KIND) | field(d, DECODE)) != 0);
  for (let n = begin; n < end; n += 8) {
    const count = min(8, end - n);
    panelCodes(w, d, n, count, codes, rowBytes);
    panelLevels(w, d, n, count, block, blocks, kind, runs, scales, extra);
    memory.fill(results, 0, <usize>((rows + 3) & ~3) << 5);
    for (let b = 0; b < blocks; b += together) {
      const part = min(together, blocks - b), column = <usize>(b * block), level = <usize>b << 5;
      packPanel(codes + column, rowBytes, count, kind, extra + level, block, part, scratch);
      for (let m = 0, x = a + column * xBytes, h = steps + (<usize>b << 4); m < rows; m += quad, x += quadBytes, h += quadSteps) {
        multiply(kind, rows - m, scratch, x, scales + level, h, results + (<usize>m << 5), block, part);
      }
    }
    if (hasOffset && kind == PAIRS) panelOffsets(w, d, n, count, block, blocks, runs, extra);
    for (let m = 0, t = results, out = y + (<usize>(n - begin) << 2); m < rows; m++, t += 32, out += <usize>yStride << 2) {
      if (hasTerms) addTerms(extra, sums + <usize>(m / quad) * quadSteps + (<usize>(m % quad) << 2), t, blocks);
      if (count == 8) {
        v128.store(out, v128.load(t));
        v128.store(out, v128.load(t, 16), 16);
      } else memory.copy(out, t, <usize>count << 2);
    }
  }
}
