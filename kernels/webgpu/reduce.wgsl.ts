/** Lanes' totals added up and stored: in subgroups, or by halves in workgroup memory. */

export interface ReduceShape {
  readonly rows: number;
  readonly xRows: number;
  readonly lanes: number;
  readonly reduction: 'none' | 'tree' | 'subgroup';
}

const range = (n: number) => [...Array(n).keys()];

/** Adds aX_R of every lane up and calls put(m, n, total) for each that is inside. */
export function reduce({rows: R, xRows: X, lanes: L, reduction}: ReduceShape): string {
  const outputs = R * X;
  const all = range(X).flatMap((x) => range(R).map((r) => `a${x}_${r}`));
  const collect = (count: string) => `for (var o = lane; o < ${outputs}u; o += ${L}u) {
    var total = 0.0;
    for (var i = 0u; i < ${count}; i++) { total += part[i * ${outputs}u + o]; }
    let x = o / ${R}u; let r = o % ${R}u;
    if (m + x < params.x_rows && n + r < params.row_end) { put(m + x, n + r, total); }
  }`;
  if (reduction === 'subgroup') {
    const store = (total: string, o: number) =>
      `{ let s = subgroupAdd(${total}); if (subgroup_lane == 0u) { part[(lane / subgroup_size) * ${outputs}u + ${o}u] = s; } }`;
    return `${all.map(store).join('\n  ')}
  workgroupBarrier();
  ${collect(`(${L}u + subgroup_size - 1u) / subgroup_size`)}`;
  }
  const write = all.map((total, o) => `part[lane * ${outputs}u + ${o}u] = ${total};`).join(' ');
  const halves: string[] = [];
  // Halving is worth a barrier while many lanes hold few outputs.
  let left = L;
  for (; left > 8; left /= 2) {
    const add = `part[lane * ${outputs}u + o] += part[(lane + ${left / 2}u) * ${outputs}u + o];`;
    halves.push(`if (lane < ${left / 2}u) { for (var o = 0u; o < ${outputs}u; o++) { ${add} } } workgroupBarrier();`);
  }
  return `${write}
  workgroupBarrier();
  ${halves.join('\n  ')}
  ${collect(`${left}u`)}`;
}
