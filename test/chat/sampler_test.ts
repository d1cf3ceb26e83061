import {argMax, randomFrom, sample, topLogits} from '../../examples/chat/sampler.js';

describe('sampler', () => {
  it('takes the largest logit at temperature 0, the first of equals', () => {
    expect(argMax([-3, 2, 7, 7, 1])).toBe(2);
    expect(sample([-3, 2, 7, 7, 1], 0, () => 0.999)).toBe(2);
  });

  it('lists the largest logits in order', () => {
    expect(topLogits([1, 5, -2, 4], 3)).toEqual({ids: [1, 3, 0], logits: [5, 4, 1]});
  });

  it('draws as softmax of logits over temperature says', () => {
    const logits = [0, Math.log(2), Math.log(5)];
    const random = randomFrom(7);
    const counts = (temperature: number): number[] => {
      const found = [0, 0, 0];
      for (let i = 0; i < 20_000; i++) found[sample(logits, temperature, random)]!++;
      return found.map((count) => count / 20_000);
    };
    // Five standard deviations of 20,000 draws are 0.018 at most.
    const expectShares = (shares: number[], expected: number[]): void => {
      expect(Math.max(...shares.map((share, i) => Math.abs(share - (expected[i] as number))))).toBeLessThan(0.018);
    };
    expectShares(counts(1), [1 / 8, 2 / 8, 5 / 8]);
    expectShares(counts(0.5), [1 / 30, 4 / 30, 25 / 30]);
  });

  it('draws the same with the same seed', () => {
    const draw = (seed: number): number[] => Array.from({length: 5}, randomFrom(seed));
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it('never falls off the end where rounding leaves a rest', () => {
    expect(sample([0, 1, 0], 1, () => 1)).toBe(1);
  });
});
