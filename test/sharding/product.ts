/** What is spread in which ways: every format, every strategy, 2 to 4 devices of two kinds. */
import {Segment, ShardingStrategy} from '../../src/index.js';
import {CASES, caseNamed} from '../grid/cases.js';

/** One of each kind of record: planes, groups, zeros, act-order, blocks, two levels, tables, rounded inputs, floats. */
const KINDS = [
  'dense_f32_bias',
  'dense_bf16_bias',
  'gptq_b4_g32_asym_v1_bias',
  'gptq_b4_g64_asym_act_v2',
  'gptq_b3_g32_asym_act_v2',
  'gptq_b8_gch_asym_act_v1',
  'awq_gemm_g32_bias',
  'ct_int4_pack_g64_actorder_group_gidx',
  'ct_fp8_dynamic_channel',
  'ct_fp8_static_tensor',
  'ct_fp8_block128',
  'deepseek_fp8_block128_96x100',
  'ct_nvfp4',
  'ct_w8a8_int8',
  'fbgemm_fp8_rowwise_bias',
  'gguf_q4_0',
  'gguf_q4_k',
  'gguf_q6_k_n44_bias',
  'gguf_iq4_nl',
];

/** And of every format that we read. */
const OTHERS = CASES.filter(
  ({format}, i) => CASES.findIndex((c) => c.format === format) === i && !KINDS.some((name) => caseNamed(name).format === format),
);
export const FORMATS = [...KINDS, ...OTHERS.map(({name}) => name)];

export const MIXES = [
  ['cpu', 'wasm'],
  ['wasm', 'cpu', 'wasm'],
  ['cpu', 'cpu', 'cpu', 'wasm'],
];

/** Every strategy that fits a weight [rows, columns]. */
export function strategies(n: number, [rows, columns]: readonly [number, number]): ShardingStrategy[] {
  const list = [
    ShardingStrategy.rowwise(n),
    ShardingStrategy.columnwise(n),
    ShardingStrategy.replicate(n),
    ShardingStrategy.axiswise(1, n, {unit: 32}),
    ShardingStrategy.segmented(n, 0, [Segment.headAware(3, 2), Segment.even(rows - 6)]),
    ShardingStrategy.columnwise(n).withShares(Array.from({length: n}, (_, i) => i)),
  ];
  if (rows % 2 === 0) list.push(ShardingStrategy.gateUp(n));
  if (rows % 3 === 0) list.push(ShardingStrategy.stackedQkv(n, rows / 3, 1));
  if (columns % 4 === 0)
    list.push(
      ShardingStrategy.headAwareColumnwise(n, columns / 4, 4),
      ShardingStrategy.segmented(n, 1, [Segment.even(columns / 4), Segment.even((3 * columns) / 4)]),
      ShardingStrategy.gateUp(n, 1),
    );
  return list;
}
