/** Index ranges of every strategy: against MAX's own shards, uneven sizes, more devices than entries, refusals. */
import {ArgumentError, Segment, ShapeError, ShardingStrategy, UnsupportedError} from '../../src/index.js';
import {indicesOf} from '../../src/sharding/split.js';
import {floatsOf} from '../support/checkpoints.js';
import {readTensors} from '../support/fixtures.js';

const rowsOf = (strategy: ShardingStrategy, shape: [number, number]) => strategy.cuts(shape).map((cut) => cut.rows);
const columnsOf = (strategy: ShardingStrategy, shape: [number, number]) => strategy.cuts(shape).map((cut) => cut.columns);

describe('ShardingStrategy', () => {
  it('gives the first devices one more', () => {
    expect(rowsOf(ShardingStrategy.rowwise(3), [7, 10])).toEqual([[[0, 3]], [[3, 5]], [[5, 7]]]);
    expect(columnsOf(ShardingStrategy.columnwise(3), [7, 10])).toEqual([[[0, 4]], [[4, 7]], [[7, 10]]]);
    expect(rowsOf(ShardingStrategy.axiswise(0, 4), [10, 3])).toEqual([[[0, 3]], [[3, 6]], [[6, 8]], [[8, 10]]]);
  });

  it('leaves the last devices empty where there are more than entries', () => {
    expect(rowsOf(ShardingStrategy.rowwise(4), [2, 5])).toEqual([[[0, 1]], [[1, 2]], [[2, 2]], [[2, 2]]]);
    expect(columnsOf(ShardingStrategy.headAwareColumnwise(3, 2, 4), [5, 8])).toEqual([[[0, 4]], [[4, 8]], [[8, 8]]]);
  });

  it('keeps everything on every device with replicate', () => {
    const cuts = ShardingStrategy.replicate(2).cuts([3, 4]);
    expect(cuts).toEqual(Array.from({length: 2}, () => ({rows: [[0, 3]], columns: [[0, 4]], bias: 'all'})));
  });

  it('splits q, k and v by whole heads', () => {
    // 5 heads of 2 over 3 devices: 2, 2, 1 heads of each third.
    expect(rowsOf(ShardingStrategy.stackedQkv(3, 5, 2), [30, 8])).toEqual([
      [
        [0, 4],
        [10, 14],
        [20, 24],
      ],
      [
        [4, 8],
        [14, 18],
        [24, 28],
      ],
      [
        [8, 10],
        [18, 20],
        [28, 30],
      ],
    ]);
  });

  it('splits both halves of gate and up', () => {
    expect(rowsOf(ShardingStrategy.gateUp(3), [14, 6])).toEqual([
      [
        [0, 3],
        [7, 10],
      ],
      [
        [3, 5],
        [10, 12],
      ],
      [
        [5, 7],
        [12, 14],
      ],
    ]);
    expect(columnsOf(ShardingStrategy.gateUp(2, 1), [3, 8])).toEqual([
      [
        [0, 2],
        [4, 6],
      ],
      [
        [2, 4],
        [6, 8],
      ],
    ]);
  });

  it('splits segments each on its own', () => {
    const strategy = ShardingStrategy.segmented(2, 0, [Segment.headAware(3, 4), Segment.even(5)]);
    expect(rowsOf(strategy, [17, 2])).toEqual([
      [
        [0, 8],
        [12, 15],
      ],
      [
        [8, 12],
        [15, 17],
      ],
    ]);
  });

  it('follows shares, in whole units', () => {
    expect(rowsOf(ShardingStrategy.rowwise(3).withShares([1, 0, 3]), [8, 2])).toEqual([[[0, 2]], [[2, 2]], [[2, 8]]]);
    expect(columnsOf(ShardingStrategy.columnwise(2, {unit: 32}).withShares([1, 2]), [1, 100])).toEqual([[[0, 32]], [[32, 100]]]);
    expect(ShardingStrategy.rowwise(2).withShares([1, 2]).withShares(null).cuts([4, 1])[0]?.rows).toEqual([[0, 2]]);
  });

  it('gives the bias by rows, or once where shards are summed', () => {
    expect(
      ShardingStrategy.rowwise(2)
        .cuts([4, 4])
        .map((cut) => cut.bias),
    ).toEqual(['rows', 'rows']);
    expect(
      ShardingStrategy.columnwise(3)
        .cuts([4, 4])
        .map((cut) => cut.bias),
    ).toEqual(['all', 'none', 'none']);
    expect(
      ShardingStrategy.segmented(2, 1, [Segment.even(4)])
        .cuts([4, 4])
        .map((cut) => cut.bias),
    ).toEqual(['all', 'none']);
  });

  it('comes back from JSON', () => {
    const strategy = ShardingStrategy.segmented(2, 1, [Segment.headAware(3, 4), Segment.even(5)]).withShares([2, 1]);
    const back = ShardingStrategy.from(JSON.parse(JSON.stringify(strategy)));
    expect(back.cuts([2, 17])).toEqual(strategy.cuts([2, 17]));
    expect([back.kind, back.axis, back.numDevices]).toEqual(['segmented', 1, 2]);
  });

  it('refuses what does not fit, with the numbers', () => {
    expect(() => ShardingStrategy.stackedQkv(2, 5, 4).cuts([59, 6])).toThrowMatching(
      (e) => e instanceof ShapeError && /5 heads of 4.*59 rows/.test(e.message),
    );
    expect(() => ShardingStrategy.headAwareColumnwise(2, 5, 4).cuts([6, 21])).toThrowMatching(
      (e) => e instanceof ShapeError && /21 columns/.test(e.message),
    );
    expect(() => ShardingStrategy.gateUp(2).cuts([7, 6])).toThrowMatching(
      (e) => e instanceof ShapeError && /two equal halves/.test(e.message),
    );
    expect(() => ShardingStrategy.segmented(2, 0, [Segment.even(6)]).cuts([7, 6])).toThrowMatching(
      (e) => e instanceof ShapeError && /6 entries.*7 rows/.test(e.message),
    );
    expect(() => ShardingStrategy.tensorParallel(2).cuts([4, 4])).toThrowError(UnsupportedError);
    expect(() => ShardingStrategy.rowwise(0)).toThrowError(ArgumentError);
    expect(() => ShardingStrategy.axiswise(2 as 0, 2)).toThrowError(ArgumentError);
    // A unit by itself is no option: it would be ignored, and groups cut.
    expect(() => ShardingStrategy.rowwise(2, 32 as never)).toThrowError(ArgumentError, /rowwise.*unit.*32/s);
    expect(() => ShardingStrategy.columnwise(2, {units: 32} as object)).toThrowError(ArgumentError, /columnwise.*'units'/s);
    expect(() => ShardingStrategy.rowwise(2).withShares(null, null as never)).toThrowError(ArgumentError, /withShares/);
    expect(() => ShardingStrategy.rowwise(2).withShares([1])).toThrowError(ArgumentError);
    expect(() => ShardingStrategy.rowwise(2).withShares([0, 0])).toThrowError(ArgumentError);
    expect(() => Segment.even(-1)).toThrowError(ArgumentError);
  });

  describe('against the shards of MAX', () => {
    const cases: readonly [file: string, prefix: string, whole: string, strategy: ShardingStrategy][] = [
      ['shard_linear_f32', 'row', '', ShardingStrategy.rowwise(3)],
      ['shard_linear_f32', 'col', '', ShardingStrategy.columnwise(3)],
      ['shard_linear_f32', 'rep', '', ShardingStrategy.replicate(3)],
      ['shard_strategies_f32', 'qkv', 'qkv.', ShardingStrategy.stackedQkv(3, 5, 4)],
      ['shard_strategies_f32', 'o', 'o.', ShardingStrategy.headAwareColumnwise(3, 5, 4)],
      ['shard_strategies_f32', 'gu', 'gu.', ShardingStrategy.gateUp(3)],
      ['shard_strategies_f32', 'seg', 'seg.', ShardingStrategy.segmented(3, 0, SEGMENTS())],
      ['shard_strategies_f32', 'col', 'col.', ShardingStrategy.columnwise(3)],
    ];
    for (const [file, prefix, whole, strategy] of cases) {
      it(`${file} ${prefix}`, async () => {
        const tensors = await readTensors(`max/${file}.safetensors`);
        const weight = tensors.get(`${whole}weight`);
        if (weight === undefined) throw new Error('no weight');
        const [n, k] = weight.shape as [number, number];
        const values = floatsOf(weight);
        strategy.cuts([n, k]).forEach((cut, i) => {
          const shard = tensors.get(`${prefix}.${i}.weight`);
          if (shard === undefined) throw new Error(`no shard ${i}`);
          const [rows, columns] = [indicesOf(cut.rows), indicesOf(cut.columns)];
          expect(shard.shape).toEqual([rows.length, columns.length]);
          expect(floatsOf(shard)).toEqual(Float32Array.from(rows.flatMap((r) => columns.map((c) => values[r * k + c] as number))));
          const bias = tensors.get(`${prefix}.${i}.bias`);
          if (file === 'shard_strategies_f32') expect(bias !== undefined).toBe(tensors.has(`${whole}bias`) && cut.bias !== 'none');
        });
      });
    }
  });
});

/** 3 head-aware segments (5, 5 and 5 heads of 4) and two even ones of 7: 74 rows. */
function SEGMENTS() {
  return [...Array.from({length: 3}, () => Segment.headAware(5, 4)), Segment.even(7), Segment.even(7)];
}
