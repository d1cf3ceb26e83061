// Installs the dependencies when node_modules is missing or older than the lockfile. Uses Node alone: nothing is installed yet.
import {spawnSync} from 'node:child_process';
import {existsSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const readJson = (file) => JSON.parse(readFileSync(path.join(ROOT, file), 'utf8'));

/** What makes node_modules stale, or null. npm keeps what it installed in a lockfile of its own inside node_modules. */
export function staleReason() {
  if (!existsSync(path.join(ROOT, 'node_modules/.package-lock.json'))) return 'node_modules is missing';
  const wanted = readJson('package-lock.json').packages;
  const installed = readJson('node_modules/.package-lock.json').packages;
  for (const [name, entry] of Object.entries(wanted)) {
    if (name === '') continue;
    if (installed[name] === undefined) {
      // Optional packages for other platforms are rightly absent.
      if (entry.optional || entry.peer) continue;
      return `${name} is missing`;
    }
    if (installed[name].version !== entry.version) return `${name} is ${installed[name].version}, not ${entry.version}`;
  }
  return null;
}

export function setup() {
  const reason = staleReason();
  if (reason === null) return;
  console.error(`setup: ${reason}; running npm ci`);
  // On Windows npm is a script that only a shell starts. .npmrc's json would list every package.
  const run = spawnSync('npm', ['ci', '--no-fund', '--no-audit', '--json=false'], {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (run.status !== 0) throw new Error(`npm ci failed with status ${run.status ?? run.signal}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) setup();
