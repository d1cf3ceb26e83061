// Compiles kernels/wasm/assembly to WebAssembly and writes it as hexadecimal text into kernels/wasm/generated/binary.ts. The kernels are compiled twice:
// once more with relaxed SIMD (one instruction for multiply and add), which not every engine accepts. tf.js's memory is shared on an isolated page and
// unshared elsewhere, and a module's import is one or the other. The two differ in one byte, so each is written once, with where that byte is. What
// loading uses is a module of its own: it also runs over memory of its own, where tf.js has none. Hexadecimal text is longer than base64 and shorter once a server has compressed it, by a
// fifth: equal bytes are equal text wherever they stand.
import fs from 'node:fs';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {ROOT} from './browser.mjs';

const SOURCES = path.join(ROOT, 'kernels/wasm/assembly');
const ENTRY = path.join(SOURCES, 'index.ts');
const OUTPUT = path.join(ROOT, 'kernels/wasm/generated/binary.ts');

// 112: that a host may not take vectors, as `ordered` does. None ever calls it.
const OPTIONS = [
  '--runtime',
  'stub',
  '-O3',
  '--noAssert',
  '--enable',
  'simd',
  '--enable',
  'threads',
  '--use',
  'abort=',
  '--disableWarning',
  '112',
];
// The memory is tf.js's: ours must ask for no more than it has at the start, and allow all that it may grow to.
const MEMORY = ['--importMemory', '--initialMemory', '1', '--maximumMemory', '65536'];
const BUILDS = {
  PLAIN: ['index.ts', ...MEMORY],
  RELAXED: ['index.ts', ...MEMORY, '--enable', 'relaxed-simd'],
  LOWERING: ['lowering.ts', ...MEMORY],
};
const DATA_SECTION = 11;
// The import of memory 'memory' of 'env', up to its flags. Source: WebAssembly core specification 5.5.5.
const MEMORY_IMPORT = Buffer.from('\x03env\x06memory\x02', 'latin1');
const HAS_MAXIMUM = 1;

/** Section ids of a module, in order. */
function sectionIds(bytes) {
  const ids = [];
  let at = 8;
  while (at < bytes.length) {
    ids.push(bytes[at++]);
    let size = 0;
    let shift = 0;
    let byte;
    do {
      byte = bytes[at++];
      size += (byte & 127) * 2 ** shift;
      shift += 7;
    } while (byte & 128);
    at += size;
  }
  return ids;
}

/** The module of one build, as bytes. */
async function compile(name) {
  const {default: asc} = await import('assemblyscript/asc');
  let bytes;
  const [entry, ...more] = BUILDS[name];
  const options = [path.join(path.relative(ROOT, SOURCES), entry), '--outFile', 'module.wasm', ...OPTIONS, ...more];
  const {error, stderr} = await asc.main(options, {
    readFile: (file, base) => {
      const full = path.resolve(ROOT, base ?? '.', file);
      return fs.existsSync(full) ? fs.readFileSync(full, 'utf8') : null;
    },
    writeFile: (_file, contents) => {
      bytes = contents;
    },
    listFiles: () => null,
  });
  const messages = stderr.toString().trim();
  if (messages) console.error(messages);
  if (error) throw new Error(`AssemblyScript, ${name} build: ${error.message}`);
  return inOrder(bytes);
}

/** Without the calls of `ordered`, an import of which each is what it was given; they have done their work. */
async function inOrder(bytes) {
  const {default: binaryen} = await import('assemblyscript/binaryen');
  const module = binaryen.readBinary(bytes);
  const functions = Array.from({length: module.getNumFunctions()}, (_, i) => binaryen.getFunctionInfo(module.getFunctionByIndex(i)));
  const call = functions.find(({base}) => base === 'ordered');
  if (call === undefined) return bytes;
  module.setFeatures(binaryen.Features.All);
  module.removeFunction(call.name);
  module.addFunction(call.name, binaryen.v128, binaryen.v128, [], module.local.get(0, binaryen.v128));
  // No function but this one.
  binaryen.setAlwaysInlineMaxSize(2);
  binaryen.setFlexibleInlineMaxSize(0);
  binaryen.setOneCallerInlineMaxSize(0);
  module.runPasses(['inlining', 'merge-blocks', 'vacuum', 'reorder-locals']);
  return module.emitBinary();
}

async function binary(name) {
  const bytes = await compile(name);
  // Static data would land at low addresses of tf.js's own heap, over its constants.
  if (sectionIds(bytes).includes(DATA_SECTION)) {
    throw new Error(
      `${name} build: the module has a data section. It lives in tf.js's memory and may have no static data: ` +
        'no string, array literal, static array or managed object in kernels/wasm/assembly.',
    );
  }
  // This Node may be one of the engines without relaxed SIMD.
  if (!name.startsWith('RELAXED') && !WebAssembly.validate(bytes)) throw new Error(`${name} build: the module is not valid WebAssembly`);
  const module = Buffer.from(bytes);
  const flagsAt = module.indexOf(MEMORY_IMPORT) + MEMORY_IMPORT.length;
  if (module[flagsAt] !== HAS_MAXIMUM) throw new Error(`${name} build: an unshared memory with a maximum is not what the module imports`);
  return {hex: module.toString('hex'), flagsAt};
}

function isFresh() {
  if (!fs.existsSync(OUTPUT)) return false;
  const output = fs.statSync(OUTPUT).mtimeMs;
  const inputs = [fileURLToPath(import.meta.url), path.join(ROOT, 'package-lock.json')];
  for (const file of fs.readdirSync(SOURCES, {recursive: true})) inputs.push(path.join(SOURCES, file));
  return inputs.every((file) => fs.statSync(file).mtimeMs < output);
}

/** Brings the generated module up to date. → whether there was anything to do. */
export async function buildAssembly() {
  const values = Object.fromEntries(Object.keys(BUILDS).map((name) => [name, {hex: '', flagsAt: 0}]));
  if (fs.existsSync(ENTRY)) {
    if (isFresh()) return false;
    for (const name of Object.keys(BUILDS)) values[name] = await binary(name);
  } else if (fs.existsSync(OUTPUT)) {
    return false;
  }
  const lines = Object.entries(values).map(
    ([name, {hex, flagsAt}]) => `export const ${name} = {\n  memoryFlagsAt: ${flagsAt},\n  hex: '${hex}',\n};\n`,
  );
  fs.mkdirSync(path.dirname(OUTPUT), {recursive: true});
  // Renamed into place: a build beside this one reads the old file or the new one, never a half.
  fs.writeFileSync(`${OUTPUT}.${process.pid}`, `// Written by scripts/assembly.mjs; not under version control.\n${lines.join('')}`);
  fs.renameSync(`${OUTPUT}.${process.pid}`, OUTPUT);
  return true;
}
