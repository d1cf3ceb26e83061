/** How many of a thing each device gets. */
import type {Range} from '../../kernels/slice.js';
import {ArgumentError} from '../errors.js';

/** One stretch of an axis that is split on its own: `units` pieces of `unit` entries each; the last may be short. */
export interface Stretch {
  readonly size: number;
  readonly unit: number;
}

/** Units each device gets: as even as can be, the first r one more. */
export function evenCounts(units: number, devices: number): number[] {
  const base = Math.floor(units / devices);
  const extra = units % devices;
  return Array.from({length: devices}, (_, i) => base + (i < extra ? 1 : 0));
}

/** Units in proportion to `shares`, by largest remainder; ties to the earlier device. */
export function sharedCounts(units: number, shares: readonly number[]): number[] {
  const total = shares.reduce((a, b) => a + b, 0);
  const exact = shares.map((s) => (units * s) / total);
  const counts = exact.map(Math.floor);
  const left = units - counts.reduce((a, b) => a + b, 0);
  const byRemainder = exact.map((e, i) => [e - (counts[i] as number), i] as const).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  for (const [, i] of byRemainder.slice(0, left)) counts[i] = (counts[i] as number) + 1;
  return counts;
}

/** Range of a stretch of `size` entries for each device; empty where there are more devices than units. */
export function splitStretch({size, unit}: Stretch, devices: number, shares: readonly number[] | null): Range[] {
  const units = Math.ceil(size / unit);
  const counts = shares === null ? evenCounts(units, devices) : sharedCounts(units, shares);
  let begin = 0;
  return counts.map((count): Range => {
    const first = begin;
    begin = Math.min(size, begin + count * unit);
    return [first, begin];
  });
}

/** Throws ArgumentError unless there is a positive share a device, in sum. */
export function checkShares(shares: readonly number[], devices: number, where: string): void {
  const fine =
    Array.isArray(shares) && shares.length === devices && shares.every((s) => Number.isFinite(s) && s >= 0) && shares.some((s) => s > 0);
  if (fine) return;
  throw new ArgumentError({where: `${where}: shares`, expected: `${devices} numbers of at least 0, not all 0`, received: `[${shares}]`});
}

/** Ranges in their order, neighbours joined, empty ones dropped; one empty range where nothing is left. */
export function joinNeighbours(ranges: readonly Range[]): Range[] {
  const out: [number, number][] = [];
  for (const [begin, end] of ranges) {
    const last = out[out.length - 1];
    if (begin === end) continue;
    if (last !== undefined && last[1] === begin) last[1] = end;
    else out.push([begin, end]);
  }
  const first = ranges[0] ?? [0, 0];
  return out.length > 0 ? out : [[first[0], first[0]]];
}

export function lengthOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, [begin, end]) => sum + end - begin, 0);
}

export function indicesOf(ranges: readonly Range[]): number[] {
  return ranges.flatMap(([begin, end]) => Array.from({length: end - begin}, (_, i) => begin + i));
}
