/** A chain of one row as the list of steps that assembly/chain.ts walks. */
import type {TensorInfo} from '@tensorflow/tfjs';
import type {AttendInputs} from '../attention.js';
import type {ChainLink} from '../chain.js';
import type {FusedMatMulAttrs} from '../fused_matmul.js';
import {sectionsOf, type WeightLayout} from '../layout.js';
import {chooseWasm, type WasmChoice, type WasmVariant} from './choose.js';
import {descriptorOf, exponentShiftOfX} from './descriptor.js';
import {ACTIVATION_KINDS, forcedVariant} from './matmul.js';
import type {WasmHeap} from './module.js';
import {floatBytes, rowsOfPart, scoreBytes, workBytes} from './parallel.js';

type Product = Extract<ChainLink, {product: FusedMatMulAttrs}>;

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

/** What a chain needs, known before anything is written. */
export interface ChainPlan {
  readonly choices: readonly (WasmChoice | null)[];
  /** Bytes of the steps with the descriptors that they name, and of the longest result before its gate. */
  readonly stepBytes: number;
  readonly ungatedBytes: number;
  /** What a thread needs for itself. */
  readonly ownBytes: number;
  /** In 4-bit multiplications, and per row of each step. */
  readonly cost: number;
  readonly costs: readonly number[];
}

/** null: some kernel of several rows was asked for. */
export function planOf(heap: WasmHeap, links: readonly ChainLink[]): ChainPlan | null {
  const forced = forcedVariant();
  const choices: (WasmChoice | null)[] = [];
  const costs: number[] = [];
  const layouts = new Set<WeightLayout>();
  let [fields, ungatedBytes, ownBytes, cost] = [0, 0, 0, 0];
  for (const link of links) {
    if ('words' in link) {
      const {layout, gate} = link.product;
      const choice = choiceOf(heap, link.product, forced);
      if (WAYS[choice.variant] === undefined) return null;
      choices.push(choice);
      costs.push(layout.inDim);
      if (!layouts.has(layout)) fields += spaced(descriptorOf(heap, layout).length);
      layouts.add(layout);
      if (gate !== null) ungatedBytes = Math.max(ungatedBytes, 8 * link.width);
      ownBytes = Math.max(ownBytes, productBytes(layout.inDim));
    } else {
      choices.push(null);
      costs.push(attentionCost(link));
      ownBytes = Math.max(ownBytes, attentionBytes(link));
    }
    cost += (costs[costs.length - 1] as number) * rowsIn(link);
  }
  return {choices, costs, cost, ungatedBytes, ownBytes, stepBytes: 4 * (STEP_WORDS * links.length + fields)};
}

/** The steps as they lie at address `base`. */
export function stepsOf(
  heap: WasmHeap,
  links: readonly ChainLink[],
  {choices, costs, stepBytes}: ChainPlan,
  places: readonly Places[],
  base: number,
  ungated: number,
): Int32Array {
  const words = new Int32Array(stepBytes / 4);
  const doubles = new Float64Array(words.buffer, 0, (STEP_WORDS * links.length) / 2);
  const floats = new Float32Array(words.buffer);
  const descriptors = new Map<WeightLayout, number>();
  let end = STEP_WORDS * links.length;
  const descriptorAt = (layout: WeightLayout): number => {
    let address = descriptors.get(layout);
    if (address === undefined) {
      const fields = descriptorOf(heap, layout);
      words.set(fields, end);
      address = base + 4 * end;
      descriptors.set(layout, address);
      end += spaced(fields.length);
    }
    return address;
  };
  // One number at a time: a list of them for each of a hundred steps takes as long as a small product.
  links.forEach((link, i) => {
    const at = STEP_WORDS * i;
    const {x, out, residual} = places[i] as Places;
    const rows = 'words' in link ? link.width : link.width / headDim(link);
    const perPart = rowsOfPart(rows, ((costs[i] as number) * rowsIn(link)) / rows, heap.threads, togetherIn(link));
    words[at + 1] = Math.ceil(rows / perPart);
    words[at + 2] = perPart;
    words[at + 3] = link.width;
    words[at + 4] = x;
    words[at + 5] = out;
    if (!('words' in link)) {
      words[at] = 1;
      words.set(attentionFields(heap, link), at + 6);
      return;
    }
    const {layout, rowStart, activation, gate, epsilon} = link.product;
    const {variant, block, lanes} = choices[i] as WasmChoice;
    const weight = heap.address(link.words as TensorInfo);
    words[at + 6] = weight;
    words[at + 7] = descriptorAt(layout);
    words[at + 8] = layout.ordered ? weight + 4 * sectionsOf(layout).order.start : 0;
    words[at + 9] = layout.inDim;
    words[at + 10] = rowStart;
    words[at + 11] = WAYS[variant] as number;
    words[at + 12] = block;
    words[at + 13] = lanesOfX(variant, layout.planes[0] as number);
    words[at + 14] = lanes;
    words[at + 15] = 1 | (heap.dots === 0 ? 2 : 0);
    floats[at + 16] = 2 ** exponentShiftOfX(layout.decode);
    words[at + 17] = addressOf(heap, link.norm);
    doubles[at / 2 + EPSILON_AT] = epsilon;
    words[at + 20] = addressOf(heap, link.bias);
    words[at + 21] = kindOf(activation);
    words[at + 22] = kindOf(gate);
    words[at + 23] = ungated;
    words[at + 24] = residual;
  });
  return words;
}

