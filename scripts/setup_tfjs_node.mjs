// npm run setup:tfjs-node: builds the add-on of the installed but unbuilt @tensorflow/tfjs-node-gpu against TensorFlow's shared libraries out of a
// wheel from the Python package index, so that nothing comes from outside the package registries. Needs python3 with pip, a C++ compiler, make and
// Node's headers (in Node's own prefix, or where npm_config_nodedir says). No Python code of the wheel runs. Linux, x64 and arm64.
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import {createRequire} from 'node:module';
import os from 'node:os';
import path from 'node:path';
import {pathToFileURL} from 'node:url';
import {parseArgs} from 'node:util';
import {ROOT} from './browser.mjs';

/** Its libraries link with tfjs-node 4.22, whose C++ asks only for TensorFlow's stable C API; of those that do, the smallest download (207 MB). */
const WHEEL = 'tensorflow-cpu==2.15.1';
const PACKAGE = '@tensorflow/tfjs-node-gpu';
const CACHE = path.join(process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'tfjs-linear');

const EXTRACT = `
import glob, re, sys, zipfile
wheel, = glob.glob(sys.argv[1] + '/*.whl')
keep = re.compile(r'tensorflow/(libtensorflow_(cc|framework)\\.so\\.2|include/(tensorflow|tsl|xla)/.*\\.(h|inc))$')
skip = re.compile(r'include/tensorflow/(compiler|dtensor|lite|python)/')
with zipfile.ZipFile(wheel) as z:
    z.extractall(sys.argv[1], [n for n in z.namelist() if keep.match(n) and not skip.search(n)])
`;

/** Output is shown only where the command fails. */
function run(name, command, options, more = {}) {
  const result = spawnSync(command, options, {encoding: 'utf8', maxBuffer: 2 ** 28, ...more});
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  throw new Error(`${name} failed: ${result.error ?? result.signal ?? `status ${result.status}`}`);
}

/** The wheel's two libraries and its C headers in the cache, by name and version; downloaded once. → their folder */
function libraries(wheel, cache) {
  const folder = path.join(cache, wheel.replace(/[^\w.]+/g, '-'));
  if (fs.existsSync(folder)) return folder;
  const arch = {x64: 'x86_64', arm64: 'aarch64'}[process.arch];
  if (process.platform !== 'linux' || arch === undefined) {
    throw new Error(`the wheel's libraries are for Linux on x64 and arm64, not ${process.platform} on ${process.arch}`);
  }
  fs.mkdirSync(cache, {recursive: true});
  const unfinished = fs.mkdtempSync(`${folder}.`);
  try {
    // Nothing of Python in the wheel is used, so its Python version is of no consequence; one is named so that any python3 will do.
    const tags = ['--implementation', 'cp', '--python-version', '3.11', '--abi', 'cp311'];
    const platforms = ['manylinux_2_17', 'manylinux2014'].flatMap((name) => ['--platform', `${name}_${arch}`]);
    const options = ['download', '--quiet', '--no-deps', '--only-binary=:all:', ...tags, ...platforms, '--dest', unfinished, wheel];
    console.log(`downloading ${wheel} with pip`);
    run('pip download', 'python3', ['-m', 'pip', ...options]);
    run('extraction of the wheel', 'python3', ['-c', EXTRACT, unfinished]);
    for (const file of fs.readdirSync(unfinished)) if (file.endsWith('.whl')) fs.rmSync(path.join(unfinished, file));
    fs.renameSync(unfinished, folder);
  } catch (error) {
    fs.rmSync(unfinished, {recursive: true, force: true});
    throw error;
  }
  return folder;
}

/** Links libraries and headers to where the package's own build looks for them. */
function linkInto(packageFolder, folder) {
  const link = (target, at) => {
    fs.rmSync(at, {recursive: true, force: true});
    fs.symlinkSync(target, at);
  };
  fs.mkdirSync(path.join(packageFolder, 'deps/lib'), {recursive: true});
  link(path.join(folder, 'tensorflow/include'), path.join(packageFolder, 'deps/include'));
  const names = {'libtensorflow_cc.so.2': 'libtensorflow.so', 'libtensorflow_framework.so.2': 'libtensorflow_framework.so'};
  for (const [file, plain] of Object.entries(names)) {
    link(path.join(folder, 'tensorflow', file), path.join(packageFolder, 'deps/lib', file));
    link(file, path.join(packageFolder, 'deps/lib', plain));
  }
}

/** Node's prefix where its headers lie, else undefined. node-gyp would download them unless told. */
export function nodePrefix() {
  const prefix = process.env.npm_config_nodedir ?? path.resolve(process.execPath, '../..');
  return fs.existsSync(path.join(prefix, 'include/node/node_api.h')) ? prefix : undefined;
}

/** Builds the package's add-on unless it is built against this wheel. → whether there was anything to do */
export function setupTfjsNode({package: name, wheel, cache, force = false}) {
  const manifest = createRequire(path.join(ROOT, 'package.json')).resolve(`${name}/package.json`);
  const packageFolder = path.dirname(fs.realpathSync(manifest));
  const fromPackage = createRequire(manifest);
  const binding = fromPackage('@mapbox/node-pre-gyp').find(manifest);
  const stamp = path.join(packageFolder, 'deps/from-wheel.txt');
  const linked = fs.existsSync(path.join(packageFolder, 'deps/lib/libtensorflow.so'));
  if (!force && linked && fs.existsSync(binding) && fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === wheel) return false;
  linkInto(packageFolder, libraries(wheel, cache));
  const nodedir = nodePrefix();
  const env = nodedir === undefined ? process.env : {...process.env, npm_config_nodedir: nodedir};
  const command = fromPackage.resolve('@mapbox/node-pre-gyp/bin/node-pre-gyp');
  run(`the build of ${name}`, process.execPath, [command, 'install', '--build-from-source'], {cwd: packageFolder, env});
  fs.writeFileSync(stamp, wheel);
  return true;
}

/** The package and the wheel of the CI, where the environment names no other wheel or cache. → whether there was anything to do */
export function setupFromEnvironment(more = {}) {
  const wheel = process.env.TFJS_LINEAR_TENSORFLOW_WHEEL ?? WHEEL;
  const cache = process.env.TFJS_LINEAR_CACHE ?? CACHE;
  const wanted = {package: PACKAGE, wheel, cache, ...more};
  const built = setupTfjsNode(wanted);
  console.log(`${wanted.package}: ${built ? 'built' : 'is built'} against ${wanted.wheel}`);
  return built;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const {values: options} = parseArgs({
    options: {package: {type: 'string'}, wheel: {type: 'string'}, cache: {type: 'string'}, force: {type: 'boolean'}},
  });
  setupFromEnvironment(options);
}
