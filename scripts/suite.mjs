// One test suite in a process of its own, with its counts.
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {ROOT} from './browser.mjs';

/** Runs the suite and prints its counts. One that did not come to its end is a failure by itself. → {passed, failed} */
export function runSuite(where, command, resultFile, env = {}) {
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
