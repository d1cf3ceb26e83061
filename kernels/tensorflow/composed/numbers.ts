/** Codes as float32 numbers by stock ops: fields out of words, and every decode. */
import {decodeTable} from '../../float_codes.js';
import {type Decode, type FloatType, sectionsOf, type WeightLayout} from '../../layout.js';
import {DTYPE, type Handle} from '../backend.js';
import {type Ops, sizeOf} from './ops.js';

/** Fields of `bits` bits of words [r, w] (float32 bits), low first, as int32 [r, w * 32 / bits]; not for 32. */
function fields(ops: Ops, words: Handle, bits: number): Handle {
  const [r, w] = words.shape as [number, number];
  const count = 32 / bits;
  if (bits === 8 || bits === 16) {
    return ops.bitcast(ops.reshape(words, [r * w]), bits === 8 ? DTYPE.uint8 : DTYPE.uint16);
  }
  const shifts = ops.cast(
    ops.floats(
      Array.from({length: count}, (_, i) => i * bits),
      [count],
    ),
    DTYPE.int32,
  );
  const shifted = ops.binary('RightShift', ops.bitcast(ops.reshape(words, [r, w, 1]), DTYPE.int32), shifts);
  return ops.binary('BitwiseAnd', shifted, ops.scalar(2 ** bits - 1, DTYPE.int32));
}

/** float32 [r, w * 32 / bits] of words [r, w]. */
function fieldNumbers(ops: Ops, words: Handle, bits: number): Handle {
  const [r, w] = words.shape as [number, number];
  return ops.reshape(ops.cast(fields(ops, words, bits), DTYPE.float32), [r, (w * 32) / bits]);
}

/** 32-bit codes as float64, where they are exact. */
function wideNumbers(ops: Ops, words: Handle): Handle {
  return ops.cast(ops.bitcast(words, DTYPE.uint32), DTYPE.float64);
}

/** Integer codes [r, columns] of one run of words a plane, as float32; float64 for 32 bits. */
export function integerNumbers(ops: Ops, planes: readonly number[], runs: readonly Handle[], columns: number): Handle {
  const cut = (h: Handle) => ops.slice(h, [0, 0], [h.shape[0] as number, columns]);
  if (planes[0] === 32) return cut(wideNumbers(ops, runs[0] as Handle));
  let sum = cut(fieldNumbers(ops, runs[0] as Handle, planes[0] as number));
  let low = planes[0] as number;
  for (let p = 1; p < planes.length; p++) {
    const plane = cut(fieldNumbers(ops, runs[p] as Handle, planes[p] as number));
    sum = ops.binary('AddV2', sum, ops.binary('Mul', plane, ops.scalar(2 ** low)));
    low += planes[p] as number;
  }
  return sum;
}

/** The codes [r, rowWords] of some rows as numbers [r, K], before zero and scale. */
export function rowNumbers(ops: Ops, layout: WeightLayout, rows: Handle): Handle {
  const {planes, decode, inDim} = layout;
  const r = rows.shape[0] as number;
  const {planeStarts, rowWords} = sectionsOf(layout);
  if (decode.kind === 'integer') {
    const runs = planeStarts.map((start, p) => ops.slice(rows, [0, start], [r, (planeStarts[p + 1] ?? rowWords) - start]));
    return integerNumbers(ops, planes, runs, inDim);
  }
  const decoded = decodeWords(ops, decode, rows, planes[0] as number);
  return ops.slice(decoded, [0, 0], [r, inDim]);
}

/** Numbers [r, w * 32 / bits] of words [r, w] whose codes are floats or entries of a table. */
function decodeWords(ops: Ops, decode: Decode, words: Handle, bits: number): Handle {
  const [r, w] = words.shape as [number, number];
  const shape = [r, (w * 32) / bits];
  if (decode.kind === 'table') return ops.reshape(lookUp(ops, fields(ops, words, bits), Float32Array.from(decode.table)), shape);
  if (decode.kind === 'integer' || decode.type === 'float32') return words;
  return ops.reshape(floatNumbers(ops, decode.type, ops.reshape(words, [r * w])), shape);
}

/** Numbers of small floats packed in words [n] (float32 bits). */
export function floatNumbers(ops: Ops, float: Exclude<FloatType, 'float32'>, words: Handle): Handle {
  if (float === 'float16') return ops.cast(ops.bitcast(words, DTYPE.float16), DTYPE.float32);
  if (float === 'bfloat16') return ops.cast(ops.bitcast(words, DTYPE.bfloat16), DTYPE.float32);
  if (float === 'float4_e2m1fn') return halves(ops, fourBitHalves(ops, words), 2 ** 14);
  if (float === 'float8_e5m2fnuz') return lookUp(ops, ops.bitcast(words, DTYPE.uint8), decodeTable(float));
  const wide = ops.cast(ops.bitcast(words, DTYPE.int8), DTYPE.int16);
  const up = ops.binary('LeftShift', wide, ops.scalar(8, DTYPE.int16));
  if (float === 'float8_e5m2') return halves(ops, up, 1);
  // One exponent bit fewer than a half: the arithmetic shift leaves the sign and a copy of it, which the mask takes away.
  const moved = ops.binary('BitwiseAnd', ops.binary('RightShift', up, ops.scalar(1, DTYPE.int16)), ops.scalar(~0x4000, DTYPE.int16));
  const fnuz = float === 'float8_e4m3fnuz';
  const magnitude = fnuz ? wide : ops.binary('BitwiseAnd', wide, ops.scalar(127, DTYPE.int16));
  const unreal = ops.binary('Equal', magnitude, ops.scalar(fnuz ? -128 : 127, DTYPE.int16));
  return ops.select(unreal, ops.scalar(Number.NaN), halves(ops, moved, fnuz ? 128 : 256));
}

/**
 * 16-bit patterns read as halves, times the difference of the exponent biases. Through half and not float32: the small types' subnormals are
 * normal float32 numbers only then, and TensorFlow's threads flush subnormal float32 to zero.
 */
function halves(ops: Ops, bits: Handle, factor: number): Handle {
  const numbers = ops.cast(ops.bitcast(bits, DTYPE.float16), DTYPE.float32);
  return factor === 1 ? numbers : ops.binary('Mul', numbers, ops.scalar(factor));
}

/** seem of each 4-bit code at the places of a half's sign, low exponent bits and high mantissa bit. */
function fourBitHalves(ops: Ops, words: Handle): Handle {
  const codes = ops.cast(fields(ops, ops.reshape(words, [1, sizeOf(words)]), 4), DTYPE.uint16);
  const constant = (value: number) => ops.scalar(value, DTYPE.uint16);
  const sign = ops.binary('LeftShift', ops.binary('BitwiseAnd', codes, constant(8)), constant(12));
  const rest = ops.binary('LeftShift', ops.binary('BitwiseAnd', codes, constant(7)), constant(9));
  return ops.binary('BitwiseOr', sign, rest);
}

/** table[code] of codes of any integer dtype. */
export function lookUp(ops: Ops, codes: Handle, table: Float32Array): Handle {
  return ops.gather(ops.floats(table), ops.cast(codes, DTYPE.int32), 0);
}
