/** A chain of one row as the list of steps that assembly/chain.ts walks. */
import type {TensorInfo} from '@tensorflow/tfjs';
import type {Activation} from '../activation.js';
import type {AttendInputs} from '../attention.js';
import type {ChainLink, ProductLink} from '../chain.js';
import {sectionsOf} from '../layout.js';
import {remember} from '../memo.js';
import {chooseWasm, type WasmVariant} from './choose.js';
import {descriptorOf, exponentShiftOfX} from './descriptor.js';
import {ACTIVATION_KINDS, forcedVariant} from './matmul.js';
import type {WasmHeap} from './module.js';
import {floatBytes, rowsOfPart, scoreBytes, workBytes} from './parallel.js';

/** How one row is multiplied: assembly/chain.ts's number for it. */
const WAYS: Readonly<Partial<Record<WasmVariant, number>>> = {
  float32: 0,
  gemv_int16: 1,
  gemv_bytes_int16: 2,
  gemv_dots_int16: 3,
  gemv_float32: 4,
};

/** Words of a step, as STEP of assembly/chain.ts. */
const STEP_WORDS = 32;
/** Where EPSILON lies, in float64. */
const EPSILON_AT = 9;

/** Addresses of a step: what it is given, its result, and what is added to that; 0: nothing. */
export interface Places {
  readonly x: number;
  readonly out: number;
  readonly residual: number;
}

/** A link as a step, but for where things lie. */
interface Step {
  /** As assembly/chain.ts reads them, addresses 0. */
  readonly words: Int32Array;
  /** Of the weight of a product. */
  readonly descriptor: Int32Array | null;
  /** Of the result before its gate, and what a thread needs for itself. */
  readonly ungatedBytes: number;
  readonly ownBytes: number;
  /** In 4-bit multiplications. */
  readonly cost: number;
}

/** What a chain needs, known before anything is written. */
export interface ChainPlan {
  readonly steps: readonly Step[];
  /** Bytes of the steps with the descriptors that they name, and of the longest result before its gate. */
  readonly stepBytes: number;
  readonly ungatedBytes: number;
  readonly ownBytes: number;
  readonly cost: number;
}

/** null: some kernel of several rows was asked for. */
export function planOf(heap: WasmHeap, links: readonly ChainLink[]): ChainPlan | null {
  const asked: Asked = {forced: forcedVariant(), threads: heap.threads};
  const known = remember(products, heap, () => new WeakMap());
  const steps: Step[] = [];
  const descriptors = new Set<Int32Array>();
  let [ungatedBytes, ownBytes, cost] = [0, 0, 0];
  for (const link of links) {
    const step = 'words' in link ? productOf(heap, known, link, asked) : attentionOf(heap, link);
    if (step === null) return null;
    steps.push(step);
    if (step.descriptor !== null) descriptors.add(step.descriptor);
    ungatedBytes = Math.max(ungatedBytes, step.ungatedBytes);
    ownBytes = Math.max(ownBytes, step.ownBytes);
    cost += step.cost;
  }
  let fields = 0;
  for (const {length} of descriptors) fields += spaced(length);
  return {steps, cost, ungatedBytes, ownBytes, stepBytes: 4 * (STEP_WORDS * links.length + fields)};
}

/** The steps as they lie at address `base`. */
export function stepsOf(
  heap: WasmHeap,
  links: readonly ChainLink[],
  {steps, stepBytes}: ChainPlan,
  places: readonly Places[],
  base: number,
  ungated: number,
): Int32Array {
  const words = new Int32Array(stepBytes / 4);
  const descriptors = new Map<Int32Array, number>();
  let end = STEP_WORDS * links.length;
  const descriptorAt = (fields: Int32Array): number => {
    let address = descriptors.get(fields);
    if (address === undefined) {
      words.set(fields, end);
      address = base + 4 * end;
      descriptors.set(fields, address);
      end += spaced(fields.length);
    }
    return address;
  };
  links.forEach((link, i) => {
    const at = STEP_WORDS * i;
    const {x, out, residual} = places[i] as Places;
    const step = steps[i] as Step;
    words.set(step.words, at);
    words[at + 4] = x;
    words[at + 5] = out;
    if (!('words' in link)) return;
    const {layout} = link.product;
    const weight = heap.address(link.words);
    words[at + 6] = weight;
    words[at + 7] = descriptorAt(step.descriptor as Int32Array);
    words[at + 8] = layout.ordered ? weight + 4 * sectionsOf(layout).order.start : 0;
    words[at + 17] = addressOf(heap, link.norm);
    words[at + 20] = addressOf(heap, link.bias);
    words[at + 23] = ungated;
    words[at + 24] = residual;
  });
  return words;
}

