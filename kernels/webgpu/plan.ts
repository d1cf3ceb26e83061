/** Shaders and sizes for one layout and variant, made once and kept with the layout. */
import type {Activation} from '../activation.js';
import type {WebGPUVariant} from '../choose.js';
import type {WeightLayout} from '../layout.js';
import type {DeviceProfile} from './backend.js';
import {type Chunking, chunkingOf} from './chunk.js';
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
export function planFor(
  layout: WeightLayout,
  variant: WebGPUVariant,
  profile: DeviceProfile,
  rows: number,
  hasBias: boolean,
  activation: Activation | null,
): Plan {
  const shape = variant === 'plain' || variant.startsWith('gemm_tiles') ? null : rowsShapeFor(variant, profile, rows);
  const key = JSON.stringify([variant, shape, profile.software, hasBias, activation]);
  let known = plans.get(layout);
  if (known === undefined) {
    known = new Map();
    plans.set(layout, known);
  }
  let plan = known.get(key);
  if (plan === undefined) {
    if (shape !== null) plan = rowsPlan(layout, variant, shape, hasBias, activation);
    else if (variant === 'plain') plan = plainPlan(layout, hasBias, activation);
    else plan = tilesPlan(layout, variant, profile.software, hasBias, activation);
    known.set(key, plan);
  }
  return plan;
}

/** Rows of x that a thread holds: as many as there are, up to `most`, in powers of two. */
function xRowsFor(rows: number, most: number): number {
  let x = 1;
  while (x < rows && x < most) x *= 2;
  return x;
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

function plainPlan(layout: WeightLayout, hasBias: boolean, activation: Activation | null): Plan {
  const params = new Params();
  const source = plainShader(layout, params, hasBias, activation);
  return {
    shader: shaderOf('plain', source),
    params,
    inputs: source.inputs,
    workgroups: (n, m) => n * Math.ceil(m / PLAIN_X_ROWS),
    prepare: null,
  };
}

function tilesPlan(layout: WeightLayout, variant: WebGPUVariant, software: boolean, hasBias: boolean, activation: Activation | null): Plan {
  const shape = {reach: reachFor(software), half: variant === 'gemm_tiles_f16'};
  const tile = tileOf(shape.reach);
  const chunking = chunkingOf(layout, 'short') as Chunking;
  const params = new Params();
  const source = tilesShader(layout, chunking, numbersOf(layout), params, shape, hasBias, activation);
  return {
    shader: shaderOf(variant, source),
    params,
    inputs: source.inputs,
    workgroups: (n, m) => Math.ceil(n / tile) * Math.ceil(m / tile),
    prepare: null,
  };
}

function rowsPlan(layout: WeightLayout, variant: WebGPUVariant, shape: RowsShape, hasBias: boolean, activation: Activation | null): Plan {
  const chunking = chunkingOf(layout, variant === 'gemv_thread' ? 'word' : 'long') as Chunking;
  const params = new Params();
  const numbers = numbersOf(layout);
  const prepare = preparePlan(layout, chunking, numbers);
  params.add('stride', prepare === null ? layout.inDim : prepare.stride);
  const source = rowsShader(layout, chunking, numbers, params, shape, hasBias, activation);
  const perGroup = shape.lanes > 1 ? 1 : shape.workgroup;
  return {
    shader: shaderOf(variant, source),
    params,
    inputs: source.inputs,
    workgroups: (n, m) => Math.ceil((Math.ceil(n / shape.rows) * Math.ceil(m / shape.xRows)) / perGroup),
    prepare,
  };
}

/** null where x can be read as it is: in order, whole chunks, codes that need no lighter x. */
function preparePlan(layout: WeightLayout, chunking: Chunking, numbers: Numbers): Plan['prepare'] {
  if (!layout.ordered && numbers.period === 0 && !chunking.guarded) return null;
  const params = new Params();
  const code = prepareShader(layout, chunking, numbers, params);
  const stride = chunking.columns * chunking.count;
  return {shader: {label: 'prepare x', code, inputs: 2}, params, stride};
}
