// node scripts/run.mjs FILE.ts [arguments]: runs a TypeScript program of this repository (an example, the bench) in Node, from its sources.
import {spawnSync} from 'node:child_process';
import path from 'node:path';
import {buildAssembly} from './assembly.mjs';
import {ROOT} from './browser.mjs';
import {bundleForNode} from './bundle.mjs';

// Ctrl-C reaches the program too, which ends in its own way: this process only waits for it.
process.on('SIGINT', () => undefined);

const [entry, ...rest] = process.argv.slice(2);
if (entry === undefined) throw new Error('usage: node scripts/run.mjs FILE.ts [arguments]');
const outfile = `build/run/${entry.replace(/\.ts$/, '').replace(/[\\/]/g, '_')}.mjs`;
await buildAssembly();
await bundleForNode({entry: path.resolve(entry), outfile});
const run = spawnSync(process.execPath, ['--enable-source-maps', path.join(ROOT, outfile), ...rest], {stdio: 'inherit'});
process.exitCode = run.status ?? 1;
