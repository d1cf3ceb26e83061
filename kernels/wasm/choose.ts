/** Which of the wasm kernels multiplies: a pure function of the problem. */
import type {InputPrecision} from '../attributes.js';
import {codeBits, type Grid, type WeightLayout} from '../layout.js';
import {integerTable} from './descriptor.js';

export type WasmVariant = 'gemv_int16' | 'gemv_bytes_int16' | 'gemm_int16' | 'gemv_float32' | 'float32';

export interface WasmChoice {
  readonly variant: WasmVariant;
  /** Columns of x that share a step (int16) or a sum (gemv_float32); 0 for float32. */
  readonly block: number;
  readonly reason: string;
}

export const WASM_VARIANTS: readonly WasmVariant[] = ['gemv_int16', 'gemv_bytes_int16', 'gemm_int16', 'gemv_float32', 'float32'];

/** Sums of one block of products stay below 2^31: 255 * 32767 * 128 does. */
const BLOCKS = [128, 64, 32, 16] as const;

/**
 * @param rows M
 * @param forced a variant to use where it can, instead of the fastest
 */
export function chooseWasm(layout: WeightLayout, rows: number, precision: InputPrecision, forced: WasmVariant | null): WasmChoice {
  const block = commonBlock(layout);
  const exact = (reason: string): WasmChoice => {
    const direct = block !== null && decodesInRegisters(layout) && forced !== 'float32' && (rows === 1 || forced === 'gemv_float32');
    return direct
      ? {variant: 'gemv_float32', block, reason: `${reason}; float codes of one row are decoded in registers`}
      : {variant: 'float32', block: 0, reason};
  };
  if (precision === 'float32') return exact('float32 activations were asked for');
  if (forced === 'float32' || forced === 'gemv_float32') return exact('forced');
  if (block === null || !fitsIntegers(layout)) return exact('codes or groups do not fit 16-bit integer products');
  const fused = fusedWidth(layout) && block % 32 === 0;
  if (forced === 'gemm_int16') return {variant: 'gemm_int16', block, reason: 'forced'};
  if (rows > 1 && (forced === null || (forced === 'gemv_int16' && !fused))) {
    return {variant: 'gemm_int16', block, reason: 'several rows share the widened weight'};
  }
  const reason = forced ?? 'one row';
  if (fused && forced !== 'gemv_bytes_int16') return {variant: 'gemv_int16', block, reason: `${reason}: codes are widened in registers`};
  return {variant: 'gemv_bytes_int16', block, reason: `${reason}: codes go through bytes`};
}

function fusedWidth(layout: WeightLayout): boolean {
  return layout.decode.kind === 'integer' && layout.planes.length === 1 && (layout.planes[0] === 4 || layout.planes[0] === 8);
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
  let block = blockCache.get(layout);
  if (block === undefined) {
    const grids = [...layout.scales, ...layout.offsets].map((l) => l.grid);
    if (layout.zero.kind === 'codes') grids.push(layout.zero.grid);
    block = BLOCKS.find((b) => layout.inDim % b === 0 && grids.every((g) => fits(g, b))) ?? null;
    blockCache.set(layout, block);
  }
  return block;
}

function fits(g: Grid, block: number): boolean {
  return g.shape[1] <= 1 || (!g.indexed && g.columns % block === 0 && g.columnPhase % block === 0);
}
