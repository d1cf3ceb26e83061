// bench --peers: what a user would pick instead, in one Chromium page with our rows beside. The runtimes are installed from npm into .cache/peers;
// models that only Python tools can make are taken from .cache/peers/models, or the folder that TFL_PEERS_MODELS names, and missing ones are said.
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {chatModel} from './bench_models.mjs';
import {table} from './bench_table.mjs';
import {launch, ROOT, serve} from './browser.mjs';
import {buildPeers} from './peers_build.mjs';

const FOLDER = path.join(ROOT, '.cache/peers');
const PACKAGES = {
  'onnxruntime-web': '1.31.0-dev.20260914-8d85527a0',
  '@litertjs/core': '2.5.3',
  '@wllama/wllama': '3.13.0',
  'onnxruntime-node': '1.30.0',
};
const SIZES = {wasm: 4096, webgpu: 2048};

/** Ids of SmolLM2's tokens, made once with its tokenizer. */
const PROMPTS = JSON.parse(fs.readFileSync(path.join(ROOT, 'scripts/peers_prompts.json'), 'utf8'));

const installed = (name) => {
  const file = path.join(FOLDER, 'node_modules', name, 'package.json');
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')).version : null;
};

/** Installs what is missing, running no package's scripts. → the folder */
export function installPeers() {
  const missing = Object.entries(PACKAGES).filter(([name, version]) => installed(name) !== version);
  if (missing.length === 0) return FOLDER;
  fs.mkdirSync(FOLDER, {recursive: true});
  if (!fs.existsSync(path.join(FOLDER, 'package.json'))) fs.writeFileSync(path.join(FOLDER, 'package.json'), '{"private": true}\n');
  console.error(`bench: installing ${missing.map(([name]) => name).join(', ')} into .cache/peers`);
  const specs = missing.map(([name, version]) => `${name}@${version}`);
  const command = ['install', '--prefix', FOLDER, '--ignore-scripts', '--no-audit', '--no-fund', ...specs];
  const run = spawnSync('npm', command, {cwd: FOLDER, stdio: ['ignore', 2, 2], shell: process.platform === 'win32'});
  if (run.status !== 0) throw new Error(`npm install of the peers failed with status ${run.status ?? run.signal}`);
  return FOLDER;
}

const FRAME = `<!doctype html>
<script type="importmap">{"imports": {"@litertjs/wasm-utils": "/node_modules/@litertjs/wasm-utils/dist/index.js"}}</script>
<script>window.loadRunners = () => import('/peers/runners.mjs');</script>`;

/** Calls functions of peers_page.mjs, each in a page of its own. */
async function inChromium(calls) {
  const model = calls.some(({name}) => name === 'chat') ? await chatModel() : null;
  const file = (name) => ({file: path.join(ROOT, 'scripts', name)});
  const script = (name) => ({body: fs.readFileSync(file(name).file, 'utf8'), type: 'text/javascript'});
  const server = await serve({
    mounts: {
      '/node_modules/': [path.join(FOLDER, 'node_modules'), path.join(ROOT, 'node_modules')],
      '/ours/': path.join(ROOT, 'build/peers'),
      '/models/': process.env.TFL_PEERS_MODELS ?? path.join(FOLDER, 'models'),
    },
    pages: {
      '/': '<!doctype html><title>peers</title>',
      '/frame.html': FRAME,
      '/favicon.ico': '',
      '/peers/page.mjs': script('peers_page.mjs'),
      '/peers/runners.mjs': script('peers_runners.mjs'),
      '/peers/onnx.mjs': script('peers_onnx.mjs'),
      '/peers/rows.mjs': script('peers_rows.mjs'),
      ...(model === null ? {} : {'/models/smollm2.gguf': {file: model}}),
    },
  });
  const browser = await launch();
  try {
    const answers = [];
    for (const call of calls) {
      const page = await browser.newPage();
      page.on('console', (message) => {
        if (message.text().startsWith('# ')) console.error(message.text().slice(2));
      });
      await page.goto(server.url);
      const run = page.evaluate(
        async ([name, parameters]) => (await import('/peers/page.mjs'))[name](...parameters),
        [call.name, call.parameters],
      );
      answers.push(await run.catch((error) => ({rows: [], failed: [{name: call.name, error: error.message}]})));
      await page.close();
    }
    return {answers, version: browser.version()};
  } finally {
    await browser.close();
    await server.close();
  }
}

