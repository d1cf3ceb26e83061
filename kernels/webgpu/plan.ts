/** Shaders and sizes for one layout and variant, made once and kept with the layout. */
import type {WebGPUVariant} from '../choose.js';
import type {WeightLayout} from '../layout.js';
import {remember} from '../memo.js';
import type {DeviceProfile} from './backend.js';
import {type Chunking, chunkingOf} from './chunk.js';
import type {Finish} from './finish.wgsl.js';
import {type Numbers, numbersOf} from './numbers.wgsl.js';
import {Params} from './params.js';
import {PLAIN_X_ROWS, plainShader} from './plain.wgsl.js';
import {prepareShader} from './prepare.wgsl.js';
import type {Shader} from './record.js';
import {type InputName, type RowsShape, type RowsSource, rowsShader} from './rows.wgsl.js';
import {reachFor, tileOf, tilesShader} from './tiles.wgsl.js';

export interface Plan {
  readonly shader: Shader;
  readonly params: Params;
  readonly inputs: readonly InputName[];
  /** Workgroups for n rows of W and m rows of x. */
  workgroups(n: number, m: number): number;
  /** The pass over x, where the kernel needs one. */
  readonly prepare: {readonly shader: Shader; readonly params: Params; readonly stride: number} | null;
}

const plans = new WeakMap<WeightLayout, Map<string, Plan>>();

/** The plan for `rows` rows of x: the shader depends on them only by how many a thread takes. */
export function planFor(layout: WeightLayout, variant: WebGPUVariant, profile: DeviceProfile, rows: number, finish: Finish): Plan {
  const shape = shapeOf(variant, profile, rows);
  const key = JSON.stringify([variant, shape, profile.software, finish]);
  return remember(
    remember(plans, layout, () => new Map()),
    key,
    () => {
      if (shape !== null) return rowsPlan(layout, variant, shape, finish);
      return variant === 'plain' ? plainPlan(layout, finish) : tilesPlan(layout, variant, profile.software, finish);
    },
  );
}

/** null: the variant is not one of rows. */
function shapeOf(variant: WebGPUVariant, profile: DeviceProfile, rows: number): RowsShape | null {
  return variant === 'plain' || variant.startsWith('gemm_tiles') ? null : rowsShapeFor(variant, profile, rows);
}

const chunkingFor = (layout: WeightLayout, variant: WebGPUVariant) =>
  chunkingOf(layout, variant === 'gemv_thread' ? 'word' : 'long') as Chunking;

/** Rows of x that a thread holds: as many as there are, up to `most`, in powers of two. */
function xRowsFor(rows: number, most: number): number {
  let x = 1;
  while (x < rows && x < most) x *= 2;
  return x;
}

/**
 * What of a norm before and a gate after a product of `rows` rows its kernel can do itself. Norms take x as it was given; gates take both halves of the
 * weight in one dispatch.
 */
export function canFuse(
  layout: WeightLayout,
  variant: WebGPUVariant,
  profile: DeviceProfile,
  rows: number,
): {norm: boolean; gate: boolean} {
  const shape = shapeOf(variant, profile, rows);
  if (shape === null) return {norm: false, gate: false};
  return {norm: readsGiven(layout, chunkingFor(layout, variant), shape), gate: true};
}

export function rowsShapeFor(variant: WebGPUVariant, profile: DeviceProfile, rows: number): RowsShape {
  switch (variant) {
    case 'gemv_thread':
      return {rows: 8, xRows: xRowsFor(rows, 2), lanes: 1, reduction: 'none', workgroup: 8};
    case 'gemm_registers':
      return {rows: 8, xRows: xRowsFor(rows, 8), lanes: 1, reduction: 'none', workgroup: 8};
    case 'gemv_subgroup':
      return {
        rows: 4,
        xRows: xRowsFor(rows, 4),
        lanes: profile.software ? 8 : 32,
        reduction: 'subgroup',
        workgroup: profile.software ? 8 : 32,
      };
    default:
      return {rows: 4, xRows: xRowsFor(rows, 4), lanes: profile.software ? 8 : 32, reduction: 'tree', workgroup: profile.software ? 8 : 32};
  }
}

function shaderOf(label: string, source: RowsSource): Shader {
  return {label, code: source.code, inputs: source.inputs.length};
}

function plainPlan(layout: WeightLayout, finish: Finish): Plan {
  const params = new Params();
  const source = plainShader(layout, params, finish);
  return {
    shader: shaderOf('plain', source),
    params,
    inputs: source.inputs,
    workgroups: (n, m) => n * Math.ceil(m / PLAIN_X_ROWS),
    prepare: null,
  };
}

function tilesPlan(layout: WeightLayout, variant: WebGPUVariant, software: boolean, finish: Finish): Plan {
  const shape = {reach: reachFor(software), half: variant === 'gemm_tiles_f16'};
  const tile = tileOf(shape.reach);
  const chunking = chunkingOf(layout, 'short') as Chunking;
  const params = new Params();
  const source = tilesShader(layout, chunking, numbersOf(layout), params, shape, finish);
  return {
    shader: shaderOf(variant, source),
    params,
    inputs: source.inputs,
    workgroups: (n, m) => Math.ceil(n / tile) * Math.ceil(m / tile),
    prepare: null,
  };
}

function rowsPlan(layout: WeightLayout, variant: WebGPUVariant, shape: RowsShape, finish: Finish): Plan {
  const chunking = chunkingFor(layout, variant);
  const params = new Params();
  const numbers = numbersOf(layout);
  const asGiven = readsGiven(layout, chunking, shape);
  const prepare = asGiven ? null : preparePlan(layout, chunking, numbers);
  params.add('stride', prepare === null ? layout.inDim : prepare.stride);
  const source = rowsShader(layout, chunking, numbers, params, shape, finish, asGiven);
  const perGroup = shape.lanes > 1 ? 1 : shape.workgroup;
  return {
    shader: shaderOf(variant, source),
    params,
    inputs: source.inputs,
    workgroups: (n, m) => Math.ceil((Math.ceil(n / (finish.gate ? shape.rows / 2 : shape.rows)) * Math.ceil(m / shape.xRows)) / perGroup),
    prepare,
  };
}

/** Rows of x a thread up to which it makes them lighter itself: a dispatch costs more. */
const LIGHT_ROWS = 4;

/** Whether x is read as it was given: in order, whole chunks, few rows. */
function readsGiven({ordered}: WeightLayout, {guarded}: Chunking, {xRows}: RowsShape): boolean {
  return !ordered && !guarded && xRows <= LIGHT_ROWS;
}

/** null where x can be read as it is: in order, whole chunks, codes that need no lighter x. */
function preparePlan(layout: WeightLayout, chunking: Chunking, numbers: Numbers): Plan['prepare'] {
  if (!layout.ordered && numbers.period === 0 && !chunking.guarded) return null;
  const params = new Params();
  const code = prepareShader(layout, chunking, numbers, params);
  const stride = chunking.columns * chunking.count;
  return {shader: {label: 'prepare x', code, inputs: 2}, params, stride};
}
