/** QuantizedMatMul on wasm. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import {env} from '@tensorflow/tfjs';
import type {Activation} from '../activation.js';
import type {QuantizedMatMulAttrs} from '../attributes.js';
import {sectionsOf, type WeightLayout} from '../layout.js';
import {chooseWasm, WASM_VARIANTS, type WasmChoice, type WasmVariant} from './choose.js';
import {descriptorOf, exponentShiftOfX} from './descriptor.js';
import {heapOf, type WasmBackend, type WasmHeap} from './module.js';
import {workBytes} from './parallel.js';

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
function integers(job: Job, {variant, block, lanes}: WasmChoice, codes: Codes | null): boolean {
  const {heap, layout, rows, order} = job;
  const {exports} = heap;
  const k = layout.inDim;
  const blocks = k / block;
  const stride = blocks + 4;
  const slab = Math.min(rows, SLAB);
  const fields = descriptorOf(heap, layout);
  const fieldBytes = fields.length * 4 + 16;
  const xBytes = slab * k * 2;
  const levelBytes = slab * stride * 4;
  const two = codes === null ? 1 : 0;
  // A gathered row as float32, or the bytes of all rows that gemmDots takes.
  const spareBytes = Math.max(4 * k, variant === 'gemm_dots_int16' ? slab * k * (1 + two) : 0);
  const base = heap.scratch(fieldBytes + xBytes + 2 * levelBytes + workBytes(k) + spareBytes);
  const a = base + fieldBytes;
  const steps = a + xBytes;
  const sums = steps + levelBytes;
  const work = sums + levelBytes;
  const spare = work + workBytes(k);
  heap.write(base, fields);
  const paired = variant === 'gemv_int16' && layout.planes[0] === 4 ? 1 : 0;
  const n = job.end - job.begin;
  for (let first = 0; first < rows; first += slab) {
    const count = Math.min(slab, rows - first);
    for (let m = 0; m < count; m++) {
      const row = job.x + (first + m) * k * 4;
      const to = a + m * k * 2;
      const at = 4 * m * stride;
      if (codes !== null) {
        const scales = heap.address(codes.scales) + 4 * (first + m) * codes.perRow;
        exports.prepareCodes(row, scales, codes.columns, order, k, block, paired, to, steps + at, sums + at);
      } else if (exports.prepareRow(row, order, k, block, paired, to, steps + at, sums + at, spare)) return false;
    }
    const y = job.y + first * n * 4;
    if (variant === 'gemm_int16') {
      exports.gemm(job.words, base, a, steps, sums, stride, count, block, blocks, job.begin, job.end, y, n, work);
      continue;
    }
    if (variant === 'gemm_dots_int16') {
      for (let m = 0; m < count; m++) exports.prepareBytes(a + m * k * 2, k, lanes, two, spare + m * k * (1 + two));
      exports.gemmDots(job.words, base, spare, steps, sums, stride, count, block, blocks, job.begin, job.end, y, n, work, two);
      continue;
    }
    for (let m = 0; m < count; m++) {
      const [from, at, to] = [a + m * k * 2, 4 * m * stride, y + m * n * 4];
      if (variant === 'gemv_dots_int16') {
        exports.prepareBytes(from, k, lanes, two, spare);
        exports.gemvDots(job.words, base, spare, steps + at, sums + at, block, blocks, job.begin, job.end, to, work, lanes, two);
      } else {
        const gemv = variant === 'gemv_int16' ? exports.gemv : exports.gemvBytes;
        gemv(job.words, base, from, steps + at, sums + at, block, blocks, job.begin, job.end, to, work);
      }
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

function floats(job: Job): void {
  const {heap, layout, rows} = job;
  const k = layout.inDim;
  const fields = descriptorOf(heap, layout);
  const fieldBytes = fields.length * 4 + 16;
  const slab = Math.min(rows, SLAB);
  const base = heap.scratch(fieldBytes + workBytes(k) + (job.order === 0 ? 0 : slab * k * 4));
  const work = base + fieldBytes;
  const gathered = work + workBytes(k);
  heap.write(base, fields);
  const n = job.end - job.begin;
  for (let first = 0; first < rows; first += slab) {
    const count = Math.min(slab, rows - first);
    let x = job.x + first * k * 4;
    if (job.order !== 0) {
      for (let m = 0; m < count; m++) heap.exports.gatherRow(x + m * k * 4, job.order, k, gathered + m * k * 4);
      x = gathered;
    }
    heap.exports.gemmFloats(job.words, base, x, count, job.begin, job.end, job.y + first * n * 4, n, work);
  }
}
