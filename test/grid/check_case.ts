/** Everything that must hold of one case on the current backend, as rows that the conformance test asserts and the support matrix prints. */
import * as tf from '@tensorflow/tfjs';
import {activate} from '../../kernels/activation.js';
import type {InputPrecision} from '../../kernels/attributes.js';
import {type Linear, openCheckpoint, ops, type QuantizedWeight} from '../../src/index.js';
import {type CaseFiles, type ConfigFile, filesOf, product} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {variantsOf} from '../support/variants.js';
import type {Case} from './cases.js';
import {otherOps} from './check_ops.js';
import {randomX} from './layouts.js';

/** Kernels, and the gradient of one. */
export type Op = 'UnpackWeight' | 'QuantizedMatMul' | 'QuantizedMatMul dx' | 'GptqUnpack' | 'Fp8Quantize' | 'Fp8ScaledMatMul';

export interface CheckRow {
  readonly case: string;
  readonly format: string;
  readonly op: Op;
  readonly backend: string;
  /** 'auto', or the kernel that was asked for. */
  readonly variant: string;
  readonly ok: boolean;
  /** The kernel does not take this weight and another did the work (ok), or the backend has no such kernel (not ok). */
  readonly declined: boolean;
  /** Which kernel ran and why; what went wrong. */
  readonly reason: string;
  /** Largest error, 2-norm of a row over the reference's; of UnpackWeight the largest difference. null where there is none. */
  readonly maxError: number | null;
}

export interface CheckResult {
  readonly rows: readonly CheckRow[];
  /** Resident bytes over the bytes of all the module's tensors in the file. */
  readonly residentRatio: number;
  /** tf.js tensors more after load, 20 products and dispose than before. */
  readonly leaked: number;
}

export async function openLinear(c: Case, files: CaseFiles['files']): Promise<{layer: Linear; fileBytes: number}> {
  const checkpoint = await openCheckpoint(files);
  try {
    const own = checkpoint.names().filter((name) => name.startsWith(`${c.module}.`));
    const fileBytes = own.reduce((sum, name) => sum + checkpoint.info(name).byteLength, 0);
    // ref.y has x as it is; test/grid/fp8_test.ts compares the products with rounded x.
    return {layer: await checkpoint.linear(c.module, {inputQuantization: 'none'}), fileBytes};
  } finally {
    await checkpoint.close();
  }
}

/**
 * Runs every check of a case. What throws is a row that is not ok; nothing is left on the backend.
 * @param options.forced every kernel by itself too (default), not only the backend's own choice
 */
export async function checkCase(c: Case, options: {configFile?: ConfigFile; forced?: boolean} = {}): Promise<CheckResult> {
  const {configFile = 'config.json', forced = true} = options;
  const before = tf.memory().numTensors;
  const rows: CheckRow[] = [];
  let residentRatio = Number.NaN;
  let layer: Linear | null = null;
  try {
    const reference = await filesOf(c, configFile);
    const opened = await openLinear(c, reference.files);
    layer = opened.layer;
    residentRatio = layer.byteLength / opened.fileBytes;
    rows.push(await guarded(c, 'UnpackWeight', 'auto', () => checkUnpack(layer as Linear, reference)));
    for (const variant of ['auto', ...(forced ? variantsOf(tf.getBackend()).names : [])]) {
      rows.push(await guarded(c, 'QuantizedMatMul', variant, () => checkProducts(c, layer as Linear, reference, variant)));
    }
    rows.push(await guarded(c, 'QuantizedMatMul dx', 'auto', () => checkGradient(c, layer as Linear, reference)));
    for (const [op, check] of otherOps(c, reference)) rows.push(await guarded(c, op, 'auto', check));
    for (let i = 0; i < 20; i++) tf.dispose(tf.tidy(() => layer?.forward(tf.ones([1, c.inDim])) as tf.Tensor));
  } catch (error) {
    rows.push(failed(c, 'UnpackWeight', 'auto', error));
  } finally {
    layer?.dispose();
  }
  return {rows, residentRatio, leaked: tf.memory().numTensors - before};
}

export type Outcome = Pick<CheckRow, 'ok' | 'declined' | 'reason' | 'maxError'>;

async function guarded(c: Case, op: CheckRow['op'], variant: string, check: () => Promise<Outcome>): Promise<CheckRow> {
  const backend = tf.getBackend();
  const label = {case: c.name, format: c.format, op, backend, variant};
  const kernel = op.split(' ')[0] as string;
  if (tf.getKernel(kernel, backend) === undefined) {
    return {...label, ok: false, declined: true, reason: `'${backend}' has no ${kernel} yet`, maxError: null};
  }
  tf.engine().startScope();
  try {
    return {...label, ...(await check())};
  } catch (error) {
    return failed(c, op, variant, error);
  } finally {
    tf.engine().endScope();
  }
}

function failed(c: Case, op: CheckRow['op'], variant: string, error: unknown): CheckRow {
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {case: c.name, format: c.format, op, backend: tf.getBackend(), variant, ok: false, declined: false, reason, maxError: null};
}

/** All rows, chosen rows, and a window: bit-equal (-0 and 0 count as equal). */
async function checkUnpack({weight}: Linear, reference: CaseFiles): Promise<Outcome> {
  const [n, k] = weight.shape;
  const chosen = [n - 1, 0, n - 1];
  const expected = reference.weight;
  const all = await weight.dequantize().data();
  const some = await weight.dequantizeRows(chosen).data();
  const wanted = Float32Array.from(chosen.flatMap((row) => [...expected.subarray(row * k, (row + 1) * k)]));
  const maxError = Math.max(difference(all, expected), difference(some, wanted));
  return {ok: maxError === 0, declined: false, reason: maxError === 0 ? 'bit-equal' : 'differs from the tool', maxError};
}

