// The packed package in a project of its own: in Node, through Vite (built and served) and webpack, from script tags, and its types. Used by
// npm run check:package.
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as vite from 'vite';
import webpack from 'webpack';
import {launch, ROOT, serve} from './browser.mjs';

const FIXTURE = 'gptq_b4_g64_sym_act_v1_bias';
/** Bounds of a product: wasm rounds x to 16-bit integers. */
const BOUNDS = {cpu: 1e-6, wasm: 1e-4};

const versionOf = (name) => JSON.parse(fs.readFileSync(path.join(ROOT, 'node_modules', name, 'package.json'), 'utf8')).version;

function run(name, command, options, cwd) {
  const result = spawnSync(command, options, {cwd, encoding: 'utf8', shell: process.platform === 'win32'});
  if (result.status === 0) return result.stdout;
  throw new Error(`${name} failed with status ${result.status ?? result.signal}:\n${result.stdout}\n${result.stderr}`);
}

/** A new project with the package and the peers that it needs, as a user would install them, and the files of test/package. */
export function installApp(folder, tarball) {
  fs.mkdirSync(path.join(folder, 'fixture'), {recursive: true});
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify({name: 'app', private: true, type: 'module'}));
  const peers = ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'].map((name) => `${name}@${versionOf(name)}`);
  run('npm install', 'npm', ['install', tarball, ...peers, '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'], folder);
  for (const file of ['check.js', 'node.mjs', 'page.js', 'consumer.ts']) {
    fs.copyFileSync(path.join(ROOT, 'test/package', file), path.join(folder, file));
  }
  const {cases} = JSON.parse(fs.readFileSync(path.join(ROOT, 'test/fixtures/quant/index.json'), 'utf8'));
  const {file, quantization_config} = cases.find(({name}) => name === FIXTURE);
  fs.copyFileSync(path.join(ROOT, 'test/fixtures/quant', file), path.join(folder, 'fixture/model.safetensors'));
  fs.writeFileSync(path.join(folder, 'fixture/config.json'), JSON.stringify({quantization_config}));
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
  const {from, results} = JSON.parse(run('node.mjs', process.execPath, ['node.mjs'], folder).trim().split('\n').at(-1));
  if (!from.includes('/build/package/app/node_modules/tfjs-linear/')) throw new Error(`Node found tfjs-linear in ${from}`);
  judge('Node, ES module', results);
}

/** The ten lines of README, as they stand there but for the model and its module, where the package is installed. */
export function checkReadme(folder) {
  const [, code] = /^```js run\n([\s\S]*?)^```/m.exec(fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8')) ?? [];
  const changed = code?.replace('path/or/url/of/a/model', 'fixture').replace('mlp.up_proj', 'self_attn.k_proj');
  if (changed === undefined || !changed.includes("'fixture'") || !changed.includes('k_proj'))
    throw new Error('README has no example to run');
  fs.writeFileSync(path.join(folder, 'readme.mjs'), changed);
  const shown = run('readme.mjs', process.execPath, ['readme.mjs'], folder).trim();
  if (!/96 \] \d+ bytes for \d+ weights$/.test(shown)) throw new Error(`README's example printed: ${shown}`);
  console.log(`README's example: ${shown.split('\n').at(-1)}`);
}

export function checkTypes(folder) {
  const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    const compilerOptions = {module, moduleResolution, noEmit: true, strict: true, skipLibCheck: true, target: 'es2022', types: []};
    fs.writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({compilerOptions, files: ['consumer.ts']}));
    run(`tsc, ${moduleResolution}`, process.execPath, [compiler, '-p', '.'], folder);
  }
  console.log('types: a user file compiles, wrong uses do not (nodenext, bundler)');
}

async function results(browser, url) {
  const tab = await browser.newPage();
  const errors = [];
  tab.on('pageerror', (error) => errors.push(error.message));
  await tab.goto(url);
  await tab
    .waitForFunction('globalThis.results !== undefined || globalThis.failure !== undefined', undefined, {timeout: 60_000})
    .catch((error) => {
      throw new Error(`${url}: ${error.message} ${errors.join('; ')}`);
    });
  const {found, failure} = await tab.evaluate(() => ({found: globalThis.results, failure: globalThis.failure}));
  await tab.close();
  if (failure !== undefined || errors.length > 0) throw new Error(`${url}: ${failure ?? ''} ${errors.join('; ')}`);
  return found;
}

