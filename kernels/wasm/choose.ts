/** Which of the wasm kernels multiplies: a pure function of the problem. */
import {type InputPrecision, mayRoundX} from '../attributes.js';
import {codeBits, commonRun, type WeightLayout} from '../layout.js';
import {remember} from '../memo.js';
import {integerTable} from './descriptor.js';

export type WasmVariant =
  | 'gemv_dots_int16'
  | 'gemv_int16'
  | 'gemv_bytes_int16'
  | 'gemm_dots_int16'
  | 'gemm_int16'
  | 'gemv_float32'
  | 'float32';

/** How the engine multiplies bytes (dotKind of assembly/gemv_dots.ts): 1 in one instruction, 2 in Arm's, 0 in several, -1 not at all. */
export type DotKind = -1 | 0 | 1 | 2;

/** What products of several rows multiply (assembly/panels.ts): 0 pairs, 1 bytes, 2 bytes of both halves of x, 3 bytes with sums in 16 bits. */
export type Products = 0 | 1 | 2 | 3;

export interface WasmChoice {
  readonly variant: WasmVariant;
  /** Columns of x that share a step (int16) or a sum (gemv_float32); 0 for float32. */
  readonly block: number;
  /** gemv_dots: of the order in which codes come out, see prepareBytes of assembly/gemv_dots.ts; else 0. */
  readonly lanes: 0 | 2 | 4;
  /** gemm: what is multiplied; else 0. */
  readonly kind: Products;
  readonly reason: string;
}

export const WASM_VARIANTS: readonly WasmVariant[] = [
  'gemv_dots_int16',
  'gemv_int16',
  'gemv_bytes_int16',
  'gemm_dots_int16',
  'gemm_int16',
  'gemv_float32',
  'float32',
];

/** Sums of one block of products stay below 2^31: 255 * 32767 * 128 does. */
const BLOCKS = [128, 64, 32, 16] as const;

/** The same of 8-bit floats, whose sums are floats and whose kernel takes 32 columns at a time. */
const BLOCKS_OF_FLOAT8 = [256, 128, 64, 32] as const;

/** Rows of x up to which it takes less time to decode float codes of so many bits anew for each. Measured from 2 to 8, November 2026. */
const FEW_FLOAT_ROWS: Readonly<Record<number, number>> = {8: 6, 16: 3, 32: 2};

/** Codes whose products with bytes of x, 16 in each lane's sum at most for twice these, eight for these, stay below 2^15: 8 * 128 * 31 does. */
const SHORT_CODES = 31;

/**
 * @param rows M
 * @param forced a variant to use where it can, instead of the fastest
 * @param dots what this engine's is
 * @param columns x is integers of 8 bits, with a scale for each so many; 0: it is rounded to 16 bits
 */
