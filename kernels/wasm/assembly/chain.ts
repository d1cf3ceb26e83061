// One row of x through products and attentions, written in memory as a list of steps (see ../chain_steps.ts) that all threads walk: between two steps
// they wait for each other here, in some hundred nanoseconds.
import {appendTo, attend} from './attention';
import {finish} from './epilogue';
import {addTo, gatedRow, rmsNorm} from './fused';
import {gemmFloats, packFloats} from './gemm_floats';
import {gemv, gemvBytes} from './gemv';
import {gemvDots, prepareBytes} from './gemv_dots';
import {gemvFloats, prepareFloats} from './gemv_floats';
import {prepareRow} from './prepare';

/** Bytes of a step. */
const STEP: usize = 128;

// Fields of a step.
const IS_ATTENTION: usize = 0;
const PARTS: usize = 4;
const PART_ROWS: usize = 8;
/** Rows of the result. */
const WIDTH: usize = 12;
const X: usize = 16;
const OUT: usize = 20;
// Of a product.
const WORDS: usize = 24;
const DESCRIPTOR: usize = 28;
const ORDER: usize = 32;
const K: usize = 36;
const BEGIN: usize = 40;
/** 0 floats, 1 gemv, 2 gemvBytes, 3 gemvDots, 4 gemvFloats. */
const WAY: usize = 44;
const BLOCK: usize = 48;
const LANES: usize = 52;
const DOT_LANES: usize = 56;
const HOW: usize = 60;
const FACTOR: usize = 64;
const NORM: usize = 68;
const EPSILON: usize = 72;
const BIAS: usize = 80;
const ACTIVATION: usize = 84;
const GATE: usize = 88;
const UNGATED: usize = 92;
const RESIDUAL: usize = 96;
// Of an attention.
const HEADS: usize = 24;
const KEY_HEADS: usize = 28;
const DIM: usize = 32;
const LENGTH: usize = 36;
const KEYS: usize = 40;
const VALUES: usize = 44;
const CAPACITY: usize = 48;
const COS: usize = 52;
const SIN: usize = 56;

/** x in blocks of so many columns where wider ones are too coarse. */
const FINE_BLOCK: i32 = 32;

// A thread's own memory: how x was prepared, and what of it.
const OWN_WAY: usize = 0;
const OWN_BLOCK: usize = 4;
const OWN: usize = 16;

// @ts-ignore: decorator
@inline
function at(step: usize, field: usize): i32 {
  return load<i32>(step + field);
}

// @ts-ignore: decorator
@inline
function placeAt(step: usize, field: usize): usize {
  return load<u32>(step + field);
}

// @ts-ignore: decorator
@inline
function rounded(bytes: usize): usize {
  return (bytes + 15) & ~15;
}

/** Where a thread has: x normalised, x gathered or as bytes, its integers or floats, steps, sums, and what a product needs besides. */
// @ts-ignore: decorator
@inline
function rowsOfFloats(own: usize, k: usize, count: usize): usize {
  return own + 64 + count * ((((k << 2) + 63) & ~63) + 64);
}

// @ts-ignore: decorator
@inline
function runBytes(k: usize): usize {
  return (((k >> 4) + 4) * 4 + 63) & ~63;
}

