/** From a map of input columns to groups, in any order, to contiguous groups. */

export interface Grouping {
  /** Stored column j is the file's column order[j]; null where groups are contiguous as they are. */
  readonly order: Int32Array | null;
  /** Group of each stored column, where the groups are not runs of `groupSize`; else null. */
  readonly groupIndex: Int32Array | null;
}

const SEQUENTIAL: Grouping = {order: null, groupIndex: null};

/**
 * @param groups group of each input column [K], each in [0, groupCount)
 * The order is the stable sort by group, so that it can be undone from the groups alone.
 */
export function groupingOf(groups: ArrayLike<number>, groupCount: number, groupSize: number): Grouping {
  const k = groups.length;
  let sequential = true;
  let sorted = true;
  for (let i = 0; i < k; i++) {
    const group = groups[i] as number;
    if (sequential && group !== Math.floor(i / groupSize)) sequential = false;
    if (i > 0 && group < (groups[i - 1] as number)) sorted = false;
  }
  if (sequential) return SEQUENTIAL;
  if (sorted) return {order: null, groupIndex: Int32Array.from(groups)};
  const starts = new Int32Array(groupCount + 1);
  for (let i = 0; i < k; i++) starts[(groups[i] as number) + 1]!++;
  for (let g = 0; g < groupCount; g++) starts[g + 1] = (starts[g + 1] as number) + (starts[g] as number);
  let even = true;
  for (let g = 0; g < groupCount; g++) if (starts[g] !== Math.min(g * groupSize, k)) even = false;
  const order = new Int32Array(k);
  for (let i = 0; i < k; i++) order[starts[groups[i] as number]!++] = i;
  return {order, groupIndex: even ? null : Int32Array.from(order, (column) => groups[column] as number)};
}
