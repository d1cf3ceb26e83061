// The packed package in a project of its own: its maps and types, and its numbers in Node and on pages. Used by npm run check:package.
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {ROOT} from './browser.mjs';
import {MODEL, openPages} from './package_pages.mjs';

const FIXTURE = 'gptq_b4_g64_sym_act_v1_bias';
/** Bounds of a product: wasm rounds x to 16-bit integers. */
const BOUNDS = {cpu: 1e-6, wasm: 1e-4};

const versionOf = (name) => JSON.parse(fs.readFileSync(path.join(ROOT, 'node_modules', name, 'package.json'), 'utf8')).version;

/** A program that has to end well. → what it printed */
export function runText(name, command, options, cwd) {
  const result = spawnSync(command, options, {cwd, encoding: 'utf8', shell: process.platform === 'win32'});
  if (result.status === 0) return result.stdout;
  throw new Error(`${name} failed with status ${result.status ?? result.signal}:\n${result.stdout}\n${result.stderr}`);
}

/** A new project with the package and the peers that it needs, as a user would install them, and the files of test/package. */
export function installApp(folder, tarball) {
  fs.mkdirSync(path.join(folder, MODEL), {recursive: true});
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify({name: 'app', private: true, type: 'module'}));
  const peers = ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'].map((name) => `${name}@${versionOf(name)}`);
  runText('npm install', 'npm', ['install', tarball, ...peers, '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'], folder);
  for (const file of ['check.js', 'node.mjs', 'page.js', 'consumer.ts']) {
    fs.copyFileSync(path.join(ROOT, 'test/package', file), path.join(folder, file));
  }
  const {cases} = JSON.parse(fs.readFileSync(path.join(ROOT, 'test/fixtures/quant/index.json'), 'utf8'));
  const {file, quantization_config} = cases.find(({name}) => name === FIXTURE);
  fs.copyFileSync(path.join(ROOT, 'test/fixtures/quant', file), path.join(folder, MODEL, 'model.safetensors'));
  fs.writeFileSync(path.join(folder, MODEL, 'config.json'), JSON.stringify({quantization_config}));
}

/** Throws unless every backend gave right numbers, and so on. */
function judge(where, {backends, worker}) {
  if (backends.length !== 2) throw new Error(`${where}: ${backends.length} results of 2`);
  if (worker !== null && worker.join() !== '11,22,33') throw new Error(`${where}: a worker gives ${worker}`);
  for (const {backend, error, same, loaded, name, isError, missing} of backends) {
    const faults = [
      !(error < BOUNDS[backend]) && `error ${error} is not below ${BOUNDS[backend]}`,
      !same && 'inside tf.sequential the layer gives other numbers',
      !loaded && 'the loaded model gives other numbers',
      !isError && 'a missing module is no MissingError',
      name !== 'MissingError' && `its name is '${name}'`,
      missing.length > 0 && `tf.js does not know ${missing.join(', ')}`,
    ].filter(Boolean);
    if (faults.length > 0) throw new Error(`${where}, ${backend}: ${faults.join('; ')}`);
  }
  console.log(
    `${where}: ${backends.map(({backend, error}) => `${backend} ${error.toExponential(1)}`).join(', ')}${worker === null ? '' : ', a worker'}`,
  );
}

/** Every script of the package has a map beside it, with our sources in it. */
export function checkMaps(folder) {
  const dist = path.join(folder, 'node_modules/tfjs-linear/dist');
  const files = fs.readdirSync(dist, {recursive: true}).filter((file) => /\.m?js$/.test(file));
  for (const file of files) {
    const [, name] = /\/\/# sourceMappingURL=(\S+)\s*$/.exec(fs.readFileSync(path.join(dist, file), 'utf8')) ?? [];
    const map = path.join(dist, path.dirname(file), name ?? 'none');
    if (!fs.existsSync(map)) throw new Error(`dist/${file} has no source map`);
    const {sources, sourcesContent} = JSON.parse(fs.readFileSync(map, 'utf8'));
    if (sources.length === 0 || sourcesContent?.length !== sources.length) throw new Error(`dist/${file}: its map has no sources in it`);
  }
  console.log(`${files.length} scripts with source maps`);
}

export function checkNode(folder) {
  const {from, results} = JSON.parse(runText('node.mjs', process.execPath, ['node.mjs'], folder).trim().split('\n').at(-1));
  if (!from.includes('/build/package/app/node_modules/tfjs-linear/')) throw new Error(`Node found tfjs-linear in ${from}`);
  judge('Node, ES module', results);
}

export function checkTypes(folder) {
  const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    const compilerOptions = {module, moduleResolution, noEmit: true, strict: true, skipLibCheck: true, target: 'es2022', types: []};
    fs.writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({compilerOptions, files: ['consumer.ts']}));
    runText(`tsc, ${moduleResolution}`, process.execPath, [compiler, '-p', '.'], folder);
  }
  console.log('types: a user file compiles, wrong uses do not (nodenext, bundler)');
}

/** Without a bundler: three script tags, and the checks as a module. */
const SCRIPTS = `
  <script src="https://cdn.jsdelivr.net/npm/@tensorflow/tfjs/dist/tf.min.js"></script>
  <script src="https://cdn.jsdelivr.net/npm/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js"></script>
  <script src="https://cdn.jsdelivr.net/npm/tfjs-linear/dist/tfjs-linear.js"></script>
  <script type="module">
    import {checkPackage, checkWorker} from '/check.js';
    tf.wasm.setWasmPaths('/wasm/');
    try {
      const backends = [];
      for (const backend of ['cpu', 'wasm']) {
        await tf.setBackend(backend);
        backends.push(await checkPackage(tf, tfl, new URL('/my-model/', location.href)));
      }
      globalThis.results = {backends, worker: await checkWorker(tf, tfl)};
    } catch (error) {
      globalThis.failure = String(error.stack ?? error);
    }
  </script>`;

export async function checkPages(folder) {
  const found = await openPages(folder, {module: 'page.js', head: SCRIPTS, isolated: true, query: '?unthreaded'});
  for (const {where, results} of found) judge(where, results);
}
