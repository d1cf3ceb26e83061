// npm run bench -- [case...] [options]: packed weights beside tf.js float32 on the same backend, in the same interleaved rounds.
//   case          gemv-q4 (one row of x), gemm-q4 (64 rows), q4 (both), or a case of test/grid/cases.ts. Default: gemv-q4 gemm-q4. --list names them.
//   --backend     names, by comma. Default: wasm
//   --browser     in Chromium, on a cross-origin isolated page, in place of Node
//   --size        N and K. Default: 4096 on wasm, 2048 on webgpu and webgl, 512 on cpu
//   --threads     threads for tf.js's own wasm kernels (isolated pages only)
//   --rounds      rounds of measurement. Default: 7
//   --variant     force a kernel, where it can run
//   --peers       says which other runtimes are installed; none is timed here
//   --json        one JSON document on stdout
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {runPrograms} from './bench_run.mjs';
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
    threads: {type: 'string'},
    size: {type: 'string'},
    rounds: {type: 'string'},
    variant: {type: 'string'},
  },
});
setup();

const number = (name) => {
  if (options[name] === undefined) return null;
  const value = Number(options[name]);
  if (Number.isInteger(value) && value > 0) return value;
  console.error(`bench: --${name} takes a whole number above 0, not '${options[name]}'`);
  process.exit(2);
};
const load = () => Math.round(os.loadavg()[0] * 100) / 100;
const version = (name) => JSON.parse(fs.readFileSync(path.join(ROOT, 'node_modules', name, 'package.json'), 'utf8')).version;

/** Runtimes that are no dependency of this package. */
const PEERS = ['onnxruntime-web', '@litertjs/core'];
const installed = PEERS.filter((name) => fs.existsSync(path.join(ROOT, 'node_modules', name, 'package.json')));

const ms = (value) => (value < 10 ? value.toFixed(2) : value.toFixed(1));

function table(rows) {
  const head = ['case', 'where', 'backend', 'format', 'M', 'N = K', 'kernel', 'ours ms', 'tf.js f32 ms', 'tf.js layout', 'ratio', 'error'];
  const lines = rows.map((r) => [
    r.case,
    r.where,
    r.backend,
    r.format,
    r.M,
    r.N,
    r.variant,
    ms(r.medianMs),
    ms(r.baseline.medianMs),
    r.baseline.name.replace('tf.matMul ', ''),
    r.ratio.toFixed(2),
    r.error.toExponential(0),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...lines].map((line) => String(line[i]).length)));
  const show = (line) => `| ${line.map((cell, i) => String(cell).padEnd(widths[i])).join(' | ')} |`;
  return [show(head), `|${widths.map((w) => '-'.repeat(w + 2)).join('|')}|`, ...lines.map(show)].join('\n');
}

async function main() {
  const entry = 'test/grid/bench.ts';
  if (options.list) {
    const [names] = await runPrograms({entry, call: 'tflBenchNames', requests: [{}]});
    console.log(names.join('\n'));
    return;
  }
  const threads = number('threads');
  const cases = positionals.length === 0 ? ['gemv-q4', 'gemm-q4'] : positionals;
  const requests = options.backend.split(',').map((backend) => {
    return {backend, cases, size: number('size'), rounds: number('rounds'), threads, variant: options.variant ?? null};
  });
  const loadBefore = load();
  // tf.js takes half of the cores that the page reports, at most.
  const hardwareConcurrency = threads === null ? null : 2 * threads;
  const answers = await runPrograms({entry, call: 'tflBench', requests, browser: options.browser, hardwareConcurrency});
  const rows = answers.flatMap((answer) => answer.rows ?? []);
  const skipped = answers.flatMap((answer, i) =>
    answer.error === undefined ? answer.skipped : [`${requests[i].backend}: ${answer.error}`],
  );
  if (options.peers) {
    skipped.push(
      `peers: ${installed.length === 0 ? `none of ${PEERS.join(', ')} is installed` : `the bench has no runner for ${installed.join(', ')}`}`,
    );
  }
  const machine = {
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.cpus().length,
    platform: `${os.platform()} ${os.arch()}`,
    node: process.versions.node,
    where: options.browser ? 'Chromium' : 'Node',
    tfjs: version('@tensorflow/tfjs'),
    tfjsThreads: answers.find((answer) => answer.tfjsThreads)?.tfjsThreads ?? null,
    load: [loadBefore, load()],
    noise: Math.max(1, ...answers.map((answer) => answer.noise ?? 1)),
    date: new Date().toISOString(),
  };
  if (options.json) {
    console.log(JSON.stringify({machine, rows, skipped}));
  } else {
    if (rows.length > 0) console.log(table(rows));
    for (const line of skipped) console.log(`not run: ${line}`);
    const threadsText =
      machine.tfjsThreads === null ? '' : `, tf.js wasm on ${machine.tfjsThreads} thread${machine.tfjsThreads === 1 ? '' : 's'}`;
    console.log(
      `${machine.where}, ${machine.cores} x ${machine.cpu}, tf.js ${machine.tfjs}${threadsText}; medians; load ${machine.load.join(' to ')}, noise ${machine.noise.toFixed(2)}; ${machine.date}`,
    );
  }
  // Numbers that are not there are a failure; a backend that this machine lacks is not, beside others.
  if (rows.length === 0) process.exitCode = 1;
}

await main();
