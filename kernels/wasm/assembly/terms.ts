// What each row of W multiplies its blocks by, and what its zeros and offsets add to its result, for integers of x with a step a block.
import {blockOffsets, blockScales, blockZeros} from './blocks';
import {
  DIVIDE0, GRID_COLUMNS, GRID_COLUMN_PHASE, GRID_INDEXED, GRID_ROWS, GRID_WIDTH, LEVEL_START, LEVEL_TYPE, OFFSET0, OFFSETS, SCALE0, SCALES, ZERO_KIND,
  ZERO_VALUE, field, kept, unknownZeros, wordsAt,
} from './layout';
import {BIAS, EDGE, MAGNITUDE, TOP, fma, halved, halves, total} from './vectors';

function dotFloats(a: usize, b: usize, count: i32): f32 {
  let sum = f32x4.splat(0), i = 0;
  for (; i + 4 <= count; i += 4) sum = fma(sum, v128.load(a + (<usize>i << 2)), v128.load(b + (<usize>i << 2)));
  let t = total(sum);
  for (; i < count; i++) t += load<f32>(a + (<usize>i << 2)) * load<f32>(b + (<usize>i << 2));
  return t;
}

/** A float16 for each block of each row, in order? */
// @ts-ignore: decorator
@inline
function isHalves(l: usize, block: i32): bool {
  return field(l, LEVEL_TYPE) == 1 && field(l, GRID_COLUMNS) == block && field(l, GRID_ROWS) == 1 && (field(l, GRID_INDEXED) | field(l, GRID_COLUMN_PHASE)) == 0;
}

/** Row n of such a level. */
// @ts-ignore: decorator
@inline
function halvesAt(w: usize, l: usize, n: i32): usize {
  return wordsAt(w, l, LEVEL_START) + (<usize>(n * field(l, GRID_WIDTH)) << 1);
}

/**
 * 0: not as follows. Else scales, and offsets if there are any, are float16 of one level, a block each, and a zero is a constant: most 4-bit weights.
 * 1: some are subnormal, by a look at row n; 2: none is.
 */
export function inHalves(w: usize, d: usize, n: i32, block: i32): i32 {
  const offsets = field(d, OFFSETS);
  if (field(d, ZERO_KIND) == 2 || field(d, SCALES) != 1 || field(d, DIVIDE0) || !isHalves(d + SCALE0, block)) return 0;
  if (offsets > 1 || (offsets == 1 && !isHalves(d + OFFSET0, block))) return 0;
  return hasSubnormals(w, d + SCALE0, n) || (offsets == 1 && hasSubnormals(w, d + OFFSET0, n)) ? 1 : 2;
}

function hasSubnormals(w: usize, l: usize, n: i32): bool {
  for (let p = halvesAt(w, l, n), end = p + (<usize>field(l, GRID_WIDTH) << 1); p < end; p += 2) {
    const magnitude = load<u16>(p) & 0x7fff;
    if (magnitude > 0 && magnitude < 0x0400) return true;
  }
  return false;
}

/** Four float16 as `halves` has them: by one product, which takes some hundred cycles where a factor is subnormal. */
// @ts-ignore: decorator
@inline
function quickHalves(p: usize, signed: v128, raise: v128): v128 {
  return f32x4.mul(v128.and(i32x4.shl(v128.load16x4_s(p), 13), signed), raise);
}

/** A float16's sign and magnitude, moved up by 13. */
const SIGNED: i32 = 0x8fffe000;
/** 2^112: from a float16's exponent to a float32's. */
const RAISE: i32 = 0x77800000;

// @ts-ignore: decorator
@inline
function anyHalves(quick: bool, p: usize, magnitude: v128, bias: v128, edge: v128, top: v128): v128 {
  return quick ? quickHalves(p, magnitude, bias) : halves(p, magnitude, bias, edge, top);
}

/**
 * t plus four terms of a row whose scales lie at p and offsets `other` bytes after them; the scales times `step` go to `to`. zeroSum, sum: what the zero
 * and the offset meet.
 */
// @ts-ignore: decorator
@inline
function fourBlocks(
  quick: bool, hasOffset: bool, t: v128, p: usize, other: usize, to: usize, step: v128, zeroSum: v128, sum: v128, magnitude: v128, bias: v128, edge: v128, top: v128,
): v128 {
  const s = anyHalves(quick, p, magnitude, bias, edge, top);
  v128.store(to, f32x4.mul(s, step));
  const u = fma(t, s, zeroSum);
  return hasOffset ? fma(u, anyHalves(quick, p + other, magnitude, bias, edge, top), sum) : u;
}

