/** Which kernels a backend has for a product, how to force one, and which one a call gets: one entry a backend. */
import * as tf from '@tensorflow/tfjs';
import type {InputPrecision} from '../../kernels/attributes.js';
import {WEBGPU_VARIANTS} from '../../kernels/choose.js';
import type {WeightLayout} from '../../kernels/layout.js';
import type {NodeBackend} from '../../kernels/tensorflow/backend.js';
import {chosenVariant, TENSORFLOW_VARIANT_FLAG, tensorflowVariants} from '../../kernels/tensorflow/index.js';
import {chooseWasm, WASM_VARIANTS} from '../../kernels/wasm/choose.js';
import {forcedVariant as forcedWasm, WASM_VARIANT_FLAG} from '../../kernels/wasm/matmul.js';
import {heapOf} from '../../kernels/wasm/module.js';
import {chooseWebgl, WEBGL_VARIANTS} from '../../kernels/webgl/choose.js';
import {forcedVariant as forcedWebgl, WEBGL_VARIANT_FLAG} from '../../kernels/webgl/matmul.js';
import {asWebGPU, profileOf} from '../../kernels/webgpu/backend.js';
import {choiceFor, WEBGPU_VARIANT_FLAG} from '../../kernels/webgpu/matmul.js';

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
  /** What a product of `rows` rows gets now. columns: as chooseWasm has it. The bound is that of x as it is. */
  choose(layout: WeightLayout, rows: number, precision: InputPrecision, columns?: number): Chosen;
}

const plain: Variants = {
  names: [],
  force: () => undefined,
  choose: () => ({variant: 'loops', reason: 'the only one', bound: 1e-6}),
};

const forceBy = (flag: string) => (name: string | null) => tf.env().set(flag, (name ?? 'auto') as unknown as boolean);

const VARIANTS: Readonly<Record<string, Variants>> = {
  wasm: {
    names: WASM_VARIANTS,
    force: forceBy(WASM_VARIANT_FLAG),
    choose: (layout, rows, precision, columns) => {
      const {variant, reason} = chooseWasm(layout, rows, precision, forcedWasm(), heapOf(tf.backend()).dots, columns);
      return {variant, reason, bound: variant.endsWith('int16') ? 1e-4 : 1e-6};
    },
  },
  webgl: {
    names: WEBGL_VARIANTS,
    force: forceBy(WEBGL_VARIANT_FLAG),
    choose: (layout, rows) => {
      const {variant, reason} = chooseWebgl(layout, rows, layout.outDim, forcedWebgl());
      return {variant, reason, bound: 1e-6};
    },
  },
  webgpu: {
    names: WEBGPU_VARIANTS,
    force: forceBy(WEBGPU_VARIANT_FLAG),
    choose: (layout, rows) => {
      const {variant, reason} = choiceFor(layout, rows, layout.outDim, profileOf(asWebGPU(tf.backend())));
      return {variant, reason, bound: variant.endsWith('f16') ? 2e-3 : 1e-6};
    },
  },
};

/** The add-on's instruction sets are known only once it is loaded. */
const tensorflow = (): Variants => ({
  names: tensorflowVariants(),
  force: forceBy(TENSORFLOW_VARIANT_FLAG),
  choose: (layout, rows, precision) => {
    const {variant, reason, integers} = chosenVariant(tf.backend() as unknown as NodeBackend, layout, rows, precision);
    return {variant, reason, bound: integers ? 1e-4 : 1e-6};
  },
});

export function variantsOf(backend: string): Variants {
  return backend === 'tensorflow' ? tensorflow() : (VARIANTS[backend] ?? plain);
}
