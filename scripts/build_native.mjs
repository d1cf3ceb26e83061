// npm run build:native: compiles kernels/tensorflow/native into build/native/tfjs_linear.node, with g++ (or $CXX) and Node's headers alone.
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const SOURCES = path.join(ROOT, 'kernels/tensorflow/native');
const OUTPUT = path.join(ROOT, 'build/native/tfjs_linear.node');

// A contracted a * b + c would round once where the kernels must round twice. g++ warns of uninitialised values in its own AVX-512 headers.
const OPTIONS = [
  '-std=c++17',
  '-O3',
  '-fPIC',
  '-fvisibility=hidden',
  '-ffp-contract=off',
  '-fno-math-errno',
  '-Wall',
  '-Wextra',
  '-Wno-uninitialized',
];
const GCC_OPTIONS = ['-Wno-maybe-uninitialized'];
const LINK = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-ldl', '-pthread'];

const filesOf = (folder, suffix) =>
  fs
    .readdirSync(folder, {recursive: true})
    .map((file) => path.join(folder, file))
    .filter((file) => file.endsWith(suffix));

/** Node's headers, in its own prefix or where npm_config_nodedir says. */
function nodeHeaders() {
  const prefixes = [process.env.npm_config_nodedir, path.resolve(process.execPath, '../..')].filter((prefix) => prefix !== undefined);
  const found = prefixes
    .map((prefix) => path.join(prefix, 'include/node'))
    .find((folder) => fs.existsSync(path.join(folder, 'node_api.h')));
  if (found === undefined)
    throw new Error(`Node's headers are not in ${prefixes.join(' or ')}; set npm_config_nodedir to a prefix that has them`);
  return found;
}

/** Compiles what is older than its sources. → whether there was anything to do */
export function buildNative() {
  if (process.platform === 'win32') throw new Error('the add-on is for Linux and macOS: it finds TensorFlow with dlsym');
  const inputs = [...filesOf(SOURCES, '.h'), ...filesOf(SOURCES, '.cc'), fileURLToPath(import.meta.url)];
  const newest = Math.max(...inputs.map((file) => fs.statSync(file).mtimeMs));
  if (fs.existsSync(OUTPUT) && fs.statSync(OUTPUT).mtimeMs > newest) return false;
  const compiler = process.env.CXX ?? 'g++';
  const clang = spawnSync(compiler, ['--version'], {encoding: 'utf8'}).stdout?.includes('clang');
  fs.mkdirSync(path.dirname(OUTPUT), {recursive: true});
  // Renamed into place: a process beside this one may have the old file open.
  const unfinished = `${OUTPUT}.${process.pid}`;
  const flags = [...OPTIONS, ...(clang ? [] : GCC_OPTIONS), '-isystem', nodeHeaders()];
  const run = spawnSync(compiler, [...flags, ...filesOf(SOURCES, '.cc'), '-o', unfinished, ...LINK], {stdio: ['ignore', 2, 2]});
  if (run.status !== 0) throw new Error(`${compiler} failed: ${run.error ?? run.signal ?? `status ${run.status}`}`);
  fs.renameSync(unfinished, OUTPUT);
  return true;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const built = buildNative();
  const size = (fs.statSync(OUTPUT).size / 1024).toFixed(0);
  console.log(`${path.relative(ROOT, OUTPUT)} ${built ? 'built' : 'is up to date'}, ${size} KiB`);
}
