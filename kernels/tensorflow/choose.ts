/** Which of the tensorflow kernels answers: pure functions of the problem. */
import {type InputPrecision, mayRoundX} from '../attributes.js';
import {codeBits, commonRun, type WeightLayout} from '../layout.js';
import {remember} from '../memo.js';
import {integerTable} from '../wasm/descriptor.js';

/** In the order of `Variant` in native/layout.h. */
export const NATIVE_VARIANTS = ['rows_int16', 'rows_bytes_int16', 'panels_int16', 'rows_float32', 'panels_float32'] as const;
export type NativeVariant = (typeof NATIVE_VARIANTS)[number];

export interface NativeChoice {
  readonly variant: NativeVariant;
  /** Columns over which scale, offset and zero of a row do not change: 1 to 128. */
  readonly block: number;
  readonly reason: string;
}

/**
 * Rows of x from which W is expanded into panels: about where the two cross at K = N = 4096. Measured on one core of an EPYC with AVX-512 VNNI,
 * 2026-11: 4-bit codes at 12 (7 with AVX2), 6-bit at 14 (9), bfloat16 at 3 (4), 8-bit floats at 6 (5).
 */
const PANEL_ROWS = {integers: 12, floats: 4};

/** Sums of one block of products stay below 2^31: 255 * 32767 * 128 does. */
const BLOCKS = [128, 64, 32, 16, 8] as const;

/**
 * @param rows M
 * @param forced 'rows' or 'panels' instead of the faster
 */
export function chooseNative(
  layout: WeightLayout,
  rows: number,
  precision: InputPrecision,
  forced: 'rows' | 'panels' | null,
): NativeChoice {
  const block = commonBlock(layout);
  const panelsFrom = (crossing: number) => (forced === null ? rows >= crossing : forced === 'panels');
  const because = (panels: boolean) => (forced !== null ? 'forced' : panels ? 'many rows share the expanded weight' : 'few rows');
  const exact = (reason: string): NativeChoice => {
    const panels = panelsFrom(PANEL_ROWS.floats);
    return {variant: panels ? 'panels_float32' : 'rows_float32', block, reason: `${reason}; ${because(panels)}`};
  };
  if (precision === 'float32') return exact('float32 activations were asked for');
  if (block < 8 || !fitsIntegers(layout)) return exact('codes or groups do not fit 16-bit integer products');
  if (forced === null && !mayRoundX(layout)) return exact('a small layer');
  const panels = panelsFrom(PANEL_ROWS.integers);
  if (panels) return {variant: 'panels_int16', block, reason: because(panels)};
  if (comesOutOfRegisters(layout, block))
    return {variant: 'rows_int16', block, reason: `${because(panels)}: codes are widened in registers`};
  return {variant: 'rows_bytes_int16', block, reason: `${because(panels)}: codes go through bytes`};
}

function fitsIntegers(layout: WeightLayout): boolean {
  return layout.decode.kind === 'integer' ? codeBits(layout) <= 8 : integerTable(layout.decode) !== null;
}

/** A 32-bit lane of sums covers 32 / bits columns of one plane, which must have one scale. */
function comesOutOfRegisters(layout: WeightLayout, block: number): boolean {
  return layout.planes.every((bits) => bits <= 8 && block % (32 / bits) === 0);
}

const blockCache = new WeakMap<WeightLayout, number>();

/** The widest block that divides every group; 1 where none does. The last block of a row may be short. */
export function commonBlock(layout: WeightLayout): number {
  return remember(blockCache, layout, () => {
    const run = commonRun(layout);
    return BLOCKS.find((b) => run % b === 0) ?? 1;
  });
}
