/**
 * Packed weights with random codes and scales, one for each thing the record can say and for awkward shapes: what every
 * backend's kernels are compared with kernels/cpu on. The same weights on every call and on every machine.
 */
import {floatBits} from '../../kernels/float_codes.js';
import {
  type Decode,
  type FloatType,
  type Grid,
  grid,
  type Level,
  type LevelType,
  type WeightLayout,
  type Zero,
} from '../../kernels/layout.js';
import {sliceWords} from '../../kernels/slice.js';
import {allocateWords, packCodes, packZeros, partsOf} from '../../kernels/words.js';
import {type Random, seeded} from './random.js';

export interface NamedWeight {
  readonly name: string;
  readonly layout: WeightLayout;
  readonly words: Int32Array;
}

export {type Random, randomX, seeded} from './random.js';

/** The structure of a weight; what is left out is absent. Shapes of grids are filled in. */
export interface Structure {
  n: number;
  k: number;
  planes: readonly number[];
  decode?: Decode;
  zero?: number | readonly [rows: number, columns: number];
  /** Each [type, rows, columns, divide]. */
  scales?: readonly (readonly [LevelType, number, number, boolean?])[];
  offsets?: readonly (readonly [LevelType, number, number])[];
  ordered?: boolean;
  /** Uneven groups: how many. Grids with more than one column are read through groupIndex. */
  groups?: number;
}

const float = (type: FloatType): Decode => ({kind: 'float', type});

// Not the values of any producer: only distinct, unevenly spaced and exact in float32.
const TABLE = [
  -1, -0.6962890625, -0.525, -0.395, -0.2844, -0.185, -0.0911, 0, 0.0796, 0.1609, 0.2461, 0.3379, 0.4407, 0.5626, 0.723, 1,
].map(Math.fround);

/** A stored entry of a level: small, finite, never 0 where it may divide; a few are subnormal in float16 or e4m3. */
export function randomEntry(type: LevelType, random: Random): number {
  switch (type) {
    case 'float32':
      return Math.fround(random() * 0.1 + 0.001);
    case 'float16':
      return random() < 0.2 ? 1 + Math.floor(random() * 0x3ff) : 0x1800 + Math.floor(random() * 0x1400);
    case 'bfloat16':
      return 0x3b00 + Math.floor(random() * 0x180);
    case 'float8_e8m0fnu':
      return 116 + Math.floor(random() * 12);
    case 'float8_e4m3fn':
      return 1 + Math.floor(random() * 0x50);
    case 'int8':
      return random() < 0.5 ? 1 + Math.floor(random() * 63) : -32 - Math.floor(random() * 32);
    case 'uint8':
      return 1 + Math.floor(random() * 63);
  }
}

/** An entry with its sign flipped: floats are codes here, whose sign is the top bit. */
function negated(type: LevelType, entry: number): number {
  if (type === 'float16' || type === 'bfloat16') return entry ^ 0x8000;
  return type === 'float32' || type === 'int8' ? -entry : entry;
}

const NAN_FREE: Partial<Record<FloatType, (code: number) => boolean>> = {
  float16: (c) => (c & 0x7c00) !== 0x7c00,
  bfloat16: (c) => (c & 0x7f80) >= 0x3000 && (c & 0x7f80) <= 0x4200,
  float8_e4m3fn: (c) => (c & 0x7f) !== 0x7f,
  float8_e5m2: (c) => (c & 0x7c) !== 0x7c && (c & 0x7c) < 0x60,
  float8_e4m3fnuz: (c) => c !== 0x80,
  float8_e5m2fnuz: (c) => c !== 0x80 && (c & 0x7c) < 0x60,
};

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

function randomCode(decode: Decode, bits: number, random: Random): number {
  if (decode.kind !== 'float') return Math.floor(random() * 2 ** bits);
  if (decode.type === 'float32') {
    scratch[0] = random() * 2 - 1;
    return scratchBits[0] as number;
  }
  const finite = NAN_FREE[decode.type];
  for (;;) {
    const code = Math.floor(random() * 2 ** floatBits(decode.type));
    if (finite === undefined || finite(code)) return code;
  }
}

