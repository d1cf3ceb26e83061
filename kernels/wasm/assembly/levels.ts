// Scales, offsets and zeros: one entry of a grid, one run of columns over which nothing changes, all blocks of a row.
import {
  BITS0, BITS1, BITS2, DIVIDE1, E4M3_TABLE, GRID_COLUMNS, GRID_COLUMN_PHASE, GRID_INDEXED, GRID_ROWS, GRID_ROW_PHASE, GRID_WIDTH,
  GROUP_INDEX, IN_DIM, LEVEL_START, LEVEL_TYPE, OFFSET0, OFFSET1, OFFSETS, PLANES, SCALE0, SCALE1, SCALES, ZERO_GRID, ZERO_KIND,
  ZERO_START0, ZERO_START1, ZERO_START2, ZERO_VALUE, field, wordsAt,
} from './layout';

/** float16 bits to float32: exact, subnormals included; the top exponent stays inf or NaN. */
export function halfToFloat(h: u32): f32 {
  const sign = (h & 0x8000) << 16;
  if ((h & 0x7c00) == 0x7c00) return reinterpret<f32>(sign | 0x7f800000 | ((h & 0x3ff) << 13));
  // 2^112 moves the exponent bias from 15 to 127; a subnormal half is a subnormal float here, and the product is exact.
  return reinterpret<f32>(reinterpret<u32>(reinterpret<f32>((h & 0x7fff) << 13) * reinterpret<f32>(0x77800000)) | sign);
}

export function entryRow(g: usize, n: i32): i32 {
  const rows = field(g, GRID_ROWS);
  return rows == 1 ? n : (n + field(g, GRID_ROW_PHASE)) / rows;
}

function entryColumn(w: usize, d: usize, g: usize, k: i32): i32 {
  if (field(g, GRID_INDEXED)) return load<i32>(wordsAt(w, d, GROUP_INDEX) + (<usize>k << 2));
  return (k + field(g, GRID_COLUMN_PHASE)) / field(g, GRID_COLUMNS);
}

export function entry(w: usize, d: usize, g: usize, n: i32, k: i32): i32 {
  return entryRow(g, n) * field(g, GRID_WIDTH) + entryColumn(w, d, g, k);
}

/** First column after k at which the entry of this grid changes. */
function runEnd(w: usize, d: usize, g: usize, k: i32): i32 {
  const inDim = field(d, IN_DIM);
  if (field(g, GRID_INDEXED)) {
    const index = wordsAt(w, d, GROUP_INDEX), here = load<i32>(index + (<usize>k << 2));
    let end = k + 1;
    while (end < inDim && load<i32>(index + (<usize>end << 2)) == here) end++;
    return end;
  }
  const columns = field(g, GRID_COLUMNS), phase = field(g, GRID_COLUMN_PHASE);
  return min(inDim, ((k + phase) / columns + 1) * columns - phase);
}

export function number(w: usize, d: usize, l: usize, e: i32): f32 {
  const at = wordsAt(w, l, LEVEL_START);
  switch (field(l, LEVEL_TYPE)) {
    case 0: return load<f32>(at + (<usize>e << 2));
    case 1: return halfToFloat(load<u16>(at + (<usize>e << 1)));
    case 2: return reinterpret<f32>(<u32>load<u16>(at + (<usize>e << 1)) << 16);
    case 3: {
      const code = <u32>load<u8>(at + e);
      return reinterpret<f32>(code == 255 ? 0x7fc00000 : code == 0 ? 0x00400000 : code << 23);
    }
    case 4: return load<f32>(<usize>field(d, E4M3_TABLE) + (<usize>load<u8>(at + e) << 2));
    case 5: return <f32>load<i8>(at + e);
    default: return <f32>load<u8>(at + e);
  }
}

/** The scale at (n, k); 1 without levels. */
export function scaleAt(w: usize, d: usize, n: i32, k: i32): f32 {
  const count = field(d, SCALES);
  if (count == 0) return 1;
  const first = number(w, d, d + SCALE0, entry(w, d, d + SCALE0, n, k));
  if (count == 1) return first;
  const second = number(w, d, d + SCALE1, entry(w, d, d + SCALE1, n, k));
  return field(d, DIVIDE1) ? first / second : first * second;
}

/** The offset at (n, k); 0 without levels. */
export function offsetAt(w: usize, d: usize, n: i32, k: i32): f32 {
  const count = field(d, OFFSETS);
  if (count == 0) return 0;
  const first = number(w, d, d + OFFSET0, entry(w, d, d + OFFSET0, n, k));
  return count == 1 ? first : first * number(w, d, d + OFFSET1, entry(w, d, d + OFFSET1, n, k));
}

export function zeroField(start: usize, bits: i32, e: i32): u32 {
  const bit = <usize>e * bits;
  return (load<u32>(start + ((bit >> 5) << 2)) >> (<u32>bit & 31)) & (bits == 32 ? 0xffffffff : (1 << bits) - 1);
}

/** The zero at (n, k); 0 without. */
export function zeroAt(w: usize, d: usize, n: i32, k: i32): i32 {
  const kind = field(d, ZERO_KIND);
  if (kind == 0) return 0;
  if (kind == 1) return field(d, ZERO_VALUE);
  const e = entry(w, d, d + ZERO_GRID, n, k), bits0 = field(d, BITS0);
  const low = zeroField(wordsAt(w, d, ZERO_START0), bits0, e);
  const planes = field(d, PLANES);
  if (planes == 1) return low;
  const two = low | (zeroField(wordsAt(w, d, ZERO_START1), field(d, BITS1), e) << bits0);
  return planes == 2 ? two : two | (zeroField(wordsAt(w, d, ZERO_START2), field(d, BITS2), e) << (bits0 + field(d, BITS1)));
}

/** First column after k at which scale, offset or zero may change. */
export function segmentEnd(w: usize, d: usize, k: i32): i32 {
  let end = field(d, IN_DIM);
  if (field(d, SCALES) > 0) end = min(end, runEnd(w, d, d + SCALE0, k));
  if (field(d, SCALES) > 1) end = min(end, runEnd(w, d, d + SCALE1, k));
  if (field(d, OFFSETS) > 0) end = min(end, runEnd(w, d, d + OFFSET0, k));
  if (field(d, OFFSETS) > 1) end = min(end, runEnd(w, d, d + OFFSET1, k));
  if (field(d, ZERO_KIND) == 2) end = min(end, runEnd(w, d, d + ZERO_GRID, k));
  return end;
}
