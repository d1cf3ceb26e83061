/** QuantizedMatMul on wasm. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import {env} from '@tensorflow/tfjs';
import type {Activation} from '../activation.js';
import type {QuantizedMatMulAttrs} from '../attributes.js';
import {sectionsOf, type WeightLayout} from '../layout.js';
import {chooseWasm, type Products, WASM_VARIANTS, type WasmChoice, type WasmVariant} from './choose.js';
import {descriptorOf, exponentShiftOfX} from './descriptor.js';
import {heapOf, type WasmBackend, type WasmHeap} from './module.js';
import {floatBytes, workBytes} from './parallel.js';

/** Rows of x prepared at a time: bounds scratch to about 1 MiB a thousand columns. */
const SLAB = 128;

/** Columns of x with a step of their own where wider blocks are too coarse, see assembly/prepare.ts. */
const FINE_BLOCK = 32;

/** Set to one of WASM_VARIANTS to use it wherever it can be used; tests run every one. */
export const WASM_VARIANT_FLAG = 'TFJS_LINEAR_WASM_VARIANT';

export const ACTIVATION_KINDS: Readonly<Record<Activation, number>> = {silu: 1, gelu: 2, gelu_tanh: 3, relu: 4, tanh: 5, sigmoid: 6};

/** One product on the heap: addresses and sizes of this call. */
interface Job {
  readonly heap: WasmHeap;
  readonly layout: WeightLayout;
  readonly words: number;
  readonly x: number;
  readonly order: number;
  readonly y: number;
  readonly rows: number;
  readonly begin: number;
  readonly end: number;
}

export function forcedVariant(): WasmVariant | null {
  const flag = env().get(WASM_VARIANT_FLAG) as unknown as string;
  return WASM_VARIANTS.find((v) => v === flag) ?? null;
}

/** x that is 8-bit codes already: int32 [M, K]. `columns` of a row share a scale; `perRow` scales are each row's own, 0: one serves all. */
export interface Codes {
  readonly codes: TensorInfo;
  readonly scales: TensorInfo;
  readonly columns: number;
  readonly perRow: number;
}

export const quantizedMatMul: KernelFunc = ({inputs, backend, attrs}) => {
  return multiply(inputs.x as TensorInfo, null, {inputs, backend, attrs});
};

/** act(x . W^T + bias), or with codes in place of x. */
export function multiply(x: TensorInfo, codes: Codes | null, {inputs, backend, attrs}: Parameters<KernelFunc>[0]): TensorInfo {
  const product = attrs as unknown as QuantizedMatMulAttrs;
  const heap = heapOf(backend);
  const rows = x.shape[0] as number;
  const out = (backend as unknown as WasmBackend).makeOutput([rows, product.rowEnd - product.rowStart], 'float32');
  multiplyAt({heap, x: heap.address(x), y: heap.address(out), rows}, codes, inputs, product);
  return out as unknown as TensorInfo;
}

/** As `multiply`, of rows of x at an address to y at another. */
export function multiplyAt(
  {heap, x, y, rows}: Pick<Job, 'heap' | 'x' | 'y' | 'rows'>,
  codes: Codes | null,
  inputs: Parameters<KernelFunc>[0]['inputs'],
  {layout, rowStart, rowEnd, activation, inputPrecision}: QuantizedMatMulAttrs,
): void {
  const words = heap.address(inputs.words as TensorInfo);
  const order = layout.ordered ? words + 4 * sectionsOf(layout).order.start : 0;
  const job: Job = {heap, layout, words, x, order, y, rows, begin: rowStart, end: rowEnd};
  const choice = chooseWasm(layout, rows, inputPrecision, forcedVariant(), heap.dots, codes?.columns ?? 0);
  // What a variant cannot hold (infinities, NaN, beyond 1e20) is multiplied as it is.
  if (!tried(job, choice, codes)) floats(job);
  const bias = inputs.bias === undefined ? 0 : heap.address(inputs.bias as TensorInfo);
  if (bias !== 0 || activation !== null) {
    heap.exports.finish(y, bias, rows, rowEnd - rowStart, activation === null ? 0 : ACTIVATION_KINDS[activation]);
  }
}