/** A weight of this structure with random contents. */
export function buildWeight(name: string, structure: Structure, seed: number): NamedWeight {
  const {n, k, planes, groups} = structure;
  const random = seeded(seed);
  const decode = structure.decode ?? {kind: 'integer'};
  const gridOf = (rows: number, columns: number): Grid => {
    const plain = grid(n, k, rows, columns);
    if (groups === undefined || columns >= k) return plain;
    return {...plain, indexed: true, shape: [plain.shape[0], groups]};
  };
  const level = ([type, rows, columns, divide]: readonly [LevelType, number, number, boolean?]): Level => ({
    grid: gridOf(rows, columns),
    type,
    divide: divide === true,
  });
  const zero: Zero =
    structure.zero === undefined
      ? {kind: 'none'}
      : typeof structure.zero === 'number'
        ? {kind: 'constant', value: structure.zero}
        : {kind: 'codes', grid: gridOf(structure.zero[0], structure.zero[1])};
  const layout: WeightLayout = {
    outDim: n,
    inDim: k,
    planes,
    decode,
    zero,
    scales: (structure.scales ?? []).map(level),
    offsets: (structure.offsets ?? []).map(level),
    ordered: structure.ordered === true,
    indexed: groups !== undefined,
  };
  const words = allocateWords(layout);
  const parts = partsOf(layout, words);
  const bits = planes.reduce((a, b) => a + b, 0);
  packCodes(
    layout,
    parts,
    Array.from({length: n * k}, () => randomCode(decode, bits, random)),
  );
  layout.scales.forEach((l, i) =>
    parts.scales[i]?.set(Array.from({length: l.grid.shape[0] * l.grid.shape[1]}, () => randomEntry(l.type, random))),
  );
  layout.offsets.forEach((l, i) => {
    const entry = () => (i === 0 ? negated(l.type, randomEntry(l.type, random)) : randomEntry(l.type, random));
    parts.offsets[i]?.set(Array.from({length: l.grid.shape[0] * l.grid.shape[1]}, entry));
  });
  if (zero.kind === 'codes') {
    packZeros(
      layout,
      parts,
      Array.from({length: zero.grid.shape[0] * zero.grid.shape[1]}, () => Math.floor(random() * 2 ** bits)),
    );
  }
  if (layout.ordered) parts.order.set(shuffled(k, random));
  if (groups !== undefined)
    parts.groupIndex.set(Array.from({length: k}, (_, j) => Math.min(groups - 1, Math.floor(((j * (j + 3)) / (k * (k + 3))) * groups))));
  return {name, layout, words};
}

