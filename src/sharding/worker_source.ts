/**
 * The program of a worker, as text: it has to start without a file, in Node and in pages. It waits for commands in shared memory, spinning 200
 * loads before it parks: longer spins cost more than they save as soon as cores are shared.
 */
import {TEAM_SOURCE, type TeamData} from './team_source.js';

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

/** Numbers of one command: code, heap, count of arguments, the arguments. */
export const WIDTH = 32;

/** Places in a command. */
export const COMMAND = {
  /** Index of the export, or one of `CODES`. */
  code: 0,
  heap: 1,
  count: 2,
  args: 3,
} as const;

export const CODES = {
  /** Leave the commands for the messages, once. */
  listen: -1,
} as const;

/** What a worker is given at its start. */
export interface WorkerData {
  readonly control: SharedArrayBuffer;
  readonly commands: SharedArrayBuffer;
  /** Names of exports by code. */
  readonly names: readonly string[];
}

/** A memory that a worker is to work on. */
export interface HeapMessage {
  readonly heap: number;
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** The worker takes part in calls on this memory from now on, and does nothing else. null: it goes on with its commands. */
  readonly team: TeamData | null;
}

const BODY = `
const heaps = [];
let control, commands, names;
function begin(data) {
  control = new Int32Array(data.control); commands = new Float64Array(data.commands);
  names = data.names;
  Atomics.store(control, ${CONTROL.ready}, 1); Atomics.notify(control, ${CONTROL.ready});
  serve();
}
function attach({heap, module, memory}) {
  heaps[heap] = new WebAssembly.Instance(module, {env: {memory}}).exports;
}
function call(at) {
  const f = heaps[commands[at + ${COMMAND.heap}]][names[commands[at + ${COMMAND.code}]]];
  f(...commands.subarray(at + ${COMMAND.args}, at + ${COMMAND.args} + commands[at + ${COMMAND.count}]));
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
  }
}
function receive(message) {
  if ('control' in message) begin(message);
  else {
    attach(message);
    if (message.team === null) serve();
    else join(message.team, heaps[message.heap], names);
  }
}
${TEAM_SOURCE}
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
