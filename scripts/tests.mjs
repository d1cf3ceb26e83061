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

/** where: 'node' or 'browser'; filter: source of a RegExp, or undefined → {files, specs}: `specs` is the filter left to apply to spec names, if any. */
export function selectTests(where, filter) {
  const all = testFiles();
  const here = where === 'node' ? all : all.filter((file) => !file.endsWith('_node_test.ts'));
  if (!filter) return {files: here, specs: undefined};
  const matches = (file) => new RegExp(filter).test(file);
  if (all.some(matches)) return {files: here.filter(matches), specs: undefined};
  return {files: here, specs: filter};
}

/** Bundles the chosen files behind the set-up that every spec runs under. */
export async function bundleTests(where, filter) {
  const {files, specs} = selectTests(where, filter);
  const source = ['test/support/setup.ts', ...files].map((file) => `import './${file}';`).join('\n');
  if (where === 'node') await bundleForNode({source, outfile: NODE_BUNDLE});
  else await bundleForBrowser({source, outfile: BROWSER_BUNDLE});
  return {files, specs};
}