/** x of a product as its kernel takes it, which every thread makes for itself. */
function prepare(step: usize, own: usize): void {
  const k = <usize>at(step, K), inDim = at(step, K), order = placeAt(step, ORDER), norm = placeAt(step, NORM), way = at(step, WAY);
  const normed = rowsOfFloats(own, k, 0), spare = rowsOfFloats(own, k, 1), a = rowsOfFloats(own, k, 2), steps = rowsOfFloats(own, k, 3), sums = steps + runBytes(k);
  let x = placeAt(step, X), block = at(step, BLOCK), bad = way == 0;
  if (norm != 0) {
    rmsNorm(x, norm, 1, inDim, load<f64>(step + EPSILON), normed);
    x = normed;
  }
  if (way == 4) bad = prepareFloats(x, order, inDim, at(step, LANES), load<f32>(step + FACTOR), a) != 0;
  else if (!bad) {
    bad = prepareRow(x, order, inDim, block, at(step, LANES), a, steps, sums, spare) != 0;
    // An x of outliers needs narrower blocks, each with a step of its own.
    if (bad && block > FINE_BLOCK) {
      block = FINE_BLOCK;
      bad = prepareRow(x, order, inDim, block, at(step, LANES), a, steps, sums, spare) != 0;
    }
    if (!bad && way == 3) prepareBytes(a, inDim, at(step, DOT_LANES), at(step, HOW) & 1, spare);
  }
  // What no kernel of integers holds (infinities, NaN, beyond 1e20) is multiplied as it is.
  if (bad) packFloats(x, order, inDim, 1, 1, a);
  store<i32>(own + OWN_WAY, bad ? 0 : way);
  store<i32>(own + OWN_BLOCK, block);
}

/** Rows begin..end of W, whose first is row `begin` of the whole, times what `prepare` left. */
function multiply(step: usize, own: usize, begin: i32, end: i32, y: usize): void {
  const k = <usize>at(step, K), block = at(own, OWN_BLOCK), w = placeAt(step, WORDS), d = placeAt(step, DESCRIPTOR);
  const spare = rowsOfFloats(own, k, 1), a = rowsOfFloats(own, k, 2), steps = rowsOfFloats(own, k, 3), sums = steps + runBytes(k), work = sums + runBytes(k);
  const first = at(step, BEGIN) + begin, past = at(step, BEGIN) + end;
  switch (at(own, OWN_WAY)) {
    case 1: gemv(w, d, a, steps, sums, block, <i32>k / block, first, past, y, work); break;
    case 2: gemvBytes(w, d, a, steps, sums, block, <i32>k / block, first, past, y, work); break;
    case 3: gemvDots(w, d, spare, steps, sums, block, <i32>k / block, first, past, y, work, at(step, DOT_LANES), at(step, HOW)); break;
    case 4: gemvFloats(w, d, a, block, <i32>k / block, first, past, y, work); break;
    default: gemmFloats(w, d, a, 1, first, past, y, end - begin, work);
  }
}

// @ts-ignore: decorator
@inline
function place(base: usize, row: i32): usize {
  return base == 0 ? 0 : base + (<usize>row << 2);
}

/** Rows begin..end of a product and of what surrounds it. */
function product(step: usize, own: usize, begin: i32, end: i32): void {
  const width = at(step, WIDTH), gate = at(step, GATE), out = place(placeAt(step, OUT), begin), count = end - begin;
  const y = gate == 0 ? out : place(placeAt(step, UNGATED), begin), other = place(y, width);
  const bias = placeAt(step, BIAS), activation = at(step, ACTIVATION), finishes = (bias | activation) != 0;
  // The other half of a gated result, beside the first: all rows are one run.
  const all = gate != 0 && count == width;
  multiply(step, own, begin, all ? 2 * width : end, y);
  if (gate != 0 && !all) multiply(step, own, width + begin, width + end, other);
  if (finishes) finish(y, place(bias, begin), 1, count, activation);
  if (finishes && gate != 0) finish(other, place(bias, width + begin), 1, count, activation);
  if (gate != 0) gatedRow(y, other, count, gate, out);
  const residual = placeAt(step, RESIDUAL);
  if (residual != 0) addTo(out, place(residual, begin), count);
}

/** Heads begin..end of q. Who has heads of the same keys as another thread writes the new ones too: the same numbers. */
function attention(step: usize, own: usize, begin: i32, end: i32): void {
  const heads = at(step, HEADS), keyHeads = at(step, KEY_HEADS), dim = at(step, DIM), length = at(step, LENGTH), capacity = at(step, CAPACITY);
  const keys = placeAt(step, KEYS), values = placeAt(step, VALUES), q = own + OWN, scores = q + rounded(<usize>(heads * dim) << 2);
  appendTo(placeAt(step, X), begin, end, heads, keyHeads, dim, placeAt(step, COS), placeAt(step, SIN), length, keys, values, capacity, q, <usize>dim << 2);
  attend(q, begin, end, 1, heads, heads / keyHeads, dim, length, keys, values, capacity, scores, placeAt(step, OUT));
}

