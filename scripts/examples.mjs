// npm run examples: runs every examples/*.ts in Node; each prints what it does and checks itself. Names after -- choose: npm run examples -- fp8_mlp
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {ROOT} from './browser.mjs';

const all = fs
  .readdirSync(path.join(ROOT, 'examples'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.replace(/\.ts$/, ''))
  .sort();
const chosen = process.argv.slice(2).map((name) => path.basename(name, '.ts'));
const unknown = chosen.find((name) => !all.includes(name));
if (unknown !== undefined) throw new Error(`no example '${unknown}': ${all.join(', ')}`);

const failed = [];
for (const name of chosen.length > 0 ? chosen : all) {
  console.log(`--- examples/${name}.ts`);
  const start = performance.now();
  const run = spawnSync(process.execPath, ['scripts/run.mjs', `examples/${name}.ts`], {cwd: ROOT, stdio: 'inherit', timeout: 300_000});
  if (run.status !== 0) failed.push(name);
  console.log(
    `--- ${run.status === 0 ? 'ok' : `FAILED with status ${run.status ?? run.signal}`} in ${((performance.now() - start) / 1000).toFixed(1)} s`,
  );
}
console.log(failed.length === 0 ? 'all examples ran' : `failed: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
