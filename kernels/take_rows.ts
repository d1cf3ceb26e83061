/** Rows of a record in another order, and records of one structure stacked by rows. Host side. */
import {UnsupportedError} from '../src/errors.js';
import {type Grid, gridsOf, type Level, sectionsOf, type WeightLayout, withGrids} from './layout.js';
import type {SpareWords} from './spare_words.js';
import {allocateWords, codeArray, type LevelView, packZeros, partsOf, unpackZeros} from './words.js';

/** Rows of one packed weight on the host. */
export interface RowSource {
  readonly layout: WeightLayout;
  readonly words: Int32Array;
}

/** Why these weights cannot be one record, or null. One entry a row, or one for all columns alike, must hold in each grid. */
export function stackingObstacle(layouts: readonly WeightLayout[]): string | null {
  const [first, ...rest] = layouts;
  if (first === undefined) return 'no weights';
  const loose = (g: Grid) => ({...g, shape: [0, g.shape[1]]}) as const;
  const structure = (l: WeightLayout) => JSON.stringify({...withGrids(l, loose), outDim: 0});
  if (rest.some((l) => structure(l) !== structure(first))) return 'layouts differ';
  if (first.ordered || first.indexed) return 'each has a column order of its own';
  if (gridsOf(first).some((g) => g.rows !== 1)) return 'a scale spans several rows';
  return null;
}

/** Weights stacked along N. Throws UnsupportedError with the obstacle; ask `stackingObstacle` first. */
export function stackRows(sources: readonly RowSource[], spare?: SpareWords): RowSource {
  const obstacle = stackingObstacle(sources.map((s) => s.layout));
  if (obstacle !== null) throw new UnsupportedError({where: 'stackRows', expected: 'weights of one structure', received: obstacle});
  return gather(
    sources,
    sources.flatMap((s, i) => Array.from({length: s.layout.outDim}, (_, n): [number, number] => [i, n])),
    spare,
  );
}

/** Row i of the result is row rows[i] of the source. Scales must be one a row or span all rows. */
export function takeRows(source: RowSource, rows: readonly number[], spare?: SpareWords): RowSource {
  const bad = gridsOf(source.layout).find((g) => g.rows !== 1 && g.shape[0] !== 1);
  if (bad !== undefined) {
    throw new UnsupportedError({
      where: 'takeRows',
      expected: 'scales of one row each, or one for all rows',
      received: `blocks of ${bad.rows} rows`,
      remedy: 'Gather columns of y.',
    });
  }
  return gather(
    [source],
    rows.map((n): [number, number] => [0, n]),
    spare,
  );
}

function gather(sources: readonly RowSource[], rows: readonly (readonly [number, number])[], spare: SpareWords | undefined): RowSource {
  const first = (sources[0] as RowSource).layout;
  const resize = (g: Grid): Grid =>
    g.rows === 1 ? {...g, shape: [rows.length, g.shape[1]]} : {...g, rows: Math.max(g.rows, rows.length), rowPhase: 0};
  const layout: WeightLayout = {
    ...withGrids(first, resize),
    outDim: rows.length,
  };
  const words = allocateWords(layout, spare);
  const out = partsOf(layout, words);
  const views = sources.map((s) => partsOf(s.layout, s.words));
  const {rowWords} = sectionsOf(layout);
  rows.forEach(([i, n], to) => out.codes.set((views[i] as typeof out).codes.subarray(n * rowWords, (n + 1) * rowWords), to * rowWords));
  const copyLevels = (levels: readonly Level[], key: 'scales' | 'offsets') =>
    levels.forEach((l, j) =>
      copyRows(
        l.grid,
        out[key][j] as LevelView,
        views.map((v) => v[key][j] as LevelView),
        rows,
      ),
    );
  copyLevels(layout.scales, 'scales');
  copyLevels(layout.offsets, 'offsets');
  if (layout.zero.kind === 'codes') {
    const {grid} = layout.zero;
    const zeros = codeArray(layout, grid.shape[0] * grid.shape[1]);
    copyRows(
      grid,
      zeros,
      sources.map((s, i) => unpackZeros(s.layout, views[i] as typeof out)),
      rows,
    );
    packZeros(layout, out, zeros);
  }
  out.order.set((views[0] as typeof out).order);
  out.groupIndex.set((views[0] as typeof out).groupIndex);
  return {layout, words};
}

function copyRows(
  grid: Grid,
  out: {[i: number]: number},
  from: readonly ArrayLike<number>[],
  rows: readonly (readonly [number, number])[],
): void {
  const width = grid.shape[1];
  const count = grid.rows === 1 ? rows.length : grid.shape[0];
  for (let r = 0; r < count; r++) {
    const [i, n] = grid.rows === 1 ? (rows[r] as readonly [number, number]) : [0, r];
    for (let c = 0; c < width; c++) out[r * width + c] = (from[i] as ArrayLike<number>)[n * width + c] as number;
  }
}