/** What else a product's step depends on. */
interface Asked {
  readonly forced: WasmVariant | null;
  readonly threads: number;
}

type Products = WeakMap<ProductLink, Asked & {readonly step: Step | null}>;

const products = new WeakMap<WasmHeap, Products>();

/** Made once a link: a model asks for the same ones at every token. */
function productOf(heap: WasmHeap, known: Products, link: ProductLink, {forced, threads}: Asked): Step | null {
  const last = known.get(link);
  if (last !== undefined && last.forced === forced && last.threads === threads) return last.step;
  const step = makeProduct(heap, link, forced, threads);
  known.set(link, {forced, threads, step});
  return step;
}

function makeProduct(heap: WasmHeap, {product, width}: ProductLink, forced: WasmVariant | null, threads: number): Step | null {
  const {layout, inputPrecision, rowStart, rowEnd, activation, gate, epsilon} = product;
  const {variant, block, lanes} = chooseWasm(layout, 1, inputPrecision, forced, heap.dots, 0);
  const way = WAYS[variant];
  if (way === undefined) return null;
  const words = new Int32Array(STEP_WORDS);
  const cost = layout.inDim * (rowEnd - rowStart);
  // Of a gated result both halves in runs of 16, as if they were one.
  writeParts(words, width, cost, threads, gate !== null && width % 16 !== 0 ? width : 16);
  words[3] = width;
  words[9] = layout.inDim;
  words[10] = rowStart;
  words[11] = way;
  words[12] = block;
  words[13] = lanesOfX(variant, layout.planes[0] as number);
  words[14] = lanes;
  words[15] = 1 | (heap.dots === 0 ? 2 : 0);
  new Float32Array(words.buffer)[16] = 2 ** exponentShiftOfX(layout.decode);
  new Float64Array(words.buffer)[EPSILON_AT] = epsilon;
  words[21] = kindOf(activation);
  words[22] = kindOf(gate);
  return {
    words,
    descriptor: descriptorOf(heap, layout),
    cost,
    ungatedBytes: gate === null ? 0 : 8 * width,
    ownBytes: productBytes(layout.inDim),
  };
}

/** Of heads: rows of floats cost four times those of codes, keys and values. */
function attentionOf(heap: WasmHeap, {keys, values, cos, sin, length, width}: AttendInputs): Step {
  const [keyHeads, capacity, dim] = keys.shape as [number, number, number];
  const words = new Int32Array(STEP_WORDS);
  const cost = 8 * width * (length + 1);
  words[0] = 1;
  writeParts(words, width / dim, cost, heap.threads, 1);
  words[3] = width;
  words[6] = width / dim;
  words[7] = keyHeads;
  words[8] = dim;
  words[9] = length;
  words[10] = heap.address(keys);
  words[11] = heap.address(values);
  words[12] = capacity;
  words[13] = heap.address(cos);
  words[14] = heap.address(sin);
  return {words, descriptor: null, cost, ungatedBytes: 0, ownBytes: attentionBytes(length, width)};
}

/** How many parts of how many rows. */
function writeParts(words: Int32Array, rows: number, cost: number, threads: number, together: number): void {
  const perPart = rowsOfPart(rows, cost / rows, threads, together);
  words[1] = Math.ceil(rows / perPart);
  words[2] = perPart;
}

/** Order in which x meets codes: out of 16 bits, or of 32 for floats. */
function lanesOfX(variant: WasmVariant, bits: number): number {
  return variant === 'gemv_int16' ? 16 / bits : variant === 'gemv_float32' ? 32 / bits : 0;
}

const addressOf = (heap: WasmHeap, t: TensorInfo | null): number => (t === null ? 0 : heap.address(t));
const kindOf = (activation: Activation | null): number => (activation === null ? 0 : ACTIVATION_KINDS[activation]);
/** Descriptors begin at multiples of 16 bytes. */
const spaced = (words: number): number => (words + 3) & ~3;

/** As assembly/chain.ts lays out a thread's memory: x in three forms and as integers, steps and sums, and what kernels need. */
function productBytes(inDim: number): number {
  return 64 + 3 * (4 * inDim + 128) + 2 * (inDim / 4 + 80) + Math.max(workBytes(inDim), floatBytes(inDim));
}

/** Turned heads and scores. */
function attentionBytes(length: number, width: number): number {
  return 32 + 4 * width + scoreBytes(length + 1);
}
