/** Which samples of the bench count, on numbers made up here: nothing is timed. */
import {atFullRate, goesOn, median, noiseOf, Pace, type Sample, timingOf} from './bench_quiet.js';

const sample = (ms: number, probeMs: number): Sample => ({ms, probeMs});

/** A clock that every run of the loop moves on by the next of these. */
function paceOf(durations: readonly number[]): Pace {
  let [time, next] = [0, 0];
  const loop = () => {
    time += durations[next++] as number;
  };
  return new Pace(loop, () => time);
}

describe('samples of the bench', () => {
  it('count where the slower probe is within a tenth of the shortest of the run', () => {
    const samples = [sample(10, 1), sample(11, 1.1), sample(18, 1.1001), sample(19, 1.8), sample(9, 1.05)];
    expect(atFullRate(samples, 1).map(({ms}) => ms)).toEqual([10, 11, 9]);
    expect(atFullRate(samples, 0.9)).toEqual([]);
    expect(atFullRate(samples, 2)).toEqual(samples);
  });

  it('give the median and the least of those that count alone, and both numbers', () => {
    const samples = [sample(10, 1), sample(40, 1.8), sample(12, 1.02), sample(5, 1.5), sample(13, 1)];
    expect(timingOf('product', samples, 1)).toEqual({name: 'product', medianMs: 12, minMs: 10, samples: 3, taken: 5});
    expect(timingOf('one', [sample(10, 1), sample(40, 1.8)], 1)).toEqual({name: 'one', medianMs: 10, minMs: 10, samples: 1, taken: 2});
  });

  it('of which none count are told so: the tenth with the shortest probes stands for them, three at least', () => {
    const samples = [sample(40, 1.8), sample(31, 1.3), sample(30, 1.2), sample(38, 1.7), sample(35, 1.4)];
    expect(timingOf('product', samples, 1)).toEqual({name: 'product', medianMs: 31, minMs: 30, samples: 0, taken: 5});
    expect(timingOf('one', [sample(40, 1.8)], 1)).toEqual({name: 'one', medianMs: 40, minMs: 40, samples: 0, taken: 1});
    const many = Array.from({length: 50}, (_, i) => sample(100 + i, 2 + ((i * 7) % 50)));
    // Probes of 2 to 6: samples 0, 43, 36, 29 and 22.
    expect(timingOf('many', many, 1)).toEqual({name: 'many', medianMs: 129, minMs: 100, samples: 0, taken: 50});
    expect(() => timingOf('none', [], 1)).toThrowError(RangeError, 'none: nothing was timed');
  });

  it('keep their order, and the median of an even number lies between the middle two', () => {
    const values = [4, 1, 3, 2];
    expect(median(values)).toBe(2.5);
    expect(values).toEqual([4, 1, 3, 2]);
    expect(median([7])).toBe(7);
    expect(median([9, 1, 5])).toBe(5);
  });
});

describe("the machine's pace", () => {
  it('is the shortest of three runs of the loop', () => {
    const pace = paceOf([3, 2, 5, 4, 1, 6, 8, 7, 9]);
    expect([pace.probe(), pace.probe(), pace.probe()]).toEqual([2, 1, 7]);
    expect(pace.probes).toEqual([2, 1, 7]);
    expect(pace.bestMs).toBe(1);
  });

  it('of a sample is the slower of the probes before and after it', async () => {
    const slowAfter = paceOf([1, 1, 1, 1.8, 1.9, 1.7]);
    expect(await slowAfter.sample(async () => 10)).toEqual({ms: 10, probeMs: jasmine.any(Number)});
    expect(slowAfter.probes.map((ms) => Math.round(10 * ms))).toEqual([10, 17]);
    const slowBefore = paceOf([2, 2, 2, 1, 1, 1]);
    expect(await slowBefore.sample(async () => 20)).toEqual({ms: 20, probeMs: 2});
    const even = paceOf([1, 1, 1, 1, 1, 1]);
    expect(await even.sample(async () => 30)).toEqual({ms: 30, probeMs: 1});
  });

  it('makes the noise: nine tenths of the probes took no longer than that many times the shortest', () => {
    expect(noiseOf([2, 2, 2, 2, 2, 2, 2, 2, 2, 4])).toBe(1);
    expect(noiseOf([2, 2, 2, 2, 2, 2, 2, 2, 3, 4])).toBe(1.5);
    expect(noiseOf([3, 1])).toBe(3);
    expect(noiseOf([])).toBe(1);
  });
});

describe('rounds of the bench', () => {
  const patience = {enough: 7, limitMs: 1000};

  it('are at least as many as are enough, however long they take', () => {
    expect(goesOn(patience, 0, 0, 0)).toBeTrue();
    expect(goesOn(patience, 6, 6, 5000)).toBeTrue();
    expect(goesOn(patience, 7, 7, 0)).toBeFalse();
  });

  it('go on while too few count, for the time that there is', () => {
    expect(goesOn(patience, 7, 6, 999)).toBeTrue();
    expect(goesOn(patience, 200, 0, 999)).toBeTrue();
    expect(goesOn(patience, 20, 7, 999)).toBeFalse();
    expect(goesOn(patience, 7, 6, 1000)).toBeFalse();
  });
});
