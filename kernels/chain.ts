/**
 * Products and attentions one after the other as one op: what goes from one to the next is no tensor. A backend may register a kernel of its own
 * (Chain: wasm does, where a tensor and an op cost about as much as a small product); elsewhere it is those ops one by one.
 */
import * as tf from '@tensorflow/tfjs';
import {areFloats, checkObject, checkOptions, checkTensor} from '../src/arguments.js';
import {ArgumentError, ShapeError} from '../src/errors.js';
import {type AttendInputs, attend, checkAttend, PastPositions, type Rotation} from './attention.js';
import {checkProductOf, isNone, type QuantizedMatMulOptions} from './contract.js';
import {hasKernel} from './fused.js';
import {type Around, FUSED_OPTIONS, type FusedMatMulAttrs, fusedAttrs, fusedMatMul, gatedWidth} from './fused_matmul.js';
import {recordsGradients} from './gradients.js';
import type {QuantizedWeight} from './quantized_weight.js';

/** Chain: x [M, K] through `steps`, whose tensors are in the attributes. */
export const CHAIN = 'Chain';

/** What surrounds the product of a step. */
export interface StepAround extends Pick<Around, 'norm' | 'gate'> {
  /** What is added last: 1 what this step was given, 2 what the one before was given, and so on; the first was given x. Default null: nothing. */
  readonly residual?: number | null;
}

/** `ops.fusedMatMul` of what comes from the step before. */
export interface ProductStep extends QuantizedMatMulOptions, StepAround {
  readonly weight: QuantizedWeight;
}

/** `ops.attend` to what comes from the step before. */
export interface AttendStep {
  readonly past: PastPositions;
  readonly rotation: Rotation;
}

export type ChainStep = ProductStep | AttendStep;

/** A product as kernels see it: of a step that cannot change the same object each time. */
export interface ProductLink {
  readonly words: tf.Tensor;
  readonly bias: tf.Tensor | null;
  readonly norm: tf.Tensor | null;
  /** As in ProductStep; 0: nothing. */
  readonly residual: number;
  readonly width: number;
  readonly product: FusedMatMulAttrs;
}

/** A step as kernels see it. */
export type ChainLink = ProductLink | AttendInputs;

export interface ChainAttrs {
  readonly links: readonly ChainLink[];
}

const STEP_OPTIONS = ['weight', ...FUSED_OPTIONS];

/**
 * x [M, K] through steps, each of which takes what the one before gives: `ops.fusedMatMul` and `ops.attend` as one op, where the backend has it
 * (wasm), so that a token of a model costs few ops. Values, errors and what is thrown are theirs; nothing is done before all steps are checked.
 * Frozen products, as `chainSteps` of layers gives them, are looked into once, and later only for what has been disposed.
 * @returns [M, width of the last step]
 * Throws ArgumentError, ShapeError for steps that do not fit, naming the step, from 1.
 *
 * ```js
 * const up = new tfl.Linear({inDim: 2, outDim: 4, dtype: 'bfloat16'});
 * const down = new tfl.Linear({inDim: 2, outDim: 2, dtype: 'bfloat16'});
 * up.loadStateDict({weight: tf.tensor2d([[1, 0], [0, 1], [1, 0], [0, 1]])});
 * down.loadStateDict({weight: tf.tensor2d([[1, 0], [0, 2]])});
 * const steps = [{weight: up.weight, gate: 'relu'}, {weight: down.weight, residual: 2}];
 * tfl.ops.chain(tf.tensor2d([[3, -1]]), steps).print(); // [[12, -1]]
 * ```
 */
export function chain(x: tf.Tensor2D, steps: readonly ChainStep[]): tf.Tensor2D {
  checkTensor('chain: x', x);
  if (!Array.isArray(steps) || steps.length === 0) {
    throw new ArgumentError({
      where: 'chain: steps',
      expected: 'a list of at least one step',
      received: Array.isArray(steps) ? 'an empty one' : steps,
    });
  }
  const widths = widthsOf(x, steps);
  const links = x.size > 0 && x.dtype === 'float32' && hasKernel(CHAIN) ? linksOf(x.shape[0], steps, widths) : null;
  if (links === null) return tf.tidy(() => oneByOne(x, steps));
  const attrs: ChainAttrs = {links};
  const y = tf.engine().runKernel(CHAIN, {x}, attrs as unknown as tf.NamedAttrMap) as tf.Tensor2D;
  for (const step of steps) if ('past' in step) step.past.advance(x.shape[0]);
  return y;
}

/** Of frozen steps, what they were found to be. */
const found = new WeakMap<ChainStep, ProductLink>();

/** What a step is, where it was looked into before and is as it was then; else null. */
function knownOf(step: ChainStep): ProductLink | null {
  const link = found.get(step);
  if (link === undefined) return null;
  const {weight, bias, norm} = step as ProductStep;
  if (weight.isDisposed || bias?.isDisposed || norm?.weight.isDisposed) return null;
  return link.norm === (norm?.weight ?? null) && link.product.epsilon === (norm?.epsilon ?? 0) ? link : null;
}