/** false: no variant but float32 holds this x. */
function tried(job: Job, choice: WasmChoice, codes: Codes | null): boolean {
  if (choice.variant === 'float32') return false;
  if (choice.variant === 'gemv_float32') return oneByOne(job, choice.block);
  // An x of outliers needs narrower blocks, each with a step of its own.
  return integers(job, choice, codes) || (choice.block > FINE_BLOCK && integers(job, {...choice, block: FINE_BLOCK}, codes));
}

/** false: x holds what 16-bit integers cannot, or not in blocks of this size. */
function integers(job: Job, choice: WasmChoice, codes: Codes | null): boolean {
  return choice.variant.startsWith('gemm') ? inPacks(job, choice, codes) : rowByRow(job, choice, codes);
}

/** Row m of x as integers in blocks at `to`, with a step and a sum for each. false: as above. */
function prepared(
  job: Job,
  codes: Codes | null,
  m: number,
  block: number,
  inLanes: number,
  to: number,
  steps: number,
  sums: number,
  spare: number,
) {
  const {heap, order, layout} = job;
  const k = layout.inDim;
  const row = job.x + m * k * 4;
  if (codes === null) return heap.exports.prepareRow(row, order, k, block, inLanes, to, steps, sums, spare) === 0;
  const scales = heap.address(codes.scales) + 4 * m * codes.perRow;
  heap.exports.prepareCodes(row, scales, codes.columns, order, k, block, inLanes, to, steps, sums);
  return true;
}

/** Rows of x side by side, by kind of product (assembly/panels.ts). */
const TOGETHER = [4, 6, 3, 4] as const;

/** Where two packs of two thirds of bytes hold all rows, they take less time than a whole one and another. */
function rowsTogether(kind: Products, rows: number): number {
  const most = TOGETHER[kind];
  const less = (2 * most) / 3;
  return (kind === 1 || kind === 2) && rows > most && rows <= 2 * less ? less : most;
}

/** Several rows of x, which share each panel of W. */
function inPacks(job: Job, {block, kind}: WasmChoice, codes: Codes | null): boolean {
  const {heap, layout, rows} = job;
  const {exports} = heap;
  const k = layout.inDim;
  const blocks = k / block;
  const together = rowsTogether(kind, rows);
  const packs = Math.ceil(Math.min(rows, SLAB) / together);
  const packBytes = (kind === 0 || kind === 2 ? 2 : 1) * TOGETHER[kind] * k;
  const levelBytes = 4 * together * blocks;
  const fields = descriptorOf(heap, layout);
  const fieldBytes = fields.length * 4 + 16;
  const base = heap.scratch(
    fieldBytes + packs * (packBytes + 2 * levelBytes) + 16 + workBytes(k) + 2 * together * k + 2 * levelBytes + 4 * k,
  );
  const a = base + fieldBytes;
  const steps = a + packs * packBytes;
  const sums = steps + packs * levelBytes;
  const work = (sums + packs * levelBytes + 15) & -16;
  // A pack's rows before they are packed, and a gathered row as float32.
  const plain = work + workBytes(k);
  const plainSteps = plain + 2 * together * k;
  const plainSums = plainSteps + levelBytes;
  const spare = plainSums + levelBytes;
  heap.write(base, fields);
  const n = job.end - job.begin;
  for (let first = 0; first < rows; first += SLAB) {
    const count = Math.min(SLAB, rows - first);
    for (let m = 0, p = 0; m < count; m += together, p++) {
      const here = Math.min(together, count - m);
      for (let r = 0; r < here; r++) {
        const at = 4 * r * blocks;
        if (!prepared(job, codes, first + m + r, block, 0, plain + 2 * r * k, plainSteps + at, plainSums + at, spare)) return false;
      }
      const [to, toSteps, toSums] = [a + p * packBytes, steps + p * levelBytes, sums + p * levelBytes];
      exports.packRows(plain, plainSteps, plainSums, k, blocks, here, kind, together, to, toSteps, toSums);
    }
    const y = job.y + first * n * 4;
    exports.gemm(job.words, base, a, steps, sums, count, block, blocks, job.begin, job.end, y, n, work, kind, together);
  }
  return true;
}

