/** A layout as the fields that assembly/layout.ts reads. */
import {decodeTable} from '../float_codes.js';
import {type Decode, type Grid, type Level, type LevelType, sectionsOf, type WeightLayout} from '../layout.js';
import {remember} from '../memo.js';
import type {WasmHeap} from './module.js';

const FIELDS = 88;

/** SMALL_FLOATS and what follows it in assembly/layout.ts: four words each. */
const CONSTANTS = [0x87f087f0, 0xffff0000, 0x0f0f0f0f, 0x8fffe000, 0x00100010] as const;

/** What the exponent of a code lacks when its bits are read as a float32's: 127 minus its bias. */
const EXPONENT_SHIFT: Readonly<Record<string, number>> = {float16: 112, float8_e4m3fn: 120, float8_e4m3fnuz: 119};

/** x is multiplied by 2^60 beforehand, so that products with such numbers stay far from float32's lower end. */
const X_EXPONENT_SHIFT = 60;

export function exponentShiftOfX(decode: Decode): number {
  return decode.kind === 'float' && decode.type in EXPONENT_SHIFT ? X_EXPONENT_SHIFT : 0;
}

const LEVEL_TYPES: Readonly<Record<LevelType, number>> = {
  float32: 0,
  float16: 1,
  bfloat16: 2,
  float8_e8m0fnu: 3,
  float8_e4m3fn: 4,
  int8: 5,
  uint8: 6,
};

const cache = new WeakMap<WasmHeap, WeakMap<WeightLayout, Int32Array>>();

/** The fields of a layout, made once a layout and heap. */
export function descriptorOf(heap: WasmHeap, layout: WeightLayout): Int32Array {
  const byLayout = remember(cache, heap, () => new WeakMap());
  return remember(byLayout, layout, () => describe(heap, layout));
}

/** 4-bit numbers that are small integers times a power of two, as the integer kernels take them; null where they are not. */
export function integerTable(decode: Decode): {table: Int8Array; factor: number} | null {
  const numbers = sixteenNumbers(decode);
  if (numbers === null) return null;
  for (const factor of [1, 0.5]) {
    const scaled = numbers.map((v) => v / factor);
    if (scaled.every((v) => Number.isInteger(v) && v >= -128 && v <= 127)) return {table: Int8Array.from(scaled), factor};
  }
  return null;
}

function sixteenNumbers(decode: Decode): number[] | null {
  if (decode.kind === 'table') return [...decode.table];
  return decode.kind === 'float' && decode.type === 'float4_e2m1fn' ? [...decodeTable(decode.type)] : null;
}

function describe(heap: WasmHeap, layout: WeightLayout): Int32Array {
  const f = new Int32Array(FIELDS);
  CONSTANTS.forEach((word, i) => f.fill(word, 64 + 4 * i, 68 + 4 * i));
  const sections = sectionsOf(layout);
  f.set([
    layout.outDim,
    layout.inDim,
    sections.rowWords,
    layout.planes.length,
    layout.planes[0] ?? 0,
    layout.planes[1] ?? 0,
    sections.planeStarts[1] ?? 0,
  ]);
  f.set([layout.planes[2] ?? 0, sections.planeStarts[2] ?? 0, sections.zeros.start + (sections.zeroPlaneStarts[2] ?? 0)], 60);
  describeDecode(heap, layout.decode, f);
  const {zero} = layout;
  if (zero.kind === 'constant') f.set([1, zero.value], 10);
  if (zero.kind === 'codes') {
    f.set([2, 0, sections.zeros.start, sections.zeros.start + (sections.zeroPlaneStarts[1] ?? 0)], 10);
    f.set(gridFields(zero.grid), 14);
  }
  f.set([layout.scales.length, layout.offsets.length, layout.scales[0]?.divide ? 1 : 0, layout.scales[1]?.divide ? 1 : 0], 20);
  f.set([layout.ordered ? sections.order.start : -1, sections.groupIndex.start], 24);
  const levels: [readonly Level[], typeof sections.scales, number][] = [
    [layout.scales, sections.scales, 28],
    [layout.offsets, sections.offsets, 44],
  ];
  for (const [list, places, at] of levels) {
    list.forEach((level, i) => f.set([...gridFields(level.grid), LEVEL_TYPES[level.type], places[i]?.start ?? 0], at + 8 * i));
  }
  const small = [...layout.scales, ...layout.offsets].some((l) => l.type === 'float8_e4m3fn');
  if (small) f[26] = heap.table('float8_e4m3fn', () => decodeTable('float8_e4m3fn'));
  return f;
}

function gridFields(g: Grid): number[] {
  return [g.rows, g.columns, g.rowPhase, g.columnPhase, g.indexed ? 1 : 0, g.shape[1]];
}

function describeDecode(heap: WasmHeap, decode: Decode, f: Int32Array): void {
  const integers = integerTable(decode);
  if (integers !== null) {
    f[7] = 6;
    f[8] = heap.table(`int:${integers.table.join()}`, () => integers.table);
    new Float32Array(f.buffer)[9] = integers.factor;
    f[84] = Math.min(...integers.table);
  } else if (decode.kind === 'table') {
    f[7] = 5;
    f[8] = heap.table(`float:${decode.table.join()}`, () => Float32Array.from(decode.table));
  } else if (decode.kind === 'float') {
    const kind = {float32: 1, float16: 2, bfloat16: 3}[decode.type as string];
    const shift = EXPONENT_SHIFT[decode.type] ?? 0;
    f[7] = kind ?? (shift === 0 ? 4 : 7);
    new Float32Array(f.buffer)[9] = 2 ** (shift === 0 ? 0 : shift - X_EXPONENT_SHIFT);
    if (kind === undefined) {
      const type = decode.type as 'float8_e5m2';
      f[8] = heap.table(type, () => decodeTable(type));
    }
  }
}