/** The largest difference; infinite where the lengths differ or one alone is NaN. */
export function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i]) continue;
    const d = Math.abs((a[i] as number) - (b[i] as number));
    worst = Math.max(worst, Number.isNaN(d) ? Number.POSITIVE_INFINITY : d);
  }
  return worst;
}

/** One product: its y and what it should be. `norms`: rows to measure the error by, where they are not the reference's. */
interface Product {
  readonly label: string;
  readonly run: () => tf.Tensor;
  readonly expected: ArrayLike<number>;
  readonly bound: number;
  readonly norms?: ArrayLike<number>;
}

/**
 * The backend's own choice: every row at once and the first row alone, as loaded and with float32 activations, and with a fused activation.
 * A kernel that was asked for: one product of each number of rows that it takes.
 */
async function checkProducts(c: Case, layer: Linear, reference: CaseFiles, variant: string): Promise<Outcome> {
  const variants = variantsOf(tf.getBackend());
  const {layout} = layer.weight as QuantizedWeight;
  const rows = reference.x.length / c.inDim;
  variants.force(variant === 'auto' ? null : variant);
  try {
    const [many, one] = [variants.choose(layout, rows, 'auto'), variants.choose(layout, 1, 'auto')];
    const ran = variant === 'auto' ? [many, one] : [many, one].filter((choice) => choice.variant === variant);
    const reason = [...new Set((ran.length === 0 ? [many] : ran).map((choice) => `${choice.variant} (${choice.reason})`))].join('; ');
    if (ran.length === 0) return {ok: true, declined: true, reason, maxError: null};
    const products = productsOf(c, layer, reference);
    const wanted =
      variant === 'auto'
        ? products
        : products.filter((p) => (p.label === 'M=1' ? ran.includes(one) : p.label === 'all rows' && ran.includes(many)));
    let maxError = 0;
    const faults: string[] = [];
    for (const {label, run, expected, bound, norms} of wanted) {
      const error = rowErrors(await run().data(), expected, c.outDim, norms);
      maxError = Math.max(maxError, error);
      if (!(error <= bound)) faults.push(`${label}: error ${error.toExponential(1)} over ${bound}`);
    }
    return {ok: faults.length === 0, declined: false, reason: faults.length === 0 ? reason : faults.join('; '), maxError};
  } finally {
    variants.force(null);
  }
}

function productsOf(c: Case, layer: Linear, {x, y, weight: w, bias: b}: CaseFiles): Product[] {
  const variants = variantsOf(tf.getBackend());
  const {bias} = layer;
  const weight = layer.weight as QuantizedWeight;
  const rows = x.length / c.inDim;
  const xs = tf.tensor2d(x, [rows, c.inDim]);
  const first = tf.tensor2d(x.subarray(0, c.inDim), [1, c.inDim]);
  const head = Array.from({length: c.outDim}, (_, i) => y[i] as number);
  const plain = product(x, w, b, c);
  const activated = plain.map((v) => activate(c.activation, v));
  // An activation can take most of a row away, and its slope is at most 1.13: what it makes of the product's error is measured by the larger row.
  const larger = activated.map((v, i) => Math.max(Math.abs(v), Math.abs(plain[i] as number)));
  const bound = (m: number, precision: InputPrecision) => variants.choose(weight.layout, m, precision).bound;
  const exact = {bias, inputPrecision: 'float32'} as const;
  const fused = {bias, activation: c.activation};
  return [
    {label: 'all rows', run: () => layer.forward(xs), expected: y, bound: bound(rows, 'auto')},
    {label: 'M=1', run: () => layer.forward(first), expected: head, bound: bound(1, 'auto')},
    {
      label: c.activation,
      run: () => ops.quantizedMatMul(xs, weight, fused),
      expected: activated,
      bound: bound(rows, 'auto'),
      norms: larger,
    },
    {label: 'all rows, float32', run: () => ops.quantizedMatMul(xs, weight, exact), expected: y, bound: bound(rows, 'float32')},
    {label: 'M=1, float32', run: () => ops.quantizedMatMul(first, weight, exact), expected: head, bound: bound(1, 'float32')},
  ];
}

/** dx = dy . W for a random dy. */
async function checkGradient(c: Case, layer: Linear, reference: CaseFiles): Promise<Outcome> {
  const rows = 3;
  const dy = randomX(rows, c.outDim, 11);
  const transposed = new Float32Array(reference.weight.length);
  for (let n = 0; n < c.outDim; n++) {
    for (let k = 0; k < c.inDim; k++) transposed[k * c.outDim + n] = reference.weight[n * c.inDim + k] as number;
  }
  const expected = product(dy, transposed, null, {outDim: c.inDim, inDim: c.outDim});
  const dx = tf.grad((x: tf.Tensor) => layer.forward(x))(
    tf.tensor2d(randomX(rows, c.inDim, 5), [rows, c.inDim]),
    tf.tensor2d(dy, [rows, c.outDim]),
  );
  const maxError = rowErrors(await dx.data(), expected, c.inDim);
  return {ok: maxError <= 1e-6, declined: false, reason: maxError <= 1e-6 ? 'through the packed weight' : 'error over 1e-6', maxError};
}
