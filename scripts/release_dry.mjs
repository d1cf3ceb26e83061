// npm run release:dry: what must hold before `npm publish`, and the publish itself without sending anything. --allow-dirty for a checkout with changes.
import {execFileSync, spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {ROOT} from './browser.mjs';

const {values: options} = parseArgs({options: {'allow-dirty': {type: 'boolean'}}});
process.chdir(ROOT);

const readJson = (file) => JSON.parse(fs.readFileSync(file, 'utf8'));
const git = (...args) => execFileSync('git', args, {encoding: 'utf8'}).trim();
const {name, version, files} = readJson('package.json');
const faults = [];
/** What only the real release can do. */
const reminders = [];

/** Versions of CHANGELOG.md, newest first, with the text under each. */
function changes() {
  const parts = fs.readFileSync('CHANGELOG.md', 'utf8').split(/^## /m).slice(1);
  return parts.map((part) => ({title: part.split('\n', 1)[0].trim(), text: part.slice(part.indexOf('\n')).trim()}));
}

function checkChangelog() {
  const found = changes().find(({title}) => title.startsWith(`[${version}]`));
  if (found === undefined) {
    faults.push(`CHANGELOG.md has no '## [${version}]'`);
    return;
  }
  if (found.text === '') faults.push(`CHANGELOG.md says nothing about ${version}`);
  if (!/^\[[^\]]+\]( - \d{4}-\d{2}-\d{2})?$/.test(found.title)) faults.push(`CHANGELOG.md: '${found.title}' is no version and date`);
  else if (!found.title.includes(' - ')) reminders.push(`write the date behind '## [${version}]' in CHANGELOG.md`);
}

function checkVersion() {
  if (!/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(version)) faults.push(`version ${version} is no semantic version`);
  const lock = readJson('package-lock.json');
  if (lock.version !== version || lock.packages[''].version !== version) faults.push(`package-lock.json is of version ${lock.version}`);
  if (git('tag', '--list', `v${version}`) !== '') faults.push(`the tag v${version} exists: raise the version`);
}

function checkTree() {
  const changed = git('status', '--porcelain', '--untracked-files=no');
  if (changed !== '' && !options['allow-dirty']) faults.push(`files are changed and not committed:\n${changed}`);
}

/** The files that npm would send. */
function packed() {
  const run = spawnSync('npm', ['pack', '--dry-run', '--json'], {encoding: 'utf8', shell: process.platform === 'win32'});
  if (run.status !== 0) throw new Error(`npm pack failed:\n${run.stderr}`);
  return JSON.parse(run.stdout)[0];
}

const NEEDED = [
  'README.md',
  'LICENSE',
  'CHANGELOG.md',
  'dist/esm/src/index.js',
  'dist/esm/src/index.d.ts',
  'dist/tfjs-linear.js',
  'dist/tfjs-linear.mjs',
];

function checkFiles() {
  const {files: sent, size, unpackedSize} = packed();
  const paths = sent.map((file) => file.path);
  for (const file of NEEDED) if (!paths.includes(file)) faults.push(`${file} would not be in the package`);
  const stray = paths.filter((file) => file !== 'package.json' && !files.some((entry) => file === entry || file.startsWith(`${entry}/`)));
  if (stray.length > 0) faults.push(`not meant to be in the package: ${stray.join(', ')}`);
  const mebi = (bytes) => (bytes / 2 ** 20).toFixed(2);
  console.log(`${name}@${version}: ${paths.length} files, ${mebi(size)} MiB packed, ${mebi(unpackedSize)} MiB unpacked`);
}

function publish() {
  const run = spawnSync('npm', ['publish', '--dry-run', '--silent', '--access', 'public'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (run.status !== 0) faults.push(`npm publish --dry-run failed:\n${run.stderr}`);
}

if (!fs.existsSync(path.join('dist/esm/src/index.js'))) throw new Error('dist is not built: npm run build');
checkVersion();
checkChangelog();
checkTree();
checkFiles();
publish();
for (const fault of faults) console.log(`not ready: ${fault}`);
for (const reminder of reminders) console.log(`on the day: ${reminder}`);
console.log(faults.length === 0 ? `ready: git tag v${version} && npm publish` : `${faults.length} things to do before npm publish`);
process.exitCode = faults.length === 0 ? 0 : 1;
