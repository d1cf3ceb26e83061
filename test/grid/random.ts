/** Seeded random numbers: the same on every run and machine. */
export type Random = () => number;

/** Numbers in [0, 1) from a seed (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** x [m, k] in [-1, 1). */
export function randomX(m: number, k: number, seed = 1): Float32Array {
  const random = seeded(seed);
  return Float32Array.from({length: m * k}, () => random() * 2 - 1);
}
