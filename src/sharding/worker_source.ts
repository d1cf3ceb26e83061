/**
 * The program of a worker, as text: it has to start without a file, in Node and in pages. It waits for commands in shared memory, spinning 200
 * loads before it parks: longer spins cost more than they save as soon as cores are shared.
 */

/** Fields of a worker's control words. */
export const CONTROL = {
  /** Commands posted. */
  posted: 0,
  /** Commands finished. */
  finished: 1,
  /** 1: the worker has started. */
  ready: 2,
  /** 1: a command failed. */
  failed: 3,
  length: 4,
} as const;

/** Slots of the ring of commands: a power of two. */
export const SLOTS = 64;

/** Numbers of one command: code, heap, count of arguments, the arguments; a parallel one has `PARALLEL` more before them. */
export const WIDTH = 40;

/** Places in a command. */
export const COMMAND = {
  /** Index of the export, or one of `CODES`. */
  code: 0,
  heap: 1,
  count: 2,
  /** -1: one call. Else the job whose counter the chunks come from. */
  job: 3,
  end: 4,
  chunk: 5,
  /** Which arguments are the first and the last row of a chunk, and the thread's own memory. */
  beginAt: 6,
  endAt: 7,
  scratchAt: 8,
  scratchStep: 9,
  /** First row of the job, and which argument moves by how many bytes a row from there on. */
  begin: 10,
  moveAt: 11,
  moveStep: 12,
  args: 13,
} as const;

export const CODES = {
  /** Leave the commands for the messages, once. */
  listen: -1,
  stop: -2,
} as const;

/** What a worker is given at its start. */
export interface WorkerData {
  readonly control: SharedArrayBuffer;
  readonly commands: SharedArrayBuffer;
  /** Two words a job: the next row, and rows done. */
  readonly jobs: SharedArrayBuffer;
  /** From 1; the calling thread is 0. */
  readonly id: number;
  /** Names of exports by code. */
  readonly names: readonly string[];
}

/** A memory that a worker is to work on. */
export interface HeapMessage {
  readonly heap: number;
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
}

const BODY = `
const heaps = [];
let control, commands, jobs, id, names;
function begin(data) {
  control = new Int32Array(data.control); commands = new Float64Array(data.commands); jobs = new Int32Array(data.jobs);
  id = data.id; names = data.names;
  Atomics.store(control, ${CONTROL.ready}, 1); Atomics.notify(control, ${CONTROL.ready});
  serve();
}
function attach({heap, module, memory}) {
  heaps[heap] = new WebAssembly.Instance(module, {env: {memory}}).exports;
}
function call(at) {
  const f = heaps[commands[at + ${COMMAND.heap}]][names[commands[at + ${COMMAND.code}]]];
  const args = Array.from(commands.subarray(at + ${COMMAND.args}, at + ${COMMAND.args} + commands[at + ${COMMAND.count}]));
  const job = commands[at + ${COMMAND.job}];
  if (job < 0) { f(...args); return; }
  const end = commands[at + ${COMMAND.end}], chunk = commands[at + ${COMMAND.chunk}];
  const beginAt = commands[at + ${COMMAND.beginAt}], endAt = commands[at + ${COMMAND.endAt}], scratchAt = commands[at + ${COMMAND.scratchAt}];
  if (scratchAt >= 0) args[scratchAt] += id * commands[at + ${COMMAND.scratchStep}];
  const begin = commands[at + ${COMMAND.begin}], moveAt = commands[at + ${COMMAND.moveAt}], moveStep = commands[at + ${COMMAND.moveStep}], base = args[moveAt];
  for (;;) {
    const first = Atomics.add(jobs, 2 * job, chunk);
    if (first >= end) return;
    const last = Math.min(end, first + chunk);
    args[beginAt] = first; args[endAt] = last;
    if (moveAt >= 0) args[moveAt] = base + (first - begin) * moveStep;
    f(...args);
    Atomics.add(jobs, 2 * job + 1, last - first);
  }
}
function serve() {
  for (;;) {
    const finished = Atomics.load(control, ${CONTROL.finished});
    for (let spin = 0; Atomics.load(control, ${CONTROL.posted}) === finished; ) {
      if (++spin > 200) Atomics.wait(control, ${CONTROL.posted}, finished);
    }
    const at = (finished & ${SLOTS - 1}) * ${WIDTH};
    const code = commands[at];
    if (code >= 0) {
      try { call(at); } catch (error) { Atomics.store(control, ${CONTROL.failed}, 1); }
    }
    Atomics.store(control, ${CONTROL.finished}, (finished + 1) | 0);
    Atomics.notify(control, ${CONTROL.finished});
    if (code === ${CODES.listen}) return;
    if (code === ${CODES.stop}) { finish(); return; }
  }
}
function receive(message) {
  if ('control' in message) begin(message);
  else { attach(message); serve(); }
}
`;

/** The text for Node's worker_threads. */
export const NODE_SOURCE = `
const {parentPort} = require('node:worker_threads');
${BODY}
function finish() { parentPort.close(); }
parentPort.on('message', receive);
`;

/** The text for a page's Worker. */
export const PAGE_SOURCE = `
${BODY}
function finish() { self.close(); }
self.onmessage = (event) => receive(event.data);
`;
