// npm run check:package: builds and packs the package, has publint and "are the types wrong" look at what a user would install, loads all three
// builds, and installs the package in a project of its own: in Node, through Vite and webpack, from script tags, README's examples too; what an
// import costs a page. --built: dist is up to date.
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {pathToFileURL} from 'node:url';
import {parseArgs} from 'node:util';
import {launch, ROOT, serve} from './browser.mjs';
import {checkMaps, checkNode, checkPages, checkTypes, installApp, runText} from './package_app.mjs';
import {checkReadme} from './package_readme.mjs';
import {checkSizes} from './package_sizes.mjs';

const {values: options} = parseArgs({options: {built: {type: 'boolean'}}});
const folder = path.join(ROOT, 'build/package');

function run(name, command, options) {
  const result = spawnSync(command, options, {cwd: ROOT, encoding: 'utf8', shell: process.platform === 'win32'});
  process.stdout.write(result.stdout ?? '');
  process.stderr.write(result.stderr ?? '');
  if (result.status !== 0) throw new Error(`${name} failed with status ${result.status ?? result.signal ?? result.error}`);
}

const tool = (name) => path.join(ROOT, 'node_modules/.bin', name);

/** Names that the script build defines on `tfl` in a page with tf.js's own script before it. */
async function scriptExports() {
  const page = '<!doctype html><script src="/tfjs/tf.min.js"></script><script src="/dist/tfjs-linear.js"></script>';
  const mounts = {'/tfjs/': path.join(ROOT, 'node_modules/@tensorflow/tfjs/dist'), '/dist/': path.join(ROOT, 'dist')};
  const server = await serve({mounts, pages: {'/': page}});
  const browser = await launch();
  try {
    const tab = await browser.newPage();
    const errors = [];
    tab.on('pageerror', (error) => errors.push(error.message));
    await tab.goto(server.url);
    const names = await tab.evaluate(() => Object.keys(globalThis.tfl ?? {}));
    if (errors.length > 0) throw new Error(`dist/tfjs-linear.js in a page: ${errors.join('; ')}`);
    return names;
  } finally {
    await browser.close();
    await server.close();
  }
}

async function loadBuilds() {
  // Each in a process of its own: tf.js warns of kernels that are registered twice.
  const exportsOf = (file) => {
    const code = `console.log(JSON.stringify(Object.keys(await import(${JSON.stringify(pathToFileURL(path.join(ROOT, file)).href)}))))`;
    const shown = runText(file, process.execPath, ['--input-type=module', '-e', code], ROOT);
    return JSON.parse(shown.trim().split('\n').at(-1));
  };
  const wanted = exportsOf('dist/esm/src/index.js').sort().join(' ');
  if (wanted === '') throw new Error('dist/esm/src/index.js exports nothing');
  const found = {'dist/tfjs-linear.mjs': exportsOf('dist/tfjs-linear.mjs'), 'dist/tfjs-linear.js': await scriptExports()};
  for (const [file, names] of Object.entries(found)) {
    if (names.sort().join(' ') !== wanted) throw new Error(`${file} exports ${names.join(' ')}; the ES modules export ${wanted}`);
  }
  console.log(`three builds load, each with ${wanted.split(' ').length} exports`);
}

fs.rmSync(folder, {recursive: true, force: true});
fs.mkdirSync(folder, {recursive: true});
if (!options.built) run('build', process.execPath, ['scripts/build.mjs']);
if (!fs.existsSync(path.join(ROOT, 'dist/esm/src/index.js'))) throw new Error('dist is not built: npm run build');
run('npm pack', 'npm', ['pack', '--silent', '--json=false', '--pack-destination', folder]);
const [tarball] = fs.readdirSync(folder);
const packed = path.join(folder, tarball);
console.log(`${(fs.statSync(packed).size / 1024).toFixed(0)} KiB packed`);
run('publint', tool('publint'), [packed, '--strict']);
run('attw', tool('attw'), [packed, '--profile', 'esm-only', '--no-emoji']);
await loadBuilds();
const app = path.join(folder, 'app');
installApp(app, packed);
checkMaps(app);
checkNode(app);
checkTypes(app);
await checkPages(app);
await checkReadme(app);
await checkSizes(app);
// Backends keep timers and workers alive.
process.exit(0);
