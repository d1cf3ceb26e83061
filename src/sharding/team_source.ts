/**
 * What a worker does in a team: it waits for calls that all share, by spinning first, since between the products of one token less time passes
 * than it takes to wake up, and takes parts of them like everyone else.
 */

/** Control words of a team. */
export const TEAM = {
  /** Number of the current call; workers sleep on it. */
  call: 0,
  /** The next part to take, in the low bits, under the number of its call: nobody can take a part of a call that is over. */
  claim: 1,
  /** Parts done. */
  done: 2,
  /** Workers that sleep. */
  asleep: 3,
  /** 1: the calling thread sleeps until parts are done. */
  waiting: 4,
  /** The worker whose call failed. */
  failed: 5,
  /** Workers that have joined. */
  joined: 6,
  /** 1: leave. */
  ended: 7,
  /** Where it is the number of the current call, that is a chain which all walk. */
  chain: 8,
  /** Workers that may be in it. */
  inside: 9,
  length: 10,
} as const;

/** Bits of a claim that number the part. */
export const PART_BITS = 8;

/** Of one call at most; the last number says that it is closed. */
export const MOST_PARTS = 2 ** PART_BITS - 2;

/** Places in the numbers of a call. */
export const CALL = {
  /** Index of the export. */
  code: 0,
  begin: 1,
  end: 2,
  /** Rows of a part, and parts. */
  rows: 3,
  parts: 4,
  /** Arguments that are the first row, past the last, the number of rows; -1: there is none. */
  beginAt: 5,
  endAt: 6,
  countAt: 7,
  /** Which argument is a thread's own memory, and bytes from one thread's to the next; -1: none. */
  scratchAt: 8,
  scratchStep: 9,
  /** Pairs: which argument moves by how many bytes a row; -1: none. */
  moves: 10,
  count: 14,
  args: 15,
  length: 40,
} as const;

export const MOST_MOVES = 2;

/** What a worker is given when it joins. */
export interface TeamData {
  readonly control: SharedArrayBuffer;
  readonly call: SharedArrayBuffer;
  /** From 1; the calling thread is 0. */
  readonly worker: number;
  /** How long it spins before it sleeps. */
  readonly spinMs: number;
}

/** The text for workers. `join` returns to nobody: a team ends with its workers. */
export const TEAM_SOURCE = `
function join({control, call, worker, spinMs}, exports, names) {
  const words = new Int32Array(control), numbers = new Float64Array(call);
  let seen = Atomics.load(words, ${TEAM.call});
  Atomics.add(words, ${TEAM.joined}, 1); Atomics.notify(words, ${TEAM.joined});
  for (;;) {
    for (let spin = 1, until = performance.now() + spinMs; Atomics.load(words, ${TEAM.call}) === seen; spin++) {
      if ((spin & 255) !== 0 || performance.now() < until) continue;
      Atomics.add(words, ${TEAM.asleep}, 1);
      Atomics.wait(words, ${TEAM.call}, seen);
      Atomics.sub(words, ${TEAM.asleep}, 1);
    }
    seen = Atomics.load(words, ${TEAM.call});
    if (Atomics.load(words, ${TEAM.ended}) === 1) { finish(); return; }
    if (Atomics.load(words, ${TEAM.chain}) === seen) walk(words, numbers, exports, worker, seen);
    else takeParts(words, numbers, exports, worker, names, seen << ${PART_BITS});
  }
}
function walk(words, numbers, exports, worker, seen) {
  // From here on the chain's numbers stay, if it is still this one's turn.
  Atomics.add(words, ${TEAM.inside}, 1);
  try {
    while (Atomics.load(words, ${TEAM.chain}) === seen) {
      const [steps, count, control, scratch, threads] = numbers.subarray(${CALL.args});
      if (exports.runChain(steps, count, control, scratch + worker * numbers[${CALL.scratchStep}], worker, threads) === 0) break;
    }
  } catch (error) { Atomics.store(words, ${TEAM.failed}, worker); }
  Atomics.sub(words, ${TEAM.inside}, 1);
}
function takeParts(words, numbers, exports, worker, names, call) {
  // These may be another call's by now; then no part can be taken.
  const exported = exports[names[numbers[${CALL.code}]]], parts = numbers[${CALL.parts}];
  for (;;) {
    const claim = Atomics.load(words, ${TEAM.claim}), part = claim & ${2 ** PART_BITS - 1};
    if (claim - part !== call || part >= parts) return;
    if (Atomics.compareExchange(words, ${TEAM.claim}, claim, claim + 1) !== claim) continue;
    try { doPart(numbers, exported, worker, part); } catch (error) { Atomics.store(words, ${TEAM.failed}, worker); }
    Atomics.add(words, ${TEAM.done}, 1);
    if (Atomics.load(words, ${TEAM.waiting}) === 1) Atomics.notify(words, ${TEAM.done});
  }
}
function doPart(numbers, exported, worker, part) {
  const begin = numbers[${CALL.begin}], first = begin + part * numbers[${CALL.rows}];
  const last = Math.min(numbers[${CALL.end}], first + numbers[${CALL.rows}]);
  const args = [];
  for (let i = 0; i < numbers[${CALL.count}]; i++) args.push(numbers[${CALL.args} + i]);
  if (numbers[${CALL.beginAt}] >= 0) { args[numbers[${CALL.beginAt}]] = first; args[numbers[${CALL.endAt}]] = last; }
  else args[numbers[${CALL.countAt}]] = last - first;
  if (numbers[${CALL.scratchAt}] >= 0) args[numbers[${CALL.scratchAt}]] += worker * numbers[${CALL.scratchStep}];
  for (let i = ${CALL.moves}; i < ${CALL.moves + 2 * MOST_MOVES}; i += 2)
    if (numbers[i] >= 0) args[numbers[i]] += (first - begin) * numbers[i + 1];
  exported(...args);
}
`;
