// npm run check:package: packs the package and has publint and "are the types wrong" look at what a user would install.
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {ROOT} from './browser.mjs';

const folder = path.join(ROOT, 'build/package');

function run(name, command, options) {
  const result = spawnSync(command, options, {cwd: ROOT, encoding: 'utf8', shell: process.platform === 'win32'});
  process.stdout.write(result.stdout);
  process.stderr.write(result.stderr);
  if (result.status !== 0) throw new Error(`${name} failed with status ${result.status ?? result.signal}`);
  return result.stdout;
}

const tool = (name) => path.join(ROOT, 'node_modules/.bin', name);

fs.rmSync(folder, {recursive: true, force: true});
fs.mkdirSync(folder, {recursive: true});
if (!fs.existsSync(path.join(ROOT, 'dist/esm/src/index.js'))) run('build', process.execPath, ['scripts/build.mjs']);
run('npm pack', 'npm', ['pack', '--silent', '--pack-destination', folder]);
const [tarball] = fs.readdirSync(folder);
const packed = path.join(folder, tarball);
console.log(`${tarball} ${(fs.statSync(packed).size / 1024).toFixed(0)} KiB`);
run('publint', tool('publint'), [packed, '--strict']);
run('attw', tool('attw'), [packed, '--profile', 'esm-only', '--no-emoji']);
