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

export const quantizedMatMul: KernelFunc = ({inputs, backend, attrs}) => {
  const {layout, rowStart, rowEnd, activation, inputPrecision} = attrs as unknown as QuantizedMatMulAttrs;
  const wasm = backend as unknown as WasmBackend;
  const heap = heapOf(backend);
  const x = inputs.x as TensorInfo;
  const rows = x.shape[0] as number;
  const out = wasm.makeOutput([rows, rowEnd - rowStart], 'float32');
  const words = heap.address(inputs.words as TensorInfo);
  const job: Job = {
    heap,
    layout,
    words,
    x: heap.address(x),
    order: layout.ordered ? words + 4 * sectionsOf(layout).order.start : 0,
    y: heap.address(out),
    rows,
    begin: rowStart,
    end: rowEnd,
  };
  const choice = chooseWasm(layout, rows, inputPrecision, forcedVariant());
  // What a variant cannot hold (infinities, NaN, beyond 1e20) is multiplied as it is.
  if (!(choice.variant === 'gemv_float32' ? oneByOne(job, choice.block) : choice.variant !== 'float32' && integers(job, choice)))
    floats(job);
  const bias = inputs.bias === undefined ? 0 : heap.address(inputs.bias as TensorInfo);
  if (bias !== 0 || activation !== null) {
    heap.exports.finish(job.y, bias, rows, rowEnd - rowStart, activation === null ? 0 : ACTIVATION_KINDS[activation]);
  }
  return out as unknown as TensorInfo;
};

/** false: x holds what 16-bit integers cannot. */
function integers(job: Job, {variant, block}: WasmChoice): boolean {
  const {heap, layout, rows} = job;
  const k = layout.inDim;
  const blocks = k / block;
  const stride = blocks + 4;
  const slab = Math.min(rows, SLAB);
  const fields = descriptorOf(heap, layout);
  const fieldBytes = fields.length * 4 + 16;
  const xBytes = slab * k * 2;
  const levelBytes = slab * stride * 4;
  const base = heap.scratch(fieldBytes + xBytes + 2 * levelBytes + workBytes(k) + k * 4);
  const a = base + fieldBytes;
  const steps = a + xBytes;
  const sums = steps + levelBytes;
  const work = sums + levelBytes;
  const gathered = work + workBytes(k);
  heap.write(base, fields);
  const n = job.end - job.begin;
  for (let first = 0; first < rows; first += slab) {
    const count = Math.min(slab, rows - first);
    for (let m = 0; m < count; m++) {
      const row = job.x + (first + m) * k * 4;
      const at = 4 * m * stride;
      const paired = variant === 'gemv_int16' && layout.planes[0] === 4 ? 1 : 0;
      if (heap.exports.prepareRow(row, job.order, k, block, paired, a + m * k * 2, steps + at, sums + at, gathered)) return false;
    }
    const y = job.y + first * n * 4;
    if (variant === 'gemm_int16') {
      heap.exports.gemm(job.words, base, a, steps, sums, stride, count, block, blocks, job.begin, job.end, y, n, work);
    } else {
      const gemv = variant === 'gemv_int16' ? heap.exports.gemv : heap.exports.gemvBytes;
      for (let m = 0; m < count; m++) {
        const at = 4 * m * stride;
        gemv(job.words, base, a + m * k * 2, steps + at, sums + at, block, blocks, job.begin, job.end, y + m * n * 4, work);
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
