/** Lanes' totals added up and stored: in subgroups, or by halves in workgroup memory. */
import {type Finish, normScale} from './finish.wgsl.js';

export interface ReduceShape {
  readonly rows: number;
  readonly xRows: number;
  readonly lanes: number;
  readonly reduction: 'none' | 'tree' | 'subgroup';
}

const range = (n: number) => [...Array(n).keys()];

/** Adds aX_R of every lane up, with a norm also qX, and calls put for each row of y that is inside. */
export function reduce({rows: R, xRows: X, lanes: L, reduction}: ReduceShape, {gate, norm}: Finish): string {
  const P = gate ? R / 2 : R;
  const all = [...range(X).flatMap((x) => range(R).map((r) => `a${x}_${r}`)), ...(norm ? range(X).map((x) => `q${x}`) : [])];
  const outputs = all.length;
  const total = (name: string, place: string, count: string) =>
    `var ${name} = 0.0; for (var i = 0u; i < ${count}; i++) { ${name} += part[i * ${outputs}u + ${place}]; }`;
  const collect = (count: string) => `for (var o = lane; o < ${P * X}u; o += ${L}u) {
    let x = o / ${P}u; let r = o % ${P}u;
    ${total('sum', `x * ${R}u + r`, count)}
    ${gate ? total('other', `x * ${R}u + r + ${P}u`, count) : ''}
    ${norm ? `${total('squares', `${R * X}u + x`, count)} let scale = ${normScale('squares')};` : ''}
    if (m + x < params.x_rows && n + r < params.row_end) {
      put(m + x, n + r, sum${norm ? ' * scale' : ''}${gate ? `, other${norm ? ' * scale' : ''}` : ''});
    }
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