// @ts-ignore: decorator
@inline
function run(step: usize, own: usize, begin: i32, end: i32): void {
  if (at(step, IS_ATTENTION)) attention(step, own, begin, end);
  else product(step, own, begin, end);
}

// @ts-ignore: decorator
@inline
function rowsOf(step: usize): i32 {
  return at(step, IS_ATTENTION) ? at(step, HEADS) : at(step, WIDTH);
}

/** Loads in which nothing happens, some milliseconds, before a thread asks whether the others are still there. */
const PATIENCE: i32 = 1 << 20;
/** The same, less than a microsecond, before a thread looks whether another has parts left that it did not begin. */
const LOOK: i32 = 256;
/** Bytes from one word that threads share to the next: no line of a cache holds two. */
const APART: usize = 64;
const PART_BITS: i32 = 8;

/**
 * The next part of step s, from 0, out of a thread's `count` ones; -1: none is left. word: what was taken last, the step and how many of its parts. A thread's
 * own word stays in its own cache while nobody else looks.
 */
// @ts-ignore: decorator
@inline
function take(word: usize, s: i32, count: i32): i32 {
  while (true) {
    const seen = atomic.load<i32>(word), last = seen >> PART_BITS, taken = last == s ? seen & ((1 << PART_BITS) - 1) : 0;
    if (last > s || taken >= count) return -1;
    if (atomic.cmpxchg<i32>(word, seen, (s << PART_BITS) + taken + 1) == seen) return taken;
  }
}

/**
 * All `count` steps at `steps`. control 0: this thread alone, each step as one part. Else the address of words, 0 at first and in a line of a cache each, by
 * which `threads` threads that all make this call, each with its number, share parts: the step, -1 to leave; parts done; and of each thread what is taken
 * of its parts, equally many of a step. own: a thread's own memory.
 * Returns 0 when all is done, or where it was told to leave; else nothing has happened for long since some step, another number for each: the call may
 * be made again, and goes on.
 */
export function runChain(steps: usize, count: i32, control: usize, own: usize, thread: i32, threads: i32): i32 {
  if (control == 0) {
    for (const end = steps + <usize>count * STEP; steps < end; steps += STEP) {
      if (!at(steps, IS_ATTENTION)) prepare(steps, own);
      run(steps, own, 0, rowsOf(steps));
    }
    return 0;
  }
  const done = control + APART, words = done + APART;
  // Parts of all steps up to this one.
  let next = 0, through = 0, idle = 0;
  while (true) {
    const s = atomic.load<i32>(control);
    if (s < 0 || s >= count) return 0;
    const step = steps + <usize>s * STEP, parts = at(step, PARTS), each = (parts + threads - 1) / threads;
    let part = -1, owner = thread;
    if (s >= next) {
      for (; next <= s; next++) through += at(steps + <usize>next * STEP, PARTS);
      if (!at(step, IS_ATTENTION)) prepare(step, own);
      idle = 0;
    }
    if (idle == 0) part = take(words + <usize>thread * APART, s, min(each, parts - thread * each));
    if (part < 0) {
      if (++idle > PATIENCE) return s + 1;
      if (idle % LOOK != 0) continue;
      for (let t = 0; t < threads && part < 0; t++) {
        owner = t;
        part = take(words + <usize>t * APART, s, min(each, parts - t * each));
      }
      if (part < 0) continue;
    }
    const begin = (owner * each + part) * at(step, PART_ROWS);
    run(step, own, begin, min(rowsOf(step), begin + at(step, PART_ROWS)));
    // Whoever does the last part of a step lets all go on.
    if (atomic.add<i32>(done, 1) + 1 == through) atomic.store<i32>(control, s + 1);
  }
}
