/** Which of the two layers answers a call: the add-on, where it is loaded and no GPU is used, or stock TensorFlow ops. */
import {env} from '@tensorflow/tfjs';
import type {InputPrecision} from '../attributes.js';
import type {WeightLayout} from '../layout.js';
import type {NodeBackend} from './backend.js';
import {chooseNative} from './choose.js';
import type {Native} from './native.js';

/**
 * What answers, for tests and comparisons: 'auto', 'composed' (stock ops), 'composed_device' (stock ops, words held as a GPU's are), an
 * instruction set of the add-on, or one with '_rows' or '_panels' after it.
 */
export const TENSORFLOW_VARIANT_FLAG = 'TFJS_LINEAR_TENSORFLOW_VARIANT';

let native: Native | null = null;

/** The add-on of this process, or null. */
export function useAddOn(loaded: Native | null): void {
  native = loaded;
  env().registerFlag(TENSORFLOW_VARIANT_FLAG, () => 'auto' as unknown as boolean);
}

/** Every variant of this process. */
export function tensorflowVariants(): string[] {
  const sets = native?.instructionSets ?? [];
  return ['composed', 'composed_device', ...sets.flatMap((name) => [`${name}_rows`, `${name}_panels`])];
}

export interface Way {
  /** Place of the instruction set, or null for stock ops. */
  readonly instructions: number | null;
  readonly forced: 'rows' | 'panels' | null;
  readonly onDevice: boolean;
}

export function wayFor(backend: NodeBackend): Way {
  const flag = env().get(TENSORFLOW_VARIANT_FLAG) as unknown as string;
  const onDevice = backend.isUsingGpuDevice || flag === 'composed_device';
  if (native === null || backend.isUsingGpuDevice || flag.startsWith('composed')) return {instructions: null, forced: null, onDevice};
  const [name, shape] = flag.split('_');
  const place = native.instructionSets.indexOf(name as string);
  return {instructions: Math.max(0, place), forced: shape === 'rows' || shape === 'panels' ? shape : null, onDevice};
}

/** Which variant multiplies and why. */
export function chosenVariant(
  backend: NodeBackend,
  layout: WeightLayout,
  rows: number,
  precision: InputPrecision,
): {variant: string; reason: string; integers: boolean} {
  const {instructions, forced, onDevice} = wayFor(backend);
  if (instructions === null || native === null) {
    return {variant: onDevice ? 'composed_device' : 'composed', reason: native === null ? 'no add-on' : 'stock ops', integers: false};
  }
  const {variant, reason} = chooseNative(layout, rows, precision, forced);
  const [shape] = variant.split('_');
  return {
    variant: `${native.instructionSets[instructions]}_${shape}`,
    reason: `${variant}, ${reason}`,
    integers: variant.endsWith('int16'),
  };
}