/** One row of x; more are taken one by one. */
function rowByRow(job: Job, {variant, block, lanes}: WasmChoice, codes: Codes | null): boolean {
  const {heap, layout, rows} = job;
  const {exports} = heap;
  const k = layout.inDim;
  const blocks = k / block;
  const fields = descriptorOf(heap, layout);
  const fieldBytes = fields.length * 4 + 16;
  const levelBytes = 4 * (blocks + 4);
  const base = heap.scratch(fieldBytes + 2 * k + 2 * levelBytes + workBytes(k) + 4 * k);
  const a = base + fieldBytes;
  const steps = a + 2 * k;
  const sums = steps + levelBytes;
  const work = sums + levelBytes;
  // A gathered row as float32, or bytes.
  const spare = work + workBytes(k);
  heap.write(base, fields);
  const two = codes === null ? 1 : 0;
  // Codes in 16 bits: the order in which x meets them.
  const inLanes = variant === 'gemv_int16' ? 16 / (layout.planes[0] as number) : 0;
  const how = two | (heap.dots === 0 ? 2 : 0);
  const n = job.end - job.begin;
  for (let m = 0; m < rows; m++) {
    if (!prepared(job, codes, m, block, inLanes, a, steps, sums, spare)) return false;
    const y = job.y + m * n * 4;
    if (variant === 'gemv_dots_int16') {
      exports.prepareBytes(a, k, lanes, two, spare);
      exports.gemvDots(job.words, base, spare, steps, sums, block, blocks, job.begin, job.end, y, work, lanes, how);
    } else {
      const gemv = variant === 'gemv_int16' ? exports.gemv : exports.gemvBytes;
      gemv(job.words, base, a, steps, sums, block, blocks, job.begin, job.end, y, work);
    }
  }
  return true;
}

/** Rows of x one at a time, float codes decoded in registers. false: x holds what the decoding cannot. */
function oneByOne(job: Job, block: number): boolean {
  const {heap, layout, rows} = job;
  const k = layout.inDim;
  const fields = descriptorOf(heap, layout);
  const base = heap.scratch(fields.length * 4 + 16 + k * 4 + workBytes(k));
  const prepared = base + fields.length * 4 + 16;
  heap.write(base, fields);
  // Order in which the decoding yields columns.
  const lanes = 32 / (layout.planes[0] as number);
  const factor = 2 ** exponentShiftOfX(layout.decode);
  const n = job.end - job.begin;
  for (let m = 0; m < rows; m++) {
    if (heap.exports.prepareFloats(job.x + m * k * 4, job.order, k, lanes, factor, prepared)) return false;
    heap.exports.gemvFloats(job.words, base, prepared, block, k / block, job.begin, job.end, job.y + m * n * 4, prepared + k * 4);
  }
  return true;
}

/** Rows of x side by side in assembly/gemm_floats.ts. */
const FLOATS_TOGETHER = 6;

function floats(job: Job): void {
  const {heap, layout, rows} = job;
  const k = layout.inDim;
  const fields = descriptorOf(heap, layout);
  const fieldBytes = fields.length * 4 + 16;
  const packBytes = 4 * FLOATS_TOGETHER * k;
  const base = heap.scratch(fieldBytes + floatBytes(k) + Math.ceil(Math.min(rows, SLAB) / FLOATS_TOGETHER) * packBytes);
  const work = base + fieldBytes;
  const packed = work + floatBytes(k);
  heap.write(base, fields);
  const n = job.end - job.begin;
  for (let first = 0; first < rows; first += SLAB) {
    const count = Math.min(SLAB, rows - first);
    const x = job.x + first * k * 4;
    const asItIs = count === 1 && job.order === 0;
    for (let m = 0; m < count && !asItIs; m += FLOATS_TOGETHER) {
      const to = packed + m * 4 * k;
      heap.exports.packFloats(x + m * k * 4, job.order, k, Math.min(FLOATS_TOGETHER, count - m), count === 1 ? 1 : FLOATS_TOGETHER, to);
    }
    heap.exports.gemmFloats(job.words, base, asItIs ? x : packed, count, job.begin, job.end, job.y + first * n * 4, n, work);
  }
}
