// npm test: every spec in Node and in Chromium. --node and --browser run one of the two; --filter RE runs the files, else the specs, that match.
import fs from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {buildAssembly} from './assembly.mjs';
import {ROOT, swiftshader} from './browser.mjs';
import {runSuite} from './suite.mjs';

const folder = `build/test/${process.pid}`;
process.env.TFL_TEST_FOLDER = folder;
const {BROWSER_RESULT, bundleTests, NODE_RESULT, selectTests} = await import('./tests.mjs');

const {values: options} = parseArgs({options: {node: {type: 'boolean'}, browser: {type: 'boolean'}, filter: {type: 'string'}}});
const both = !options.node && !options.browser;

/** WebGPU in Node runs on SwiftShader, or with DAWN_GPU set on this machine's own driver: its libraries must be named before the process starts. */
async function dawnEnvironment() {
  const hasSwiftshader = process.platform === 'linux' && process.arch === 'x64';
  return process.env.DAWN_GPU || !hasSwiftshader ? {} : swiftshader();
}

async function runNode() {
  const {specs} = await bundleTests('node', options.filter);
  const command = ['--enable-source-maps', 'scripts/jasmine_node.mjs', ...(specs ? [specs] : [])];
  return runSuite('node', command, NODE_RESULT, await dawnEnvironment());
}

function runBrowser() {
  // karma loads its configuration with require(), which Node still calls experimental for an ES module.
  const command = ['--disable-warning=ExperimentalWarning', 'node_modules/karma/bin/karma', 'start', 'karma.conf.js'];
  return runSuite('chromium', command, BROWSER_RESULT, {TFL_TEST_FILTER: options.filter ?? ''});
}

await buildAssembly();
const totals = [];
const wanted = (where) => !options.filter || selectTests(where, options.filter).files.length > 0;
if ((both || options.node) && wanted('node')) totals.push(await runNode());
if ((both || options.browser) && wanted('browser')) totals.push(runBrowser());
const passed = totals.reduce((sum, total) => sum + total.passed, 0);
const failed = totals.reduce((sum, total) => sum + total.failed, 0);
if (passed + failed === 0) console.log('No spec ran.');
console.log(`${passed} passed, ${failed} failed`);
fs.rmSync(path.join(ROOT, folder), {recursive: true, force: true});
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
