/** Which of the webgpu kernels multiplies: a pure function of the problem and the device. */

export type WebGPUVariant = 'gemv_thread' | 'gemv_tree' | 'gemv_subgroup' | 'gemm_registers' | 'gemm_tiles' | 'gemm_tiles_f16' | 'plain';

export const WEBGPU_VARIANTS: readonly WebGPUVariant[] = [
  'gemv_thread',
  'gemv_tree',
  'gemv_subgroup',
  'gemm_registers',
  'gemm_tiles',
  'gemm_tiles_f16',
  'plain',
];

export interface Problem {
  /** M */
  readonly rows: number;
  /** N */
  readonly outDim: number;
  /** K */
  readonly inDim: number;
  /** Groups begin at whole words, so that codes are decoded a chunk at a time. */
  readonly chunked: boolean;
}

export interface Device {
  readonly limits: {
    readonly maxComputeInvocationsPerWorkgroup: number;
    readonly maxComputeWorkgroupSizeX: number;
    readonly maxComputeWorkgroupStorageSize: number;
  };
  readonly features: ReadonlySet<string>;
  /** Shaders run on a CPU. */
  readonly software: boolean;
}

export interface WebGPUChoice {
  readonly variant: WebGPUVariant;
  readonly reason: string;
}

/** Bytes of workgroup memory, and threads, that the tile kernel takes. */
export const TILE_BYTES = 16384;
export const TILE_THREADS = 256;

/** Rows of x from which a tile of expanded weights pays on a GPU: fewer leave most of a tile idle. */
const TILE_ROWS = 9;

/** Why a device or weight cannot run a variant, or null. */
export function obstacle(variant: WebGPUVariant, problem: Problem, device: Device): string | null {
  const {limits, features} = device;
  if (variant === 'plain') return null;
  if (!problem.chunked) return 'groups are uneven or begin inside a word';
  if (variant === 'gemv_subgroup' && !features.has('subgroups')) return 'the device has no subgroups';
  if (variant === 'gemm_tiles_f16' && !features.has('shader-f16')) return 'the device has no shader-f16';
  if (variant.startsWith('gemm_tiles')) {
    if (limits.maxComputeInvocationsPerWorkgroup < TILE_THREADS || limits.maxComputeWorkgroupSizeX < TILE_THREADS) {
      return `the device has no workgroups of ${TILE_THREADS} threads`;
    }
    if (limits.maxComputeWorkgroupStorageSize < TILE_BYTES) return `the device has no ${TILE_BYTES} bytes of workgroup memory`;
  }
  return null;
}

/**
 * @param forced a variant to use where it can, instead of the fastest
 * 'gemm_tiles_f16' rounds x and W to 16 bits (2e-3) and runs only where it is forced.
 */
export function chooseWebGPU(problem: Problem, device: Device, forced: WebGPUVariant | null = null): WebGPUChoice {
  const why = (variant: WebGPUVariant) => obstacle(variant, problem, device);
  if (forced !== null) {
    const against = why(forced);
    if (against === null) return {variant: forced, reason: 'forced'};
    const {variant, reason} = chooseWebGPU(problem, device);
    return {variant, reason: `${forced} was asked for, but ${against}; ${reason}`};
  }
  if (!problem.chunked) return {variant: 'plain', reason: 'groups are uneven or begin inside a word: every code is decoded by itself'};
  if (device.software) {
    return problem.rows < 4
      ? {variant: 'gemv_thread', reason: 'shaders run on a CPU: whole rows in a thread, no barriers'}
      : {variant: 'gemm_registers', reason: 'shaders run on a CPU: 8 x 8 results in registers'};
  }
  if (problem.rows >= TILE_ROWS && why('gemm_tiles') === null) {
    return {variant: 'gemm_tiles', reason: `${problem.rows} rows share weights expanded in workgroup memory`};
  }
  return why('gemv_subgroup') === null
    ? {variant: 'gemv_subgroup', reason: 'few rows: the weight is read once, lanes add up in subgroups'}
    : {variant: 'gemv_tree', reason: 'few rows: the weight is read once, lanes add up in workgroup memory'};
}
