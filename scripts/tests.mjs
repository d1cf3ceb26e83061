// Which test files run where, and their bundles. The filter is a regular expression over file paths or, where no path matches, over spec names.
import fs from 'node:fs';
import path from 'node:path';
import {ROOT} from './browser.mjs';
import {bundleForBrowser, bundleForNode} from './bundle.mjs';

// npm test gives each process of each of its runs a folder, so that several at once do not mix; `npx karma start` alone has this one.
const FOLDER = process.env.TFL_TEST_FOLDER ?? 'build/test';

/** What a process of tests reads and writes. */
export const pathsIn = (folder = FOLDER) => ({
  nodeBundle: `${folder}/node.mjs`,
  browserBundle: `${folder}/browser.js`,
  result: `${folder}/result.json`,
});

function testFiles() {
  const files = fs.readdirSync(path.join(ROOT, 'test'), {recursive: true});
  return files
    .filter((file) => file.endsWith('_test.ts'))
    .map((file) => `test/${file.split(path.sep).join('/')}`)
    .sort();
}

/** Specs of the 'tensorflow' run: the grids that every backend must pass, and its own, which no other run has. */
const OF_TENSORFLOW = /^test\/(tensorflow\/|grid\/(kernels|bounds|conformance|fp8|power_scales|fused)_test)/;

function filesOf(where) {
  const all = testFiles();
  if (where === 'tensorflow') return all.filter((file) => OF_TENSORFLOW.test(file));
  const here = all.filter((file) => !file.startsWith('test/tensorflow/'));
  return where === 'node' ? here : here.filter((file) => !file.endsWith('_node_test.ts'));
}

/** where: 'node', 'browser' or 'tensorflow'; filter: source of a RegExp, or undefined → {files, specs}: `specs` is the filter left to apply to spec names, if any. */
export function selectTests(where, filter) {
  const all = testFiles();
  const here = filesOf(where);
  if (!filter) return {files: here, specs: undefined};
  const matches = (file) => new RegExp(filter).test(file);
  if (all.some(matches)) return {files: here.filter(matches), specs: undefined};
  return {files: here, specs: filter};
}

/** The backend starts before the specs are read: they ask which kernels it has. */
function tensorflowSource(files) {
  const start =
    "import './test/support/setup.ts';\nimport {startTensorflow} from './test/support/tensorflow.ts';\nawait startTensorflow();";
  return [start, ...files.map((file) => `await import('./${file}');`)].join('\n');
}

/** Seconds of the files that take long, for parts that take equally long; build/test/times has those of every spec. */
const LONG = {
  'test/grid/webgpu_kernels_test.ts': 180,
  'test/chat/page_node_test.ts': 55,
  'test/notebook/notebook_node_test.ts': 35,
  'test/docs/public_types_node_test.ts': 30,
  'test/chat/default_model_node_test.ts': 25,
  'test/grid/fp8_test.ts': 40,
  'test/layers/every_class_test.ts': 60,
  'test/layers/save_classes_test.ts': 25,
};
const OTHER = 2;
const secondsOf = (file) => LONG[file] ?? OTHER;

/** part: '2/3' is the second of three. The longest file goes first, each to the part that has least. */
export function inPart(files, part) {
  const [which, count] = part.split('/').map(Number);
  const parts = Array.from({length: count}, () => ({seconds: 0, files: []}));
  for (const file of [...files].sort((a, b) => secondsOf(b) - secondsOf(a))) {
    const least = parts.reduce((best, each) => (each.seconds < best.seconds ? each : best));
    least.files.push(file);
    least.seconds += secondsOf(file);
  }
  return parts[which - 1].files.sort();
}

/** Bundles the chosen files behind the set-up that every spec runs under. */
export async function bundleTests(where, {filter, part = '1/1', folder} = {}) {
  const {files: all, specs} = selectTests(where, filter);
  const files = inPart(all, part);
  const {nodeBundle, browserBundle} = pathsIn(folder);
  const source = ['test/support/setup.ts', ...files].map((file) => `import './${file}';`).join('\n');
  if (where === 'tensorflow') await bundleForNode({source: tensorflowSource(files), outfile: nodeBundle});
  else if (where === 'node') await bundleForNode({source, outfile: nodeBundle});
  else await bundleForBrowser({source, outfile: browserBundle});
  return {files, specs};
}