export function chooseWasm(
  layout: WeightLayout,
  rows: number,
  precision: InputPrecision,
  forced: WasmVariant | null,
  dots: DotKind = -1,
  columns = 0,
): WasmChoice {
  const block = sharedBlock(layout, columns);
  const exact = (reason: string): WasmChoice => {
    const few = FEW_FLOAT_ROWS[layout.planes[0] as number] ?? 0;
    const direct = block !== null && decodesInRegisters(layout) && forced !== 'float32' && (rows <= few || forced === 'gemv_float32');
    return direct
      ? {variant: 'gemv_float32', block, lanes: 0, kind: 0, reason: `${reason}; float codes are decoded in registers`}
      : {variant: 'float32', block: 0, lanes: 0, kind: 0, reason};
  };
  if (precision === 'float32') return exact('float32 activations were asked for');
  if (forced === 'float32' || forced === 'gemv_float32') return exact('forced');
  if (block === null || !fitsIntegers(layout)) return exact('codes or groups do not fit 16-bit integer products');
  if (forced === null && columns === 0 && !mayRoundX(layout)) return exact('a small layer');
  const fused = fusedWidth(layout) && block % 32 === 0;
  const integers = (variant: WasmVariant, reason: string): WasmChoice => ({variant, block, lanes: 0, kind: 0, reason});
  if (forced === 'gemm_int16') return integers('gemm_int16', 'forced');
  const fast = dots > 0 || (dots === 0 && columns > 0);
  const lanes = dots === -1 ? 0 : dotLanes(layout, block);
  // Several instructions a product still cost less than codes that go through 16 bits, where they do not come out of their plane in order.
  if (lanes !== 0 && (forced === 'gemv_dots_int16' || (forced === null && rows === 1 && (fast || !fused)))) {
    return {variant: 'gemv_dots_int16', block, lanes, kind: 0, reason: `${forced ?? 'one row'}: bytes of x times codes in fours`};
  }
  const highest = dots === -1 ? null : highestCode(layout);
  const short = dots === 0 && columns > 0 && rows > 2 && highest !== null && highest <= SHORT_CODES;
  // Both bytes of a 16-bit x take less time than pairs of 16 bits: 22 ms to 27 for 64 rows, 4096 x 4096 (Xeon with VNNI, November 2026), 1.7 to 2.2 for two.
  const dotsForMany = short || dots > 0;
  if (highest !== null && (forced === 'gemm_dots_int16' || (forced === null && rows > 1 && dotsForMany))) {
    const kind = short ? 3 : columns > 0 ? 1 : 2;
    const most = short ? Math.min(block, highest <= SHORT_CODES / 2 ? 32 : 16) : block;
    return {
      variant: 'gemm_dots_int16',
      block: most,
      lanes: 0,
      kind,
      reason: `${forced ?? 'several rows'}: bytes of x times codes in fours`,
    };
  }
  if (rows > 1 && (forced === null || forced.endsWith('dots_int16') || (forced === 'gemv_int16' && !fused))) {
    return integers('gemm_int16', 'several rows share the widened weight');
  }
  const reason = forced ?? 'one row';
  if (fused && forced !== 'gemv_bytes_int16') return integers('gemv_int16', `${reason}: codes are widened in registers`);
  return integers('gemv_bytes_int16', `${reason}: codes go through bytes`);
}

/** The highest code, or what the numbers of a table span; null where that has more than 7 bits. */
function highestCode(layout: WeightLayout): number | null {
  const {decode} = layout;
  const table = decode.kind === 'integer' ? null : integerTable(decode)?.table;
  if (table === undefined) return null;
  const highest = table === null ? 2 ** codeBits(layout) - 1 : Math.max(...table) - Math.min(...table);
  return highest <= 127 ? highest : null;
}

/** 0: codes of more than 7 bits, tables that span more, or rows that are no whole number of runs. */
function dotLanes(layout: WeightLayout, block: number): 0 | 2 | 4 {
  const {planes, inDim} = layout;
  if (highestCode(layout) === null) return 0;
  if (planes.length === 1 && planes[0] === 4 && block % 32 === 0) return 2;
  return inDim % 64 === 0 ? 4 : 0;
}

/** One plane of 4 or 8 bits; tables have 4. */
function fusedWidth({planes}: WeightLayout): boolean {
  return planes.length === 1 && (planes[0] === 4 || planes[0] === 8);
}

function fitsIntegers(layout: WeightLayout): boolean {
  return layout.decode.kind === 'integer' ? codeBits(layout) <= 8 : integerTable(layout.decode) !== null;
}

const REGISTER_TYPES: readonly string[] = ['float32', 'float16', 'bfloat16', 'float8_e4m3fn', 'float8_e4m3fnuz'];

function decodesInRegisters(layout: WeightLayout): boolean {
  return layout.decode.kind === 'float' && REGISTER_TYPES.includes(layout.decode.type) && layout.offsets.length === 0;
}

const blockCache = new WeakMap<WeightLayout, number | null>();

/** The widest block that divides K and every group, or null. */
function commonBlock(layout: WeightLayout): number | null {
  return remember(blockCache, layout, () => {
    const run = commonRun(layout);
    const widths = layout.decode.kind === 'float' && layout.planes[0] === 8 ? BLOCKS_OF_FLOAT8 : BLOCKS;
    return widths.find((b) => layout.inDim % b === 0 && run % b === 0) ?? null;
  });
}

/** A block of columns that shares its scales, of W and of x. */
function sharedBlock(layout: WeightLayout, columns: number): number | null {
  const block = commonBlock(layout);
  return block === null || columns === 0 ? block : (BLOCKS.find((b) => b <= block && columns % b === 0) ?? block);
}
