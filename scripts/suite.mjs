// One test suite in a process of its own, with its counts and its slowest specs.
import {spawn} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {ROOT} from './browser.mjs';
import {pathsIn} from './tests.mjs';

const SLOWEST = 15;

/** The end of the suite that has the terminal; what the others print waits for it. */
let terminal = Promise.resolve();

/** What the process prints, when the suites started before this one have printed theirs. → {status, signal} */
async function printed(child) {
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve({status, signal}));
  });
  const before = terminal;
  const held = [];
  let live = false;
  const show = (piece) => (live ? process.stdout.write(piece) : held.push(piece));
  child.stdout.on('data', show);
  child.stderr.on('data', show);
  let release;
  terminal = new Promise((resolve) => {
    release = resolve;
  });
  await before;
  live = true;
  for (const piece of held) process.stdout.write(piece);
  return {...(await ended), release};
}

/** All times, for who wants more than the slowest. */
const TIMES = path.join(ROOT, 'build/test/times');

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

/**
 * Runs the suite in its folder and prints its counts. One that did not come to its end is a failure by itself. Several may run at once: each one's output is
 * printed whole, in the order in which they were started. → {passed, failed}
 */
export async function runSuite(where, command, folder, env = {}) {
  const start = Date.now();
  const file = path.join(ROOT, pathsIn(folder).result);
  fs.rmSync(file, {force: true});
  const child = spawn(process.execPath, command, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {...process.env, ...env, TFL_TEST_FOLDER: folder},
  });
  let end = start;
  child.once('exit', () => {
    end = Date.now();
  });
  const {status, signal, release} = await printed(child);
  const result = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : null;
  const {passed = 0, skipped = [], times = []} = result ?? {};
  let failed = result?.failed ?? 0;
  if (!result?.complete || (status !== 0 && failed === 0)) {
    console.log(`FAILED ${where}: the suite did not run to its end (${signal ?? `status ${status}`})`);
    failed++;
  }
  for (const name of skipped) console.log(`skipped ${name}`);
  times.sort(([, a], [, b]) => b - a);
  const slow = times.slice(0, SLOWEST);
  if (slow.length > 1) console.log(`${where}, the slowest ${slow.length}:`);
  if (slow.length > 1) for (const [name, ms] of slow) console.log(`${seconds(ms).padStart(8)}  ${name}`);
  fs.mkdirSync(TIMES, {recursive: true});
  fs.writeFileSync(path.join(TIMES, `${where.replace(/\W+/g, '-')}.json`), JSON.stringify(times, null, 1));
  console.log(`${where}: ${passed} passed, ${failed} failed, ${skipped.length} skipped in ${seconds(end - start)}`);
  release();
  return {passed, failed};
}
