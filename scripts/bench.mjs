// npm run bench -- [case...] [options]: packed weights beside tf.js float32 on the same backend in the same interleaved rounds, the chat model, and loading.
//   case          linear (one of each kind of weight, 1, 8, 64 and 512 rows of x), growth (how time grows with N, K and M), gemv-q4 (one row of x),
//                 gemm-q4 (64 rows), q4 (both), a case of test/grid/cases.ts, chat, loading, first-use (how long a page is frozen at its first
//                 product). Default: linear chat loading. --list names them.
//   --backend     names, by comma. Default: wasm
//   --browser     in Chromium, on a cross-origin isolated page, in place of Node
//   --size        N and K. Default: 4096 on wasm and tensorflow, 2048 on webgpu and webgl, 512 on cpu
//   --threads     numbers of threads of ours, by comma; TensorFlow's too on tensorflow (tf.js's own wasm keeps one). Default: 1
//   --rounds      rounds of measurement at the machine's full rate. Default: 7, fewer for long ones; a slow machine is waited for, 15 s a group
//   --variant     force a kernel, where it can run
//   --peers       other runtimes in the same Chromium, with our rows beside: cases wasm, webgpu, chat; on tensorflow onnxruntime-node. docs/speed.md
//   --html FILE   a page with plots; adds growth where no case was named
//   --json        one JSON document on stdout
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {pathToFileURL} from 'node:url';
import {parseArgs} from 'node:util';
import {chatModel, loadingModels} from './bench_models.mjs';
import {benchPage} from './bench_page.mjs';
import {probeModules} from './bench_probe.mjs';
import {runPrograms} from './bench_run.mjs';
import {counted, machineText, shares, sharesText, tables} from './bench_table.mjs';
import {ROOT} from './browser.mjs';
import {setup} from './setup.mjs';

const {values: options, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    backend: {type: 'string', default: 'wasm'},
    browser: {type: 'boolean', default: false},
    peers: {type: 'boolean', default: false},
    json: {type: 'boolean', default: false},
    list: {type: 'boolean', default: false},
    threads: {type: 'string', default: '1'},
    size: {type: 'string'},
    rounds: {type: 'string'},
    variant: {type: 'string'},
    html: {type: 'string'},
  },
});
setup();

const ENTRY = 'test/grid/bench.ts';

function whole(name, text) {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  console.error(`bench: --${name} takes whole numbers above 0, not '${text}'`);
  process.exit(2);
}
const number = (name) => (options[name] === undefined ? null : whole(name, options[name]));
const load = () => Math.round(os.loadavg()[0] * 100) / 100;
const version = (name) => JSON.parse(fs.readFileSync(path.join(ROOT, 'node_modules', name, 'package.json'), 'utf8')).version;

/** Every backend with every number of threads that it can have. */
const counts = options.threads.split(',').map((text) => whole('threads', text));
const runs = options.backend
  .split(',')
  .flatMap((backend) => (backend === 'wasm' || backend === 'tensorflow' ? counts : [1]).map((threads) => ({backend, threads})));

/** Where bench.ts finds onnxruntime-node. */
async function onnxPeer() {
  const {installPeers} = await import('./bench_peers.mjs');
  const runtime = path.join(installPeers(), 'node_modules/onnxruntime-node');
  return {runtime, writer: pathToFileURL(path.join(ROOT, 'scripts/peers_onnx.mjs')).href};
}

/** → answers of bench.ts; an error says whose it is */
async function ask(call, requests, more = {}) {
  const answers = await runPrograms({entry: ENTRY, call, requests, browser: options.browser, ...more});
  return answers.map((answer, i) => (answer.error === undefined ? answer : {error: `${requests[i].backend}: ${answer.error}`}));
}

/** Products. → answers of bench.ts */
async function products(probes, cases) {
  const peer = options.peers ? await onnxPeer() : null;
  const common = {peer, cases, size: number('size'), rounds: number('rounds'), variant: options.variant ?? null, probes};
  const requests = runs.map((run, i) => ({
    ...run,
    ...common,
    machine: i === runs.findIndex(({backend}) => backend === run.backend),
  }));
  return ask('tflBench', requests);
}

