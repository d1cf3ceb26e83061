/** What the bench calls things: named groups of cases of cases.ts, each at some rows of x and some sizes of the weight. */
import {CASES, caseNamed} from './cases.js';

/** The case of a weight; `input`: what x is rounded to, with a scale for each group of the weight's columns. */
export interface BenchCase {
  readonly name: string;
  readonly input?: 'int8';
}

const Q4 = ['gptq_b4_g128_sym_v1_bias', 'gptq_b4_g32_sym_v1'];
const Q4_INT8 = Q4.map((name): BenchCase => ({name, input: 'int8'}));

const GROUPS: Readonly<Record<string, readonly (string | BenchCase)[]>> = {
  q4: Q4,
  'q4-int8': Q4_INT8,
  'q4-zeros': ['awq_gm_gemm_g128_sym', 'gptq_b4_g32_asym_v1_bias'],
  'q4-act': ['gptq_b4_g64_sym_act_v1_bias'],
  'q4-gguf': ['gguf_q4_0', 'gguf_q4_1'],
  q2: ['gptq_b2_g64_asym_v1'],
  q3: ['gptq_b3_g64_asym_v1_bias'],
  q5: ['gguf_q5_0', 'gguf_q5_1'],
  q6: ['gptq_b6_g64_asym_planar_bias'],
  q8: ['gptq_b8_g128_sym_v1', 'ct_w8a8_int8', 'gguf_q8_0'],
  k: ['gguf_q2_k', 'gguf_q3_k', 'gguf_q4_k', 'gguf_q5_k', 'gguf_q6_k'],
  iq4: ['gguf_iq4_nl', 'gguf_iq4_xs'],
  ternary: ['gguf_tq1_0', 'gguf_tq2_0'],
  fp4: ['ct_nvfp4a16', 'ct_mxfp4a16'],
  fp8: ['ct_fp8_dynamic_channel', 'deepseek_fp8_block128_200x320', 'ct_mxfp8a16'],
  f16: ['dense_f16'],
  bf16: ['dense_bf16_bias'],
  f32: ['dense_f32_bias'],
};

/** Rows of x. */
const ROWS = {gemv: 1, gemm: 64} as const;

/** One of each kind of weight, for `linear`. */
const LINEAR = [
  'gptq_b4_g128_sym_v1_bias',
  'gptq_b4_g32_sym_v1',
  ...Q4_INT8,
  'gguf_q4_k',
  'gguf_q5_0',
  'gguf_q5_k',
  'gptq_b6_g64_asym_planar_bias',
  'gguf_q6_k',
  'gptq_b8_g128_sym_v1',
  'ct_fp8_dynamic_channel',
  'dense_f16',
];
const LINEAR_ROWS = [1, 8, 64, 512];

/** How time grows with each dimension: one weight, at parts and multiples of the usual size. */
const GROWING = 'gptq_b4_g128_sym_v1_bias';
const PARTS = [0.125, 0.25, 0.5, 1, 1.5];
const MANY_ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256];

const benchCases = (cases: readonly (string | BenchCase)[]): BenchCase[] => cases.map((c) => (typeof c === 'string' ? {name: c} : c));

/** Names for several groups. */
const SETS: Readonly<Record<string, () => BenchGroup[]>> = {
  linear: () => LINEAR_ROWS.map((rows) => ({name: 'linear', rows, cases: benchCases(LINEAR)})),
  growth: () => [
    ...PARTS.flatMap((part) => [1, 64].map((rows) => ({name: 'growth-n', rows, cases: benchCases([GROWING]), outDim: part}))),
    ...PARTS.flatMap((part) => [1, 64].map((rows) => ({name: 'growth-k', rows, cases: benchCases([GROWING]), inDim: part}))),
    ...MANY_ROWS.map((rows) => ({name: 'growth-m', rows, cases: benchCases([GROWING])})),
  ],
};

export interface BenchGroup {
  /** 'gemv-q4' */
  readonly name: string;
  /** M */
  readonly rows: number;
  /** Of cases.ts. */
  readonly cases: readonly BenchCase[];
  /** N and K as parts of the bench's size. Default 1. */
  readonly outDim?: number;
  readonly inDim?: number;
}

/** Names that `bench` takes, for its help and its errors. */
export function benchNames(): string[] {
  return [...Object.keys(SETS), ...Object.keys(GROUPS).flatMap((name) => [`gemv-${name}`, `gemm-${name}`]), ...CASES.map(({name}) => name)];
}

/** Groups for what was asked: 'gemv-q4' for one, 'q4' or a case's own name for both numbers of rows. Throws for any other name. */
export function benchGroups(names: readonly string[]): BenchGroup[] {
  return names.flatMap((name) => {
    const set = SETS[name];
    if (set !== undefined) return set();
    const [, kind, rest] = /^(gemv|gemm)-(.+)$/.exec(name) ?? [];
    const group = rest ?? name;
    const cases = benchCases(GROUPS[group] ?? [caseNamed(group).name]);
    const kinds = kind === undefined ? (['gemv', 'gemm'] as const) : ([kind as 'gemv' | 'gemm'] as const);
    return kinds.map((k) => ({name: `${k}-${group}`, rows: ROWS[k], cases}));
  });
}
