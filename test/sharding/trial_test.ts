/** When threads share calls: on a clock of our own. */
import {kindOf} from '../../src/sharding/threaded_heap.js';
import {Trial} from '../../src/sharding/trial.js';

/** Calls of 1 ms cost alone; how often each way was taken, after `from`. */
function run(sharedMs: (now: number) => number, {from, until}: {from: number; until: number}): {shared: number; alone: number} {
  const trial = new Trial(4);
  const counts = {shared: 0, alone: 0};
  let now = 1000;
  while (now < 1000 + until) {
    const isShared = trial.shares(now);
    const end = now + (isShared ? sharedMs(now - 1000) : 1);
    trial.record(7, 2 ** 20, now, end);
    if (now >= 1000 + from) counts[isShared ? 'shared' : 'alone']++;
    now = end + 0.1;
  }
  return counts;
}

describe('Trial', () => {
  it('shares where that is faster, and tries the other way now and then', () => {
    const {shared, alone} = run(() => 0.55, {from: 0, until: 10_000});
    expect(alone).toBeGreaterThan(10);
    expect(alone / shared).toBeLessThan(0.02);
  });

  it('leaves it where it is slower, or no faster', () => {
    for (const ms of [2, 1]) {
      const {shared, alone} = run(() => ms, {from: 300, until: 10_000});
      expect(shared).toBeGreaterThan(4);
      expect(shared / alone).toBeLessThan(0.03);
    }
  });

  it('follows a machine whose cores come and go', () => {
    const busy = (now: number) => (now > 5000 && now < 15_000 ? 2.5 : 0.55);
    expect(run(busy, {from: 9000, until: 15_000}).shared).toBeLessThan(60);
    const {shared, alone} = run(busy, {from: 18_500, until: 25_000});
    expect(alone / shared).toBeLessThan(0.02);
  });

  it('makes one of many calls the other way where they are long and come seldom', () => {
    // gemm-q4 of the bench, on two threads: some 30 ms alone once a second. Half of them were made alone.
    const trial = new Trial(3);
    let alone = 0;
    for (let i = 0; i < 200; i++) {
      const start = 1000 * (i + 1);
      const isShared = trial.shares(start);
      if (!isShared) alone++;
      trial.record(1, 2 ** 30, start, start + (isShared ? 16 : 30));
    }
    expect(alone).toBeGreaterThan(3);
    expect(alone).toBeLessThan(12);
  });

  it('does not take the first call of a kind for what the others take', () => {
    // The same bench: what the engine compiles in a hurry is as slow as one thread, and the products were made alone from then on.
    const trial = new Trial(3);
    const ways: boolean[] = [];
    for (let i = 0; i < 40; i++) {
      const start = 300 * (i + 1);
      const isShared = trial.shares(start);
      ways.push(isShared);
      trial.record(i % 2, 2 ** 30, start, start + (i < 2 ? 90 : isShared ? 16 : 30));
    }
    expect(ways.filter((isShared) => !isShared).length).toBeLessThan(5);
    expect(ways.at(-1)).toBe(true);
  });

  it('takes weights of one size for kinds of their own: their layouts may take different times', () => {
    const cost = 64 * 4096 * 4096;
    const kinds = [kindOf('gemv', 1024, cost), kindOf('gemv', 1040, cost), kindOf('gemvBytes', 1024, cost), kindOf('gemv', 1024, 4 * cost)];
    expect(new Set(kinds).size).toBe(4);
    expect(kindOf('gemv', 1024, cost * 1.01)).toBe(kinds[0] as number);
    expect(Number.isSafeInteger(kindOf('gemvBytes', 2 ** 32, 2 ** 50))).toBe(true);
  });

  it('compares calls of one kind only', () => {
    const trial = new Trial(0);
    let now = 1;
    // Large calls are slower than small ones in either way; shared both take half the time.
    for (let i = 0; i < 5000; i++) {
      const size = i % 7 === 0 ? 5 : 0.2;
      const isShared = trial.shares(now);
      const end = now + (isShared ? size / 2 : size);
      trial.record(size > 1 ? 1 : 2, size, now, end);
      now = end;
    }
    let shared = 0;
    for (let i = 0; i < 100; i++) if (trial.shares(now + i / 100)) shared++;
    expect(shared).toBe(100);
  });
});
