// node scripts/peers_build.mjs: build/peers/ours.mjs, which the peers' benchmark serves (--ours build/peers --ours-rows scripts/peers_rows.mjs).
import path from 'node:path';
import {buildAssembly} from './assembly.mjs';
import {ROOT} from './browser.mjs';
import {bundleForBrowser} from './bundle.mjs';

await buildAssembly();
await bundleForBrowser({
  entry: path.join(ROOT, 'scripts/peers_entry.ts'),
  outfile: path.join(ROOT, 'build/peers/ours.mjs'),
  format: 'esm',
  external: ['@tensorflow/tfjs'],
});
console.log('build/peers/ours.mjs written');
