// npm test: every spec in Node and in Chromium at the same time, each in two processes where there are four cores. --node and --browser run one of
// the two suites, in two processes where there are two cores; --filter RE runs the files, else the specs, that match.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {buildAssembly} from './assembly.mjs';
import {ROOT, swiftshader} from './browser.mjs';
import {runSuite} from './suite.mjs';
import {bundleTests, selectTests} from './tests.mjs';

const {values: options} = parseArgs({options: {node: {type: 'boolean'}, browser: {type: 'boolean'}, filter: {type: 'string'}}});
const {filter} = options;
const folder = `build/test/${process.pid}`;

const suites = ['node', 'browser'].filter((where) => options[where] || (!options.node && !options.browser));
/** Processes of each suite: one a core, as specs keep one busy and have time limits. */
const PROCESSES = Math.max(1, Math.min(2, Math.floor(os.availableParallelism() / suites.length)));
/** Files that are worth a second process. */
const MANY = 10;

/** WebGPU in Node runs on SwiftShader, or with DAWN_GPU set on this machine's own driver: its libraries must be named before the process starts. */
async function dawnEnvironment() {
  const hasSwiftshader = process.platform === 'linux' && process.arch === 'x64';
  return process.env.DAWN_GPU || !hasSwiftshader ? {} : swiftshader();
}

async function commandOf(where, part, own) {
  if (where === 'node') {
    const {specs} = await bundleTests('node', {filter, part, folder: own});
    return {command: ['--enable-source-maps', 'scripts/jasmine_node.mjs', ...(specs ? [specs] : [])], env: await dawnEnvironment()};
  }
  // karma loads its configuration with require(), which Node still calls experimental for an ES module.
  const command = ['--disable-warning=ExperimentalWarning', 'node_modules/karma/bin/karma', 'start', 'karma.conf.js'];
  return {command, env: {TFL_TEST_FILTER: filter ?? '', TFL_TEST_PART: part}};
}

await buildAssembly();
const running = [];
for (const where of suites) {
  const {files} = selectTests(where, filter);
  const count = files.length < MANY ? 1 : PROCESSES;
  for (let i = 1; i <= count && files.length > 0; i++) {
    const own = `${folder}/${where}${i}`;
    const {command, env} = await commandOf(where, `${i}/${count}`, own);
    const name = where === 'node' ? 'node' : 'chromium';
    running.push(runSuite(count === 1 ? name : `${name}, part ${i} of ${count}`, command, own, env));
  }
}
if (running.length > 1) console.log(`${running.length} processes at once; what the later ones print comes after the first one's end`);
const totals = await Promise.all(running);
const passed = totals.reduce((sum, total) => sum + total.passed, 0);
const failed = totals.reduce((sum, total) => sum + total.failed, 0);
if (passed + failed === 0) console.log('No spec ran.');
console.log(`${passed} passed, ${failed} failed`);
fs.rmSync(path.join(ROOT, folder), {recursive: true, force: true});
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