const html = (head) => `<!doctype html><meta charset="utf-8">${head}`;

function mountsOf(folder) {
  const modules = path.join(folder, 'node_modules');
  return {
    '/fixture/': path.join(folder, 'fixture'),
    '/wasm/': path.join(modules, '@tensorflow/tfjs-backend-wasm/dist'),
    '/modules/': modules,
    '/dist-webpack/': path.join(folder, 'dist-webpack'),
    '/assets/': path.join(folder, 'dist-vite/assets'),
  };
}

async function buildVite(folder) {
  fs.writeFileSync(path.join(folder, 'index.html'), html('<script type="module" src="/page.js"></script>'));
  await vite.build({
    root: folder,
    configFile: false,
    logLevel: 'error',
    build: {outDir: 'dist-vite', chunkSizeWarningLimit: 10_000},
  });
  return fs.readFileSync(path.join(folder, 'dist-vite/index.html'), 'utf8');
}

function buildWebpack(folder) {
  const compiler = webpack({
    mode: 'production',
    context: folder,
    entry: './page.js',
    output: {path: path.join(folder, 'dist-webpack'), filename: 'page.js'},
    performance: false,
  });
  return new Promise((resolve, reject) => {
    compiler.run((error, stats) => {
      const faults = stats?.toString({all: false, errors: true, warnings: true}) ?? '';
      if (error || stats.hasErrors() || stats.hasWarnings()) reject(error ?? new Error(`webpack: ${faults}`));
      else compiler.close(() => resolve());
    });
  });
}

/** The page without a bundler: three script tags, and the checks as a module. */
const scriptPage = html(`
  <script src="/modules/@tensorflow/tfjs/dist/tf.min.js"></script>
  <script src="/modules/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js"></script>
  <script src="/modules/tfjs-linear/dist/tfjs-linear.js"></script>
  <script type="module">
    import {checkPackage, checkWorker} from '/check.js';
    tf.wasm.setWasmPaths('/wasm/');
    try {
      const backends = [];
      for (const backend of ['cpu', 'wasm']) {
        await tf.setBackend(backend);
        backends.push(await checkPackage(tf, tfl, new URL('/fixture/', location.href)));
      }
      globalThis.results = {backends, worker: await checkWorker(tf, tfl)};
    } catch (error) {
      globalThis.failure = String(error.stack ?? error);
    }
  </script>`);

/** vite's own server, which serves modules one by one, has no folder for the wasm files: the project's public folder is it. */
async function serveVite(folder) {
  for (const [name, from] of [
    ['fixture', path.join(folder, 'fixture')],
    ['wasm', path.join(folder, 'node_modules/@tensorflow/tfjs-backend-wasm/dist')],
  ]) {
    fs.cpSync(from, path.join(folder, 'public', name), {recursive: true, filter: (file) => !/\.(js|ts|map)$/.test(file)});
  }
  const server = await vite.createServer({
    root: folder,
    configFile: false,
    logLevel: 'error',
    server: {port: 0, host: '127.0.0.1', hmr: false},
  });
  await server.listen();
  return server;
}

export async function checkPages(folder) {
  const built = await buildVite(folder);
  await buildWebpack(folder);
  const pages = {
    '/vite': built,
    '/webpack': html('<script src="/dist-webpack/page.js" defer></script>'),
    '/script': scriptPage,
    '/check.js': {file: path.join(folder, 'check.js')},
  };
  const server = await serve({mounts: mountsOf(folder), pages});
  const browser = await launch();
  const dev = await serveVite(folder);
  try {
    judge('Vite, built', await results(browser, `${server.url}/vite?unthreaded`));
    judge('Vite, served', await results(browser, `http://127.0.0.1:${dev.httpServer.address().port}/`));
    judge('webpack', await results(browser, `${server.url}/webpack?unthreaded`));
    judge('script tags', await results(browser, `${server.url}/script`));
  } finally {
    await browser.close();
    await server.close();
    await dev.close();
  }
}
