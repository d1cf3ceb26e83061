/** QuantizedMatMul on webgpu. */
import {env, type KernelFunc, type TensorInfo} from '@tensorflow/tfjs';
import type {QuantizedMatMulAttrs} from '../attributes.js';
import {chooseWebGPU, WEBGPU_VARIANTS, type WebGPUChoice, type WebGPUVariant} from '../choose.js';
import {float32Bits} from '../float_codes.js';
import {sectionsOf, type WeightLayout} from '../layout.js';
import {asWebGPU, type DeviceProfile, orDispose, profileOf, type WebGPUBackendLike} from './backend.js';
import {chunkingOf} from './chunk.js';
import type {Finish} from './finish.wgsl.js';
import {checkIndexRange, fold} from './grid.js';
import {healthOf} from './health.js';
import {verifyOnce} from './known_answer.js';
import {type Plan, planFor} from './plan.js';
import {PREPARE_COLUMNS, PREPARE_WORKGROUP} from './prepare.wgsl.js';
import {type Binding, bufferOf, record} from './record.js';
import {checkBinding, partsOfRows, wordsBuffer} from './resident.js';
import type {InputName} from './rows.wgsl.js';

/** tf.env() flag: 'auto' or one of WEBGPU_VARIANTS, used where the device and the weight allow. */
export const WEBGPU_VARIANT_FLAG = 'TFJS_LINEAR_WEBGPU_VARIANT';

export function forcedVariant(): WebGPUVariant | null {
  const value = env().get(WEBGPU_VARIANT_FLAG) as unknown as string;
  return WEBGPU_VARIANTS.find((v) => v === value) ?? null;
}

/** What a product of `rows` rows gets on a device like this. */
export function choiceFor(layout: WeightLayout, rows: number, outDim: number, profile: DeviceProfile): WebGPUChoice {
  return chooseWebGPU({rows, outDim, inDim: layout.inDim, chunked: chunkingOf(layout) !== null}, profile, forcedVariant());
}

export interface Product {
  readonly layout: WeightLayout;
  readonly x: TensorInfo;
  readonly words: TensorInfo;
  readonly bias?: TensorInfo | undefined;
  readonly norm?: TensorInfo | undefined;
  readonly epsilon?: number;
  readonly residual?: TensorInfo | undefined;
  readonly rowStart: number;
  readonly rowEnd: number;
}

/** x in stored order and lightened: a tensor of its own, or null where x can be used as it is. */
function recordPrepare(
  backend: WebGPUBackendLike,
  plan: Plan,
  {x, words, layout}: Product,
  wordsBinding: Binding,
  base: number,
): TensorInfo | null {
  if (plan.prepare === null) return null;
  const {shader, params, stride} = plan.prepare;
  const rows = x.shape[0] as number;
  checkBinding(backend, 'QuantizedMatMul: prepared x', rows * stride * 4);
  const prepared = backend.makeTensorInfo([rows, stride], 'float32');
  const uniforms = params.bytes({rows, words_base: base, order_start: sectionsOf(layout).order.start});
  const bindings = [{buffer: bufferOf(backend, prepared)}, wordsBinding, {buffer: bufferOf(backend, x)}];
  const grid = fold(
    Math.ceil((rows * stride) / (PREPARE_COLUMNS * PREPARE_WORKGROUP)),
    profileOf(backend).limits.maxComputeWorkgroupsPerDimension,
  );
  record(backend, shader, bindings, uniforms, grid, [prepared, words, x]);
  return prepared;
}

/** Appends the product and what its plan does with it into `out` [M, rows]. */
export function recordProduct(backend: WebGPUBackendLike, plan: Plan, product: Product, out: TensorInfo): void {
  const {layout, x, words, bias, norm, residual, epsilon = 0, rowStart, rowEnd} = product;
  const rows = x.shape[0] as number;
  const limit = profileOf(backend).limits.maxComputeWorkgroupsPerDimension;
  const buffer = wordsBuffer(backend, words);
  const parts = partsOfRows(backend, layout, buffer, rowStart, rowEnd);
  const first = parts[0] as (typeof parts)[number];
  const width = out.shape[1] as number;
  checkBinding(backend, 'QuantizedMatMul: output', rows * width * 4);
  checkBinding(backend, 'QuantizedMatMul: x', rows * layout.inDim * 4);
  const prepared = recordPrepare(backend, plan, product, first.words, first.bases.words_base);
  const xBinding = {buffer: bufferOf(backend, prepared ?? x)};
  const target = {buffer: bufferOf(backend, out)};
  const tensors = [out, words, prepared ?? x, ...[bias, norm, residual].filter((t) => t !== undefined)];
  for (const part of parts) {
    const sources: Record<InputName, () => Binding> = {
      codes: () => part.codes,
      codes4: () => part.codes,
      words: () => part.words,
      x: () => xBinding,
      bias: () => ({buffer: bufferOf(backend, bias as TensorInfo)}),
      norm: () => ({buffer: bufferOf(backend, norm as TensorInfo)}),
      residual: () => ({buffer: bufferOf(backend, residual as TensorInfo)}),
    };
    const uniforms = plan.params.bytes({
      row_start: part.rowStart,
      row_end: Math.min(part.rowEnd, rowStart + width),
      window_start: rowStart,
      window_rows: width,
      norm_columns: layout.inDim,
      epsilon: float32Bits(epsilon),
      x_rows: rows,
      ...part.bases,
    });
    const groups = plan.workgroups(Math.min(part.rowEnd, rowStart + width) - part.rowStart, rows);
    record(backend, plan.shader, [target, ...plan.inputs.map((name) => sources[name]())], uniforms, fold(groups, limit), tensors);
  }
  if (prepared !== null) backend.disposeData(prepared.dataId);
}

/** A product with the kernel of one variant; `gate` halves its rows. */
export function multiply(
  backend: WebGPUBackendLike,
  variant: WebGPUVariant,
  product: Product,
  {activation, gate}: Pick<Finish, 'activation' | 'gate'>,
): TensorInfo {
  const {layout, x, bias, norm, residual, rowStart, rowEnd} = product;
  const shape = [x.shape[0] as number, gate ? (rowEnd - rowStart) / 2 : rowEnd - rowStart];
  checkIndexRange('QuantizedMatMul', shape);
  const finish: Finish = {bias: bias !== undefined, activation, gate, norm: norm !== undefined, residual: residual !== undefined};
  const plan = planFor(layout, variant, profileOf(backend), shape[0] as number, finish);
  const out = backend.makeTensorInfo(shape, 'float32');
  return orDispose(backend, out, () => recordProduct(backend, plan, product, out));
}

export const quantizedMatMul: KernelFunc = ({inputs, backend: given, attrs}) => {
  const backend = asWebGPU(given);
  healthOf(backend).assertWell();
  const {layout, rowStart, rowEnd, activation} = attrs as unknown as QuantizedMatMulAttrs;
  const x = inputs.x as TensorInfo;
  const {variant} = choiceFor(layout, x.shape[0] as number, rowEnd - rowStart, profileOf(backend));
  verifyOnce(backend, variant);
  return multiply(backend, variant, {layout, x, words: inputs.words as TensorInfo, bias: inputs.bias, rowStart, rowEnd}, {activation});
};