/** fourTerms of a weight `inHalves`: up to three blocks that are none count, whose sums are 0. One loop, as its end is guessed wrong once then. */
// @ts-ignore: decorator
@inline
function halvesTerms(
  quick: bool, hasOffset: bool, w: usize, d: usize, n: i32, n1: i32, n2: i32, n3: i32, blocks: i32, steps: usize, sums: usize, scales: usize, run: usize, zero: f32,
  out: usize,
): void {
  const zeros = unknownZeros(d), magnitude = kept(zeros, quick ? SIGNED : MAGNITUDE), bias = kept(zeros, quick ? RAISE : BIAS);
  const edge = quick ? zeros : kept(zeros, EDGE), top = quick ? zeros : kept(zeros, TOP), value = f32x4.splat(constantZero(d, zero));
  // Without a zero no sum may count, an infinite one neither.
  const some = f32x4.ne(value, zeros), less = f32x4.neg(value);
  const end = scales + (<usize>blocks << 2), toSums = sums - scales, toSteps = steps - scales, run2 = run + run, run3 = run2 + run;
  let p = halvesAt(w, d + SCALE0, n), t = zeros, t1 = t, t2 = t, t3 = t;
  const o1 = halvesAt(w, d + SCALE0, n1) - p, o2 = halvesAt(w, d + SCALE0, n2) - p, o3 = halvesAt(w, d + SCALE0, n3) - p;
  // Both levels have an entry a block.
  const other = hasOffset ? halvesAt(w, d + OFFSET0, n) - p : 0;
  for (let at = scales; at < end; at += 16, p += 8) {
    const step = v128.load(at + toSteps), sum = v128.load(at + toSums), zeroSum = v128.and(f32x4.mul(sum, less), some);
    t = fourBlocks(quick, hasOffset, t, p, other, at, step, zeroSum, sum, magnitude, bias, edge, top);
    t1 = fourBlocks(quick, hasOffset, t1, p + o1, other, at + run, step, zeroSum, sum, magnitude, bias, edge, top);
    t2 = fourBlocks(quick, hasOffset, t2, p + o2, other, at + run2, step, zeroSum, sum, magnitude, bias, edge, top);
    t3 = fourBlocks(quick, hasOffset, t3, p + o3, other, at + run3, step, zeroSum, sum, magnitude, bias, edge, top);
  }
  v128.store(out, t);
  v128.store(out, t1, 16);
  v128.store(out, t2, 32);
  v128.store(out, t3, 48);
}

/** Four numbers of two rows times factor, and their terms, added up, to y of each row. */
// @ts-ignore: decorator
@inline
export function storeResults(f: v128, g: v128, factor: v128, terms: usize, y: usize, n: i32, n1: i32): void {
  const twos = halved(fma(v128.load(terms), f, factor), fma(v128.load(terms, 16), g, factor)), sums = f32x4.add(twos, i32x4.shuffle(twos, twos, 2, 3, 0, 1));
  v128.store32_lane(y + (<usize>n << 2), sums, 0);
  v128.store32_lane(y + (<usize>n1 << 2), sums, 1);
}

// @ts-ignore: decorator
@inline
function constantZero(d: usize, zero: f32): f32 {
  return (field(d, ZERO_KIND) == 1 ? <f32>field(d, ZERO_VALUE) : 0) + zero;
}

/**
 * Scales of rows n to n3 times the steps of x, to `scales` and `run` bytes apart; to `out` and 16 bytes apart four numbers a row, which together are
 * what zero and offset add to its result. `zero` is added to a constant zero. kind: as `inHalves` says. extra: a run of blocks + 4 float32.
 */
export function fourTerms(
  kind: i32, w: usize, d: usize, n: i32, n1: i32, n2: i32, n3: i32, block: i32, blocks: i32, steps: usize, sums: usize, scales: usize, run: usize, extra: usize,
  zero: f32, out: usize,
): void {
  if (kind != 0) {
    const hasOffset = field(d, OFFSETS) != 0;
    if (kind == 2 && hasOffset) halvesTerms(true, true, w, d, n, n1, n2, n3, blocks, steps, sums, scales, run, zero, out);
    else if (kind == 2) halvesTerms(true, false, w, d, n, n1, n2, n3, blocks, steps, sums, scales, run, zero, out);
    else if (hasOffset) halvesTerms(false, true, w, d, n, n1, n2, n3, blocks, steps, sums, scales, run, zero, out);
    else halvesTerms(false, false, w, d, n, n1, n2, n3, blocks, steps, sums, scales, run, zero, out);
    return;
  }
  for (let i = 0; i < 4; i++, scales += run, out += 16) {
    const row = i == 0 ? n : i == 1 ? n1 : i == 2 ? n2 : n3;
    v128.store(out, f32x4.replace_lane(f32x4.splat(0), 0, rowTerms(w, d, row, block, blocks, steps, sums, scales, extra, zero)));
  }
}

/** The same of row n, of any weight, as one number. */
export function rowTerms(w: usize, d: usize, n: i32, block: i32, blocks: i32, steps: usize, sums: usize, scales: usize, extra: usize, zero: f32): f32 {
  const kind = field(d, ZERO_KIND), offsets = field(d, OFFSETS);
  blockScales(w, d, n, block, blocks, scales);
  const whole = <usize>(blocks & ~3) << 2, end = <usize>blocks << 2;
  let terms: f32 = 0, sum = f32x4.splat(0), at: usize = 0;
  if (kind == 2) {
    blockZeros(w, d, n, block, blocks, extra);
    for (; at < whole; at += 16) {
      const s = v128.load(scales + at);
      sum = fma(sum, f32x4.mul(s, v128.load(extra + at)), v128.load(sums + at));
      v128.store(scales + at, f32x4.mul(s, v128.load(steps + at)));
    }
    for (; at < end; at += 4) {
      const s = load<f32>(scales + at);
      terms -= s * load<f32>(extra + at) * load<f32>(sums + at);
      store<f32>(scales + at, s * load<f32>(steps + at));
    }
    terms -= total(sum);
  } else {
    for (; at < whole; at += 16) {
      const s = v128.load(scales + at);
      sum = fma(sum, s, v128.load(sums + at));
      v128.store(scales + at, f32x4.mul(s, v128.load(steps + at)));
    }
    for (; at < end; at += 4) {
      const s = load<f32>(scales + at);
      terms += s * load<f32>(sums + at);
      store<f32>(scales + at, s * load<f32>(steps + at));
    }
    const value = constantZero(d, zero);
    terms = value == 0 ? 0 : -value * (terms + total(sum));
  }
  if (offsets > 0) {
    blockOffsets(w, d, n, block, blocks, extra);
    terms += dotFloats(extra, sums, blocks);
  }
  return terms;
}
