/** A layout as the integers that native/layout.h reads, and the 16 numbers of a table. */
import {decodeTable} from '../float_codes.js';
import {
  type Decode,
  type FloatType,
  type Grid,
  type Level,
  type LevelType,
  type Section,
  sectionsOf,
  type WeightLayout,
} from '../layout.js';
import {remember} from '../memo.js';
import {integerTable} from '../wasm/descriptor.js';

export interface Descriptor {
  readonly fields: readonly number[];
  /** Empty, or 16. */
  readonly table: readonly number[];
}

const LEVEL_TYPES: readonly LevelType[] = ['float32', 'float16', 'bfloat16', 'float8_e8m0fnu', 'float8_e4m3fn', 'int8', 'uint8'];

const FLOATS: readonly FloatType[] = [
  'float32',
  'float16',
  'bfloat16',
  'float8_e4m3fn',
  'float8_e5m2',
  'float8_e4m3fnuz',
  'float8_e5m2fnuz',
];
const TABLE = 8;

const cache = new WeakMap<WeightLayout, Descriptor>();

/** Made once a layout. */
export function descriptorOf(layout: WeightLayout): Descriptor {
  return remember(cache, layout, () => describe(layout));
}

function describe(layout: WeightLayout): Descriptor {
  const sections = sectionsOf(layout);
  const {planes, zero, scales, offsets} = layout;
  const threePlanes = (values: readonly number[]) => [0, 1, 2].map((p) => values[p] ?? 0);
  const table = tableOf(layout.decode);
  const fields = [
    ...[layout.outDim, layout.inDim, sections.rowWords],
    ...[planes.length, ...threePlanes(planes), ...threePlanes(sections.planeStarts)],
    ...[decodeKind(layout.decode), halvesOf(layout.decode)],
    ...[zero.kind === 'none' ? 0 : zero.kind === 'constant' ? 1 : 2, zero.kind === 'constant' ? zero.value | 0 : 0],
    ...threePlanes(sections.zeroPlaneStarts.map((start) => sections.zeros.start + start)),
    ...(zero.kind === 'codes' ? gridFields(zero.grid) : [0, 0, 0, 0, 0, 0]),
    ...[layout.ordered ? sections.order.start : -1, sections.groupIndex.start],
    ...[scales.length, offsets.length, scales[0]?.divide ? 1 : 0, scales[1]?.divide ? 1 : 0],
    ...twoLevels(scales, sections.scales),
    ...twoLevels(offsets, sections.offsets),
  ];
  return {fields, table};
}

function twoLevels(levels: readonly Level[], places: readonly Section[]): number[] {
  return [0, 1].flatMap((i) => {
    const level = levels[i];
    if (level === undefined) return [0, 0, 0, 0, 0, 0, 0, 0];
    return [...gridFields(level.grid), LEVEL_TYPES.indexOf(level.type), places[i]?.start ?? 0];
  });
}

function gridFields(g: Grid): number[] {
  return [g.rows, g.columns, g.rowPhase, g.columnPhase, g.indexed ? 1 : 0, g.shape[1]];
}

function decodeKind(decode: Decode): number {
  if (decode.kind === 'integer') return 0;
  return decode.kind === 'float' && decode.type !== 'float4_e2m1fn' ? 1 + FLOATS.indexOf(decode.type) : TABLE;
}

function tableOf(decode: Decode): number[] {
  if (decode.kind === 'table') return [...decode.table];
  return decode.kind === 'float' && decode.type === 'float4_e2m1fn' ? [...decodeTable(decode.type)] : [];
}

/** 1 where a table's numbers are small integers, 2 where their doubles are, else 0. */
function halvesOf(decode: Decode): number {
  const integers = integerTable(decode);
  return integers === null ? 0 : 1 / integers.factor;
}
