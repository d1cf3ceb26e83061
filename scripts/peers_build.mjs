// node scripts/peers_build.mjs: build/peers/ours.mjs, our module for `bench --peers` and for the peers' benchmark of ../shared (--ours build/peers).
import path from 'node:path';
import {pathToFileURL} from 'node:url';
import {buildAssembly} from './assembly.mjs';
import {ROOT} from './browser.mjs';
import {bundleForBrowser} from './bundle.mjs';

export async function buildPeers() {
  await buildAssembly();
  await bundleForBrowser({
    entry: path.join(ROOT, 'scripts/peers_entry.ts'),
    outfile: path.join(ROOT, 'build/peers/ours.mjs'),
    format: 'esm',
    external: ['@tensorflow/tfjs'],
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await buildPeers();
  console.log('build/peers/ours.mjs written');
}