/** Rows that a part holds a multiple of: of a gated result both halves in runs of 16, as if they were one. */
function togetherIn(link: ChainLink): number {
  if (!('words' in link)) return 1;
  return link.product.gate !== null && link.width % 16 !== 0 ? link.width : 16;
}

/** Order in which x meets codes: out of 16 bits, or of 32 for floats. */
function lanesOfX(variant: WasmVariant, bits: number): number {
  return variant === 'gemv_int16' ? 16 / bits : variant === 'gemv_float32' ? 32 / bits : 0;
}

function attentionFields(heap: WasmHeap, {keys, values, cos, sin, length, width}: AttendInputs): number[] {
  const [keyHeads, capacity, dim] = keys.shape as [number, number, number];
  const [k, v, c, s] = [keys, values, cos, sin].map((t) => heap.address(t)) as [number, number, number, number];
  return [width / dim, keyHeads, dim, length, k, v, capacity, c, s];
}

interface Chosen {
  readonly precision: string;
  readonly forced: WasmVariant | null;
  readonly choice: WasmChoice;
}

const chosen = new WeakMap<WeightLayout, Chosen>();

/** As chooseWasm of one row, remembered: a model asks for the same few layouts at every token. */
function choiceOf(heap: WasmHeap, {layout, inputPrecision}: FusedMatMulAttrs, forced: WasmVariant | null): WasmChoice {
  const known = chosen.get(layout);
  if (known !== undefined && known.precision === inputPrecision && known.forced === forced) return known.choice;
  const choice = chooseWasm(layout, 1, inputPrecision, forced, heap.dots, 0);
  chosen.set(layout, {precision: inputPrecision, forced, choice});
  return choice;
}

const addressOf = (heap: WasmHeap, t: TensorInfo | null): number => (t === null ? 0 : heap.address(t));
const kindOf = (activation: Product['product']['activation']): number => (activation === null ? 0 : ACTIVATION_KINDS[activation]);
const headDim = ({keys}: AttendInputs): number => keys.shape[2] as number;
/** Descriptors begin at multiples of 16 bytes. */
const spaced = (words: number): number => (words + 3) & ~3;

/** Rows of W of a product, heads of an attention. */
function rowsIn(link: ChainLink): number {
  return 'words' in link ? link.product.rowEnd - link.product.rowStart : link.width / headDim(link);
}

/** Of a head: rows of floats cost four times those of codes, keys and values. */
function attentionCost(link: AttendInputs): number {
  return 8 * headDim(link) * (link.length + 1);
}

/** As assembly/chain.ts lays out a thread's memory: x in three forms and as integers, steps and sums, and what kernels need. */
function productBytes(inDim: number): number {
  return 64 + 3 * (4 * inDim + 128) + 2 * (inDim / 4 + 80) + Math.max(workBytes(inDim), floatBytes(inDim));
}

/** Turned heads and scores. */
function attentionBytes({length, width}: AttendInputs): number {
  return 32 + 4 * width + scoreBytes(length + 1);
}
