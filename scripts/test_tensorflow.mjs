// npm run test:tensorflow: backend 'tensorflow' with tfjs-node-gpu as the package, in processes of its own: with our add-on and without it.
// Builds what is not built; what cannot be built is a failure. --filter RE runs the files, else the specs, that match.
import fs from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {buildAssembly} from './assembly.mjs';
import {ROOT} from './browser.mjs';
import {buildNative} from './build_native.mjs';
import {setupFromEnvironment} from './setup_tfjs_node.mjs';
import {runSuite} from './suite.mjs';
import {bundleTests} from './tests.mjs';

const {values: options} = parseArgs({options: {filter: {type: 'string'}}});
const folder = `build/test/${process.pid}`;

await buildAssembly();
setupFromEnvironment();
buildNative();
// Level 2: no notes of TensorFlow's own about the processor.
const quiet = {TF_CPP_MIN_LOG_LEVEL: process.env.TF_CPP_MIN_LOG_LEVEL ?? '2'};
const addOns = {'with the add-on': path.join(ROOT, 'build/native/tfjs_linear.node'), 'without it': 'off'};
const suites = [];
for (const [name, addOn] of Object.entries(addOns)) {
  const own = `${folder}/${name.replaceAll(' ', '-')}`;
  const {specs} = await bundleTests('tensorflow', {filter: options.filter, folder: own});
  const command = ['--enable-source-maps', 'scripts/jasmine_node.mjs', ...(specs ? [specs] : [])];
  suites.push(runSuite(`tensorflow ${name}`, command, own, {...quiet, TFJS_LINEAR_NATIVE: addOn}));
}
const totals = await Promise.all(suites);
fs.rmSync(path.join(ROOT, folder), {recursive: true, force: true});
const passed = totals.reduce((sum, total) => sum + total.passed, 0);
const failed = totals.reduce((sum, total) => sum + total.failed, 0);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || totals.some((total) => total.passed === 0) ? 1 : 0;