async function chat(probes) {
  const file = await chatModel();
  const source = options.browser ? `/models/${path.basename(file)}` : file;
  const requests = runs.map((run) => ({...run, source, rounds: number('rounds'), probes}));
  return ask('tflBenchChat', requests, {mounts: {'/models/': path.dirname(file)}});
}

const backends = [...new Set(runs.map(({backend}) => backend))];

async function loading(probes) {
  const found = await loadingModels();
  const mounts = Object.fromEntries(found.map(({folder}, i) => [`/models/${i}/`, folder]));
  const models = found.map(({format, folder, files}, i) => ({format, files, source: options.browser ? `/models/${i}` : folder}));
  const requests = backends.map((backend) => ({backend, models, rounds: number('rounds'), probes}));
  return ask('tflBenchLoading', requests, {mounts});
}

/** One row of x, as for a token, and a prompt's 64. */
function firstUse() {
  const size = number('size') ?? 2048;
  const requests = backends.flatMap((backend) =>
    [1, 64].flatMap((rows) => ['cold', 'warmUp', 'float32'].map((start) => ({backend, start, rows, size}))),
  );
  return ask('tflBenchFirstUse', requests, {fresh: true});
}

const OTHERS = {chat, loading, 'first-use': firstUse};

async function main() {
  if (options.list) {
    const [names] = await runPrograms({entry: ENTRY, call: 'tflBenchNames', requests: [{}]});
    console.log([...names, ...Object.keys(OTHERS)].join('\n'));
    return;
  }
  if (options.peers && !options.backend.split(',').includes('tensorflow')) {
    const {peers} = await import('./bench_peers.mjs');
    const kinds = positionals.length > 0 ? positionals : ['wasm', 'webgpu', 'chat'];
    await peers({json: options.json, threads: counts, kinds, rounds: number('rounds')});
    return;
  }
  const named = positionals.length > 0 ? positionals : ['linear', ...(options.html === undefined ? [] : ['growth']), 'chat', 'loading'];
  const loadBefore = load();
  const answers = [];
  const cases = named.filter((name) => OTHERS[name] === undefined);
  const probes = await probeModules();
  if (cases.length > 0) answers.push(...(await products(probes, cases)));
  for (const [name, run] of Object.entries(OTHERS)) {
    // Without the model of one, what was measured before is shown all the same.
    if (named.includes(name)) answers.push(...(await run(probes).catch((error) => [{error: `${name}: ${error.message}`}])));
  }
  const rows = answers.flatMap((answer) => answer.rows ?? []);
  const skipped = answers.flatMap((answer) => (answer.error === undefined ? answer.skipped : [answer.error]));
  const limits = answers.find((answer) => answer.limits)?.limits ?? null;
  const machine = {
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.cpus().length,
    platform: `${os.platform()} ${os.arch()}`,
    node: process.versions.node,
    where: options.browser ? 'Chromium' : 'Node',
    tfjs: version('@tensorflow/tfjs'),
    load: [loadBefore, load()],
    noise: Math.max(1, ...answers.map((answer) => answer.probe?.noise ?? 1)),
    counted: counted(rows),
    probes: answers.flatMap((answer) => answer.probe ?? []),
    date: new Date().toISOString(),
    limits,
    shares: shares(rows, limits),
  };
  if (options.html !== undefined) await benchPage({machine, rows, skipped}, path.resolve(options.html));
  if (options.json) {
    console.log(JSON.stringify({machine, rows, skipped}));
  } else {
    if (rows.length > 0) console.log(tables(rows));
    for (const line of skipped) console.log(`not run: ${line}`);
    if (machine.shares.length > 0) console.log(`\n${sharesText(machine.shares, limits)}`);
    console.log(`\n${machineText(machine)}`);
    if (options.html !== undefined) console.log(`plots: ${options.html}`);
  }
  // Numbers that are not there are a failure; a backend that this machine lacks is not, beside others.
  if (rows.length === 0) process.exitCode = 1;
}

await main();
