// npm run build: the WebAssembly module, dist/esm with types, and the two bundles. --wasm-only stops after the first, --no-types leaves out tsc.
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {buildAssembly} from './assembly.mjs';
import {ROOT} from './browser.mjs';
import {bundleDist} from './bundle.mjs';

const {values: options} = parseArgs({options: {'wasm-only': {type: 'boolean'}, 'no-types': {type: 'boolean'}}});

function emitTypes() {
  fs.rmSync(path.join(ROOT, 'dist/esm'), {recursive: true, force: true});
  const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  const run = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {cwd: ROOT, stdio: 'inherit'});
  if (run.status !== 0) throw new Error('tsc failed');
}

const compiled = await buildAssembly();
console.log(`kernels/wasm/generated/binary.ts ${compiled ? 'written' : 'is up to date'}`);
if (!options['wasm-only']) {
  if (!options['no-types']) emitTypes();
  await bundleDist();
  for (const name of ['tfjs-linear.mjs', 'tfjs-linear.js']) {
    console.log(`dist/${name} ${(fs.statSync(path.join(ROOT, 'dist', name)).size / 1024).toFixed(0)} KiB`);
  }
}
