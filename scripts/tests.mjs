// Which test files run where, and their bundles. The filter is a regular expression over file paths or, where no path matches, over spec names.
import fs from 'node:fs';
import path from 'node:path';
import {ROOT} from './browser.mjs';
import {bundleForBrowser, bundleForNode} from './bundle.mjs';

// npm test gives each of its runs a folder, so that two at once do not mix; `npx karma start` alone has this one.
const FOLDER = process.env.TFL_TEST_FOLDER ?? 'build/test';
export const NODE_BUNDLE = `${FOLDER}/node.mjs`;
export const BROWSER_BUNDLE = `${FOLDER}/browser.js`;
export const NODE_RESULT = `${FOLDER}/node.json`;
export const BROWSER_RESULT = `${FOLDER}/browser.json`;

function testFiles() {
  const files = fs.readdirSync(path.join(ROOT, 'test'), {recursive: true});
  return files
    .filter((file) => file.endsWith('_test.ts'))
    .map((file) => `test/${file.split(path.sep).join('/')}`)
    .sort();
}

/** Specs of the 'tensorflow' run: the grids that every backend must pass, and its own, which no other run has. */
const OF_TENSORFLOW = /^test\/(tensorflow\/|grid\/(kernels|bounds|conformance|fp8|fused)_test)/;

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

/** Bundles the chosen files behind the set-up that every spec runs under. */
export async function bundleTests(where, filter) {
  const {files, specs} = selectTests(where, filter);
  const source = ['test/support/setup.ts', ...files].map((file) => `import './${file}';`).join('\n');
  if (where === 'tensorflow') await bundleForNode({source: tensorflowSource(files), outfile: NODE_BUNDLE});
  else if (where === 'node') await bundleForNode({source, outfile: NODE_BUNDLE});
  else await bundleForBrowser({source, outfile: BROWSER_BUNDLE});
  return {files, specs};
}
