/** Shards of every layout the record can express: each reads as its part of the whole, and together they are the whole again. */
import {RowReader} from '../../kernels/cpu/row.js';
import {sectionsOf} from '../../kernels/layout.js';
import {partsOf} from '../../kernels/words.js';
import {Segment, ShardingStrategy} from '../../src/index.js';
import {cutRecord, type HostRecord, joinRecords} from '../../src/sharding/record.js';
import {indicesOf} from '../../src/sharding/split.js';
import type {Cut} from '../../src/sharding/strategy.js';
import {randomWeights} from '../grid/layouts.js';

/** [N][K], -0 as 0. */
function unpacked({layout, words}: HostRecord): Float32Array[] {
  const reader = new RowReader(layout, partsOf(layout, words));
  return Array.from({length: layout.outDim}, (_, n) => {
    const row = new Float32Array(layout.inDim);
    reader.read(n, row);
    return row.map((v) => v + 0);
  });
}

function part(whole: Float32Array[], cut: Cut): Float32Array[] {
  const columns = indicesOf(cut.columns);
  return indicesOf(cut.rows).map((n) => Float32Array.from(columns, (k) => (whole[n] as Float32Array)[k] as number));
}

/** Every strategy that can cut [N, K] over n devices: segments of an uneven and of a head-aware kind on both axes. */
function strategies(n: number, [rows, columns]: readonly [number, number]): ShardingStrategy[] {
  const segments = (size: number) => {
    const head = Math.max(1, Math.floor(size / 8));
    const first = Math.min(size, 4 * head);
    return [Segment.headAware(first / head, head), Segment.even(size - first)];
  };
  const list = [
    ShardingStrategy.rowwise(n),
    ShardingStrategy.columnwise(n),
    ShardingStrategy.replicate(n),
    ShardingStrategy.axiswise(0, n, {unit: 2}),
    ShardingStrategy.axiswise(1, n, {unit: 16}),
    ShardingStrategy.segmented(n, 0, segments(rows)),
    ShardingStrategy.segmented(n, 1, segments(columns)),
    ShardingStrategy.rowwise(n).withShares(Array.from({length: n}, (_, i) => i)),
    ShardingStrategy.columnwise(n).withShares(
      Array.from({length: n}, (_, i) => n - i),
      {unit: 8},
    ),
  ];
  if (rows % 2 === 0) list.push(ShardingStrategy.gateUp(n, 0));
  if (columns % 2 === 0) list.push(ShardingStrategy.gateUp(n, 1), ShardingStrategy.headAwareColumnwise(n, columns / 2, 2));
  if (rows % 3 === 0) list.push(ShardingStrategy.stackedQkv(n, rows / 3, 1));
  return list;
}

describe('cutRecord and joinRecords', () => {
  for (const {name, layout, words} of randomWeights()) {
    it(`cut ${name} and put it together again`, () => {
      const whole = unpacked({layout, words});
      for (const n of [2, 3, 4]) {
        for (const strategy of strategies(n, [layout.outDim, layout.inDim])) {
          const label = `${JSON.stringify(strategy)}`;
          const cuts = strategy.cuts([layout.outDim, layout.inDim]);
          const shards = cuts.map((cut) => cutRecord({layout, words}, cut));
          shards.forEach((shard, i) => {
            expect(shard.words.length).toBe(sectionsOf(shard.layout).length);
            expect(unpacked(shard))
              .withContext(`${label}, shard ${i}`)
              .toEqual(part(whole, cuts[i] as Cut));
          });
          const joined = joinRecords(layout, cuts, shards);
          expect(unpacked({layout, words: joined}))
            .withContext(`${label}, joined`)
            .toEqual(whole);
          // Without a column order the words themselves come back: save, and load unsharded.
          if (!layout.ordered && !layout.indexed) expect(joined).withContext(`${label}, words`).toEqual(words);
        }
      }
    });
  }
});