/** Rows as the bench's: a product against tf.js float32 in the faster layout, a part of the chat against ours. */
function asBenchRows(rows) {
  const isOurs = (row) => row.name.startsWith('ours');
  const same = (row, other) => other.kind === row.kind && other.M === row.M && other.threads === row.threads && other.part === row.part;
  return rows.map((row) => {
    const candidates = rows.filter((other) => same(row, other) && (row.kind === 'chat' ? isOurs(other) : other.isBaseline));
    const best = candidates.sort((a, b) => a.medianMs - b.medianMs)[0];
    return {
      case: row.kind === 'chat' ? `peers-chat-${row.part}` : 'peers',
      where: 'browser',
      backend: row.kind === 'chat' ? 'wasm' : row.kind,
      format: row.name,
      M: row.M,
      N: row.N ?? null,
      K: row.K ?? null,
      threads: row.threads,
      medianMs: row.medianMs,
      minMs: row.minMs,
      samples: row.samples,
      baseline: best === undefined ? null : {name: best.name, medianMs: best.medianMs},
      ratio: best === undefined ? null : row.medianMs / best.medianMs,
      error: row.error ?? null,
    };
  });
}

function print(rows) {
  const head = ['runtime and weights', 'case', 'M', 'threads', 'ms', 'tokens/s', 'over', 'error'];
  const lines = rows.map((r) => [
    r.format,
    `${r.case} ${r.backend}`,
    r.M,
    r.threads,
    r.medianMs.toFixed(2),
    r.case.startsWith('peers-chat') ? ((1000 * r.M) / r.medianMs).toFixed(1) : '',
    r.ratio === null ? '' : `${r.ratio.toFixed(2)} x ${r.baseline.name}`,
    r.error === null ? '' : r.error.toExponential(0),
  ]);
  console.log(table(head, lines));
}

/** kinds: of wasm, webgpu, chat. */
export async function peers({json, threads, kinds, rounds}) {
  installPeers();
  await buildPeers();
  const calls = [];
  for (const count of threads) {
    for (const kind of kinds) {
      if (kind === 'chat') calls.push({name: 'chat', parameters: [{threads: count, rounds: rounds ?? 3, decode: 32, prompts: PROMPTS}]});
      else if (kind === 'wasm' || count === threads[0]) {
        calls.push({
          name: 'linear',
          parameters: [kind, {K: SIZES[kind], N: SIZES[kind], rows: [1, 64], threads: count, rounds: rounds ?? 5}],
        });
      }
    }
  }
  const {answers, version} = await inChromium(calls);
  const rows = asBenchRows(answers.flatMap((answer) => answer.rows));
  const skipped = answers.flatMap(({failed}) =>
    failed.map(({name, M, error}) => `${name}${M === undefined ? '' : `, M = ${M}`}: ${error}`),
  );
  const machine = {
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.cpus().length,
    where: `Chromium ${version}`,
    peers: Object.fromEntries(Object.keys(PACKAGES).map((name) => [name, installed(name)])),
    load: os.loadavg()[0],
    date: new Date().toISOString(),
  };
  if (json) console.log(JSON.stringify({machine, rows, skipped}));
  else {
    print(rows);
    for (const line of [...new Set(skipped)]) console.log(`not run: ${line.slice(0, 200)}`);
    console.log(`${machine.where}, ${machine.cores} x ${machine.cpu}; medians; ${machine.date}`);
  }
  if (rows.length === 0) process.exitCode = 1;
}
