/**
 * A computation that asks layers for their results, written once. Layers on one device answer at once; those over devices that have to be
 * awaited (webgpu beside another) cannot, and tf.tidy does not reach over an await: so what has to outlive a question is named with it.
 */
import * as tf from '@tensorflow/tfjs';
import {type Around, type Linear, type MLP, ops} from 'tfjs-linear';
import {nextTurn} from './turn.js';

export interface Question {
  /** Asked for residual + layer(norm(x)); with `rows`, for these rows of its weight. */
  readonly layer: Linear | MLP;
  readonly input: tf.Tensor | {readonly rows: readonly number[]};
  readonly around: Surroundings;
  /** Tensors needed after the answer, which belong to whoever asked; all others are freed. Callers of callers add theirs. */
  readonly held: tf.Tensor[];
}

/** What surrounds a layer in its block. */
export type Surroundings = Pick<Around, 'norm' | 'residual'>;

/** Yields questions, gets tensors, returns one. */
export type Steps = Generator<Question, tf.Tensor, tf.Tensor>;

/** residual + layer(norm(x)). */
export function ask(layer: Linear | MLP, x: tf.Tensor, around: Surroundings = {}, held: readonly tf.Tensor[] = []): Question {
  return {layer, input: x, around, held: [...held]};
}

/** The same steps, with tensors that outlive all of their questions. */
export function* holding(held: readonly tf.Tensor[], steps: Steps): Steps {
  let step = steps.next();
  while (!step.done) {
    step.value.held.push(...held);
    step = steps.next(yield step.value);
  }
  return step.value;
}

/** Every question answered at once. Nothing but the result is left. */
export function runSteps(steps: Steps): tf.Tensor {
  return tf.tidy(() => {
    const live = new Live();
    let step = live.next(steps);
    while (!step.done) step = live.next(steps, answer(step.value));
    return step.value;
  });
}

/** Milliseconds of work after which timers, input and the screen have their turn. */
const TURN = 40;

/** As `runSteps`, awaiting each answer, or with layers that answer at once making room for others in between: a long prompt freezes no page. */
export async function runStepsAsync(steps: Steps, layers: 'awaited' | 'at once'): Promise<tf.Tensor> {
  const live = new TidyLive();
  let turn = performance.now();
  try {
    let step = live.next(steps);
    while (!step.done) {
      const question = step.value;
      step = live.next(steps, layers === 'awaited' ? await answerAsync(question) : tf.tidy(() => answer(question)));
      if (performance.now() - turn < TURN) continue;
      await nextTurn();
      turn = performance.now();
    }
    return step.value;
  } catch (error) {
    live.free();
    throw error;
  }
}

/** The tensors of the last question, inside a tidy that has what steps make besides. */
class Live {
  private tensors: readonly tf.Tensor[] = [];

  /** Goes on to the next question with an answer, and frees what that does not need. */
  next(steps: Steps, answered?: tf.Tensor): IteratorResult<Question, tf.Tensor> {
    const old = answered === undefined ? this.tensors : [...this.tensors, answered];
    this.tensors = old;
    const {step, needed} = this.advance(steps, answered);
    for (const t of old) if (!needed.includes(t)) t.dispose();
    this.tensors = needed;
    return step;
  }

  free(): void {
    tf.dispose([...this.tensors]);
  }

  protected advance(steps: Steps, answered: tf.Tensor | undefined): Advance {
    const step = answered === undefined ? steps.next() : steps.next(answered);
    return {step, needed: step.done ? [step.value] : tensorsOf(step.value)};
  }
}

interface Advance {
  readonly step: IteratorResult<Question, tf.Tensor>;
  readonly needed: readonly tf.Tensor[];
}

/** The same where no tidy is around: a tidy does not reach over an await. */
class TidyLive extends Live {
  protected override advance(steps: Steps, answered: tf.Tensor | undefined): Advance {
    let step!: Advance['step'];
    const needed = tf.tidy(() => {
      const next = super.advance(steps, answered);
      step = next.step;
      return [...next.needed];
    });
    return {step, needed};
  }
}

function tensorsOf({input, around: {residual}, held}: Question): tf.Tensor[] {
  return [...('rows' in input ? [] : [input]), ...(residual ? [residual] : []), ...held];
}

function answer({layer, input, around}: Question): tf.Tensor {
  return 'rows' in input ? (layer as Linear).weight.dequantizeRows(input.rows) : layer.forwardAround(input, around);
}

/** Rows of a layer's weight, on any devices. */
export async function rowsOf({weight}: Linear, rows: readonly number[]): Promise<tf.Tensor> {
  return 'dequantizeRowsAsync' in weight ? weight.dequantizeRowsAsync(rows) : weight.dequantizeRows(rows);
}

async function answerAsync({layer, input, around: {norm, residual}}: Question): Promise<tf.Tensor> {
  if ('rows' in input) return rowsOf(layer as Linear, input.rows);
  const x = norm ? ops.rmsNorm(input, norm.weight, norm.epsilon) : input;
  try {
    const y = await layer.forwardAsync(x);
    if (!residual) return y;
    const sum = tf.add(residual, y);
    y.dispose();
    return sum;
  } finally {
    if (x !== input) x.dispose();
  }
}
