/** Which kernels a backend has for a product, how to force one, and which one a call gets: one entry a backend. */
import * as tf from '@tensorflow/tfjs';
import type {InputPrecision} from '../../kernels/attributes.js';
import type {WeightLayout} from '../../kernels/layout.js';
import {chooseWasm, WASM_VARIANTS} from '../../kernels/wasm/choose.js';
import {forcedVariant, WASM_VARIANT_FLAG} from '../../kernels/wasm/matmul.js';

export interface Chosen {
  readonly variant: string;
  readonly reason: string;
  /** Relative error allowed, 2-norm of each row of y. */
  readonly bound: number;
}

export interface Variants {
  readonly names: readonly string[];
  /** From here on this kernel where it can, or with null the backend's own choice. */
  force(name: string | null): void;
  /** What a product of `rows` rows gets now. */
  choose(layout: WeightLayout, rows: number, precision: InputPrecision): Chosen;
}

const plain: Variants = {
  names: [],
  force: () => undefined,
  choose: () => ({variant: 'loops', reason: 'the only one', bound: 1e-6}),
};

const VARIANTS: Readonly<Record<string, Variants>> = {
  wasm: {
    names: WASM_VARIANTS,
    force: (name) => tf.env().set(WASM_VARIANT_FLAG, (name ?? 'auto') as unknown as boolean),
    choose: (layout, rows, precision) => {
      const {variant, reason} = chooseWasm(layout, rows, precision, forcedVariant());
      return {variant, reason, bound: variant.endsWith('int16') ? 1e-4 : 1e-6};
    },
  },
};

export function variantsOf(backend: string): Variants {
  return VARIANTS[backend] ?? plain;
}
