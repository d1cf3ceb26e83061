// Codes of one row as bytes, four columns apart: of each 64 columns 0 4 8 .., then 1 5 9 .., 2 6 10 .., 3 7 11 ... Lane l of 32 bits of a dot of
// such bytes is then the sum over columns 16 l to 16 l + 15, and no plane needs its codes shuffled into order.
import {rowAt} from './codes';
import {BITS0, BITS1, BITS2, DECODE, IN_DIM, LOW_NIBBLES, PLANES, START1, START2, TABLE, TABLE_LOWEST, field} from './layout';

// @ts-ignore: decorator
@inline
function put(join: bool, out: usize, v: v128): void {
  v128.store(out, join ? v128.or(v128.load(out), v) : v);
}

function plane4(p: usize, inDim: i32, out: usize, nibbles: v128): void {
  const byte = i16x8.splat(255);
  for (const end = out + <usize>inDim; out < end; out += 64, p += 32) {
    const a = v128.load(p), b = v128.load(p, 16);
    const even = i8x16.narrow_i16x8_u(v128.and(a, byte), v128.and(b, byte)), odd = i8x16.narrow_i16x8_u(i16x8.shr_u(a, 8), i16x8.shr_u(b, 8));
    v128.store(out, v128.and(even, nibbles));
    v128.store(out, v128.and(i16x8.shr_u(even, 4), nibbles), 16);
    v128.store(out, v128.and(odd, nibbles), 32);
    v128.store(out, v128.and(i16x8.shr_u(odd, 4), nibbles), 48);
  }
}

/** Fields move to bits shift and shift + 1; what 16-bit shifts carry between bytes the mask takes away. */
// @ts-ignore: decorator
@inline
function plane2(join: bool, p: usize, inDim: i32, out: usize, shift: i32): void {
  const mask = i8x16.splat(<i8>(<i32>3 << shift));
  for (const end = out + <usize>inDim; out < end; out += 64, p += 16) {
    const v = v128.load(p);
    put(join, out, v128.and(i16x8.shl(v, shift), mask));
    put(join, out + 16, v128.and(shift >= 2 ? i16x8.shl(v, shift - 2) : i16x8.shr_u(v, 2 - shift), mask));
    put(join, out + 32, v128.and(shift >= 4 ? i16x8.shl(v, shift - 4) : i16x8.shr_u(v, 4 - shift), mask));
    put(join, out + 48, v128.and(shift >= 6 ? i16x8.shl(v, shift - 6) : i16x8.shr_u(v, 6 - shift), mask));
  }
}

/** Bit 4 i + j of 64 in byte i: each byte twice, of the first its low half, of the second its high half moved down. */
// @ts-ignore: decorator
@inline
function plane1(join: bool, p: usize, inDim: i32, out: usize, shift: i32): void {
  const mask = i8x16.splat(<i8>(<i32>1 << shift)), first = i16x8.splat(15), second = i16x8.splat(0x0f00);
  for (const end = out + <usize>inDim; out < end; out += 64, p += 8) {
    const v = i16x8.extend_low_i8x16_u(v128.load64_zero(p));
    const b = v128.or(v128.and(v, first), v128.and(i16x8.shl(v, 4), second));
    put(join, out, v128.and(i16x8.shl(b, shift), mask));
    put(join, out + 16, v128.and(shift >= 1 ? i16x8.shl(b, shift - 1) : i16x8.shr_u(b, 1 - shift), mask));
    put(join, out + 32, v128.and(shift >= 2 ? i16x8.shl(b, shift - 2) : i16x8.shr_u(b, 2 - shift), mask));
    put(join, out + 48, v128.and(shift >= 3 ? i16x8.shl(b, shift - 3) : i16x8.shr_u(b, 3 - shift), mask));
  }
}

/** Row n's codes of at most 7 bits, or its table's numbers less the lowest, into out[K]; K a multiple of 64. */
export function rowFours(w: usize, d: usize, n: i32, out: usize): void {
  const p = rowAt(w, d, n), inDim = field(d, IN_DIM), bits = field(d, BITS0), planes = field(d, PLANES);
  if (bits == 4) plane4(p, inDim, out, v128.load(d + LOW_NIBBLES));
  else if (bits == 2) plane2(false, p, inDim, out, 0);
  else plane1(false, p, inDim, out, 0);
  if (planes > 1) {
    const at = p + (<usize>field(d, START1) << 2);
    if (field(d, BITS1) == 2) plane2(true, at, inDim, out, 4);
    else if (bits == 4) plane1(true, at, inDim, out, 4);
    else plane1(true, at, inDim, out, 2);
  }
  if (planes > 2) plane1(true, p + (<usize>field(d, START2) << 2), inDim, out, 6);
  if (field(d, DECODE) == 6) {
    const table = i8x16.sub(v128.load(<usize>field(d, TABLE)), i8x16.splat(<i8>field(d, TABLE_LOWEST)));
    for (const end = out + <usize>inDim; out < end; out += 16) v128.store(out, i8x16.swizzle(table, v128.load(out)));
  }
}