/** The width of each step's result. Throws as `chain` does. */
function widthsOf(x: tf.Tensor, steps: readonly ChainStep[]): number[] {
  if (x.rank !== 2) throw new ShapeError({where: 'chain: x', expected: '[M, K]', received: `[${x.shape}]`});
  const [rows, first] = x.shape as [number, number];
  const widths = [first];
  const pasts = new Set<PastPositions>();
  steps.forEach((step, i) => {
    const given = widths[i] as number;
    const known = knownOf(step);
    if (known !== null && known.product.layout.inDim === given) {
      if (known.residual !== 0) checkResidual(i, known.residual, known.width, widths);
      widths.push(known.width);
      return;
    }
    const where = nameOf(i);
    checkObject(where, step, 'a product or an attention');
    const shape = [rows, given];
    if ('past' in step) {
      checkOptions(where, step, ['past', 'rotation']);
      if (!(step.past instanceof PastPositions) || pasts.has(step.past)) {
        const received = step.past instanceof PastPositions ? 'that of an earlier step' : step.past;
        throw new ArgumentError({where: `${where}: past`, expected: 'PastPositions of its own', received});
      }
      pasts.add(step.past);
      checkAttend(where, shape, step.past, step.rotation);
      widths.push(given - 2 * step.past.keyHeads * step.past.headDim);
    } else {
      checkOptions(where, step, STEP_OPTIONS);
      checkProductOf(where, shape, step.weight, step);
      const width = gatedWidth(where, step.weight, step);
      checkResidual(i, step.residual ?? null, width, widths);
      widths.push(width);
    }
  });
  return widths.slice(1);
}

const nameOf = (i: number): string => `chain: step ${i + 1}`;

/** @param widths of what each step up to step i was given */
function checkResidual(i: number, residual: number | null, width: number, widths: readonly number[]): void {
  if (residual === null || (Number.isInteger(residual) && widths[widths.length - residual] === width)) return;
  const where = `${nameOf(i)}: residual`;
  if (!Number.isInteger(residual) || residual < 1 || residual > widths.length) {
    throw new ArgumentError({where, expected: `a whole number from 1 to ${widths.length}, or null`, received: residual});
  }
  throw new ShapeError({where, expected: `[M, ${width}]`, received: `[M, ${widths[widths.length - residual]}]`});
}

/** null: some step is no part of one op. */
function linksOf(rows: number, steps: readonly ChainStep[], widths: readonly number[]): ChainLink[] | null {
  const links: ChainLink[] = [];
  for (const [i, step] of steps.entries()) {
    const link = knownOf(step) ?? linkOf(rows, step, widths[i] as number);
    if (link === null) return null;
    links.push(link);
  }
  return links;
}

function linkOf(rows: number, step: ChainStep, width: number): ChainLink | null {
  if ('past' in step) {
    const {past, rotation} = step;
    if (!('cos' in rotation && areFloats([rotation.cos, rotation.sin]))) return null;
    return {...past.reserve(rows), cos: rotation.cos, sin: rotation.sin, length: past.length, width};
  }
  const {weight, bias = null, norm, residual} = step;
  if (!isNone(step.inputQuantization) || weight.rowEnd === weight.rowStart || !areFloats([bias, norm?.weight])) return null;
  const link = {words: weight.words, bias, norm: norm?.weight ?? null, residual: residual ?? 0, width, product: fusedAttrs(weight, step)};
  if (Object.isFrozen(step)) found.set(step, link);
  return link;
}

/** Inside a tidy. What no later step needs is freed at once, unless gradients do. */
function oneByOne(x: tf.Tensor2D, steps: readonly ChainStep[]): tf.Tensor2D {
  const given: tf.Tensor[] = [x];
  const last = lastUses(steps.map((step) => ('past' in step ? 0 : (step.residual ?? 0))));
  const frees = !recordsGradients();
  steps.forEach((step, i) => {
    const from = given[i] as tf.Tensor2D;
    if ('past' in step) given.push(attend(from, step.past, step.rotation));
    else {
      const {weight, residual, ...options} = step;
      given.push(fusedMatMul(from, weight, {...options, residual: residual ? (given[i + 1 - residual] as tf.Tensor) : null}));
    }
    for (let j = 1; frees && j <= i; j++) if (last[j] === i) (given[j] as tf.Tensor).dispose();
  });
  return given[steps.length] as tf.Tensor2D;
}

/** The last step, from 0, that needs what step i was given. @param residuals of each step; 0: none */
export function lastUses(residuals: readonly number[]): number[] {
  const last = residuals.map((_, i) => i);
  residuals.forEach((residual, i) => {
    if (residual > 0) last[i + 1 - residual] = i;
  });
  return last;
}
