// npm test: every spec in Node and in Chromium. --node and --browser run one of the two; --filter RE runs the files, else the specs, that match.
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {buildAssembly} from './assembly.mjs';
import {ROOT, swiftshader} from './browser.mjs';

const folder = `build/test/${process.pid}`;
process.env.TFL_TEST_FOLDER = folder;
const {BROWSER_RESULT, bundleTests, NODE_RESULT, selectTests} = await import('./tests.mjs');

const {values: options} = parseArgs({options: {node: {type: 'boolean'}, browser: {type: 'boolean'}, filter: {type: 'string'}}});
const both = !options.node && !options.browser;

/** Runs one suite in a process of its own and adds its counts up. A suite that did not come to its end is a failure by itself. */
function runSuite(where, command, resultFile, env = {}) {
  const start = Date.now();
  fs.rmSync(path.join(ROOT, resultFile), {force: true});
  const run = spawnSync(process.execPath, command, {cwd: ROOT, stdio: 'inherit', env: {...process.env, ...env}});
  const result = fs.existsSync(path.join(ROOT, resultFile)) ? JSON.parse(fs.readFileSync(path.join(ROOT, resultFile), 'utf8')) : null;
  const {passed = 0, skipped = []} = result ?? {};
  let failed = result?.failed ?? 0;
  if (!result?.complete || (run.status !== 0 && failed === 0)) {
    console.log(`FAILED ${where}: the suite did not run to its end (${run.signal ?? `status ${run.status}`})`);
    failed++;
  }
  for (const name of skipped) console.log(`skipped ${name}`);
  console.log(`${where}: ${passed} passed, ${failed} failed, ${skipped.length} skipped in ${((Date.now() - start) / 1000).toFixed(1)} s`);
  return {passed, failed};
}

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