function shuffled(length: number, random: Random): number[] {
  const order = Array.from({length}, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

function sliced(name: string, from: NamedWeight, rows: readonly [number, number], columns: readonly [number, number]): NamedWeight {
  return {name, ...sliceWords(from.layout, from.words, rows, columns)};
}

const f16 = 'float16' as const;
const f32 = 'float32' as const;

const STRUCTURES: Readonly<Record<string, Structure>> = {
  // Widths of a code, with groups.
  'int1 g32': {n: 9, k: 128, planes: [1], zero: 1, scales: [[f16, 1, 32]]},
  'int2 g32 zeros': {n: 12, k: 128, planes: [2], zero: [1, 32], scales: [[f16, 1, 32]]},
  'int3 g64 zeros': {n: 10, k: 128, planes: [2, 1], zero: [1, 64], scales: [[f16, 1, 64]]},
  'int4 g32': {n: 16, k: 128, planes: [4], zero: 8, scales: [[f16, 1, 32]]},
  'int4 g128 zeros': {n: 24, k: 256, planes: [4], zero: [1, 128], scales: [[f16, 1, 128]]},
  'int4 per channel': {n: 11, k: 96, planes: [4], zero: 8, scales: [[f32, 1, 96]]},
  'int5 g32 offset': {n: 9, k: 64, planes: [4, 1], scales: [[f16, 1, 32]], offsets: [[f16, 1, 32]]},
  'int6 g16 two levels': {
    n: 7,
    k: 256,
    planes: [4, 2],
    zero: 32,
    scales: [
      [f16, 1, 256],
      ['int8', 1, 16],
    ],
  },
  'int7 g32 zeros': {n: 6, k: 96, planes: [4, 2, 1], zero: [1, 32], scales: [[f16, 1, 32]]},
  'int7 K=41': {n: 4, k: 41, planes: [4, 2, 1], zero: 64, scales: [[f16, 1, 32]]},
  'int8 per channel': {n: 17, k: 96, planes: [8], zero: 128, scales: [[f32, 1, 96]]},
  'int8 g32 zeros': {n: 8, k: 64, planes: [8], zero: [1, 32], scales: [[f32, 1, 32]]},
  int16: {n: 5, k: 40, planes: [16], zero: 32768, scales: [[f32, 5, 40]]},
  int32: {n: 4, k: 24, planes: [32], zero: 2147483648, scales: [[f32, 4, 24]]},
  'int4 unscaled': {n: 6, k: 64, planes: [4]},
  // Superblocks: two levels of scale and of offset.
  'int4 superblock': {
    n: 6,
    k: 512,
    planes: [4],
    scales: [
      [f16, 1, 256],
      ['uint8', 1, 32],
    ],
    offsets: [
      [f16, 1, 256],
      ['uint8', 1, 32],
    ],
  },
  'int2 superblock': {
    n: 5,
    k: 512,
    planes: [2],
    scales: [
      [f16, 1, 256],
      ['uint8', 1, 16],
    ],
    offsets: [
      [f16, 1, 256],
      ['uint8', 1, 16],
    ],
  },
  'int4 bf16 offset': {n: 6, k: 64, planes: [4], scales: [['bfloat16', 1, 32]], offsets: [['bfloat16', 1, 32]]},
  // Floats and tables.
  'e4m3fn blocks 16x32': {n: 40, k: 96, planes: [8], decode: float('float8_e4m3fn'), scales: [[f32, 16, 32]]},
  'e4m3fn per channel bf16': {n: 9, k: 72, planes: [8], decode: float('float8_e4m3fn'), scales: [['bfloat16', 1, 72]]},
  'e4m3fn per tensor, divide': {n: 6, k: 64, planes: [8], decode: float('float8_e4m3fn'), scales: [[f32, 6, 64, true]]},
  'e5m2 per tensor': {n: 6, k: 64, planes: [8], decode: float('float8_e5m2'), scales: [[f32, 6, 64]]},
  e4m3fnuz: {n: 6, k: 64, planes: [8], decode: float('float8_e4m3fnuz'), scales: [[f32, 1, 64]]},
  e5m2fnuz: {n: 6, k: 64, planes: [8], decode: float('float8_e5m2fnuz'), scales: [[f32, 1, 64]]},
  'e2m1 e8m0 g32': {n: 10, k: 128, planes: [4], decode: float('float4_e2m1fn'), scales: [['float8_e8m0fnu', 1, 32]]},
  'e2m1 e4m3 g16, divide': {
    n: 10,
    k: 128,
    planes: [4],
    decode: float('float4_e2m1fn'),
    scales: [
      ['float8_e4m3fn', 1, 16],
      [f32, 10, 128, true],
    ],
  },
  float16: {n: 7, k: 33, planes: [16], decode: float('float16')},
  bfloat16: {n: 7, k: 33, planes: [16], decode: float('bfloat16')},
  float32: {n: 3, k: 17, planes: [32], decode: float('float32')},
  'table g64': {n: 9, k: 128, planes: [4], decode: {kind: 'table', table: TABLE}, scales: [[f32, 1, 64]]},
  'table superblock': {
    n: 4,
    k: 256,
    planes: [4],
    decode: {kind: 'table', table: TABLE.map((v) => Math.round(v * 127))},
    scales: [
      [f16, 1, 256],
      ['int8', 1, 32],
    ],
  },
  // Column order and uneven groups.
  'int4 g32 ordered': {n: 12, k: 128, planes: [4], zero: 8, scales: [[f16, 1, 32]], ordered: true},
  'int4 g32 zeros ordered': {n: 12, k: 128, planes: [4], zero: [1, 32], scales: [[f16, 1, 32]], ordered: true},
  'int8 g32 ordered': {n: 6, k: 64, planes: [8], zero: [1, 32], scales: [[f16, 1, 32]], ordered: true},
  'int4 indexed': {n: 8, k: 96, planes: [4], zero: [1, 32], scales: [[f16, 1, 32]], groups: 5},
  'int4 indexed ordered': {n: 8, k: 96, planes: [4], zero: 8, scales: [[f16, 1, 32]], ordered: true, groups: 4},
  // Awkward shapes.
  'int4 K=40 g32': {n: 5, k: 40, planes: [4], zero: [1, 32], scales: [[f16, 1, 32]]},
  'int8 K=40 g32': {n: 5, k: 40, planes: [8], zero: [1, 32], scales: [[f16, 1, 32]]},
  'int3 K=40 g32': {n: 5, k: 40, planes: [2, 1], zero: [1, 32], scales: [[f16, 1, 32]]},
  'int4 K=96 g32': {n: 32, k: 96, planes: [4], zero: 8, scales: [[f16, 1, 32]]},
  'int4 N=1': {n: 1, k: 64, planes: [4], zero: 8, scales: [[f16, 1, 32]]},
  'int4 N=3': {n: 3, k: 64, planes: [4], zero: [1, 32], scales: [[f16, 1, 32]]},
  'int4 K=37 N=3 g10': {n: 3, k: 37, planes: [4], zero: [1, 10], scales: [[f32, 1, 10]]},
  'int8 K=1': {n: 5, k: 1, planes: [8], zero: 128, scales: [[f32, 1, 1]]},
  'int4 K=3': {n: 6, k: 3, planes: [4], zero: 8, scales: [[f32, 1, 3]]},
  'int5 K=70 offset': {n: 4, k: 70, planes: [4, 1], scales: [[f16, 1, 32]], offsets: [[f16, 1, 32]]},
  'int4 blocks 4x32 zeros': {n: 10, k: 64, planes: [4], zero: [4, 32], scales: [[f32, 4, 32]]},
  'int4 zeros and scales on two grids': {n: 10, k: 64, planes: [4], zero: [1, 64], scales: [[f32, 2, 16]], offsets: [[f32, 10, 32]]},
  'int8 divide by two levels': {
    n: 5,
    k: 64,
    planes: [8],
    zero: 128,
    scales: [
      [f32, 1, 32, true],
      [f32, 5, 64, true],
    ],
  },
};

/** Every weight of the grid. */
export function randomWeights(): NamedWeight[] {
  const built = new Map(Object.entries(STRUCTURES).map(([name, s], i) => [name, buildWeight(name, s, 1000 + i)]));
  const from = (name: string) => built.get(name) as NamedWeight;
  return [
    ...built.values(),
    // Phases: a cut inside a block of rows or a group of columns.
    sliced('e4m3fn blocks cut inside', from('e4m3fn blocks 16x32'), [5, 39], [8, 80]),
    sliced('e4m3fn blocks cut at 7', from('e4m3fn blocks 16x32'), [3, 18], [7, 61]),
    sliced('int4 cut inside a group', from('int4 g128 zeros'), [2, 19], [40, 232]),
    sliced('int4 cut at 3', from('int4 g32'), [1, 15], [3, 90]),
    sliced('int6 cut inside', from('int6 g16 two levels'), [1, 6], [24, 200]),
    sliced('int4 ordered cut', from('int4 g32 zeros ordered'), [3, 12], [32, 96]),
    sliced('int4 superblock cut', from('int4 superblock'), [0, 5], [40, 392]),
  ];
}
