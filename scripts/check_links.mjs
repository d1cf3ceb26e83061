// npm run check:links: every local link in README, CHANGELOG, docs, examples and test fixtures' pages leads to a file that git has, and to a
// heading where it names one; every `npm run` that a page names is a script. Links to other sites are listed by --external, not fetched.
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {ROOT} from './browser.mjs';

const {values: options} = parseArgs({options: {external: {type: 'boolean'}}});
process.chdir(ROOT);

/** Files of the repository, those not yet committed too. */
const files = new Set(execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {encoding: 'utf8'}).split('\n').filter(Boolean));
const scripts = JSON.parse(fs.readFileSync('package.json', 'utf8')).scripts;
const pages = [...files].filter((file) => file.endsWith('.md') && fs.existsSync(file));

/** Code keeps its lines but loses its text: what looks like a link there is none. */
function prose(text) {
  return text.replace(/^```[\s\S]*?^```/gm, (block) => block.replace(/[^\n]/g, '')).replace(/`[^`\n]*`/g, '``');
}

/** Anchors as GitHub makes them. */
function anchors(file) {
  const seen = new Map();
  const found = new Set();
  const text = fs.readFileSync(file, 'utf8').replace(/^```[\s\S]*?^```/gm, '');
  for (const [, title] of text.matchAll(/^#{1,6} +(.*)$/gm)) {
    const plain = title.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const base = plain.replace(/[^\p{L}\p{N}\- _]/gu, '').replaceAll(' ', '-');
    const count = seen.get(base) ?? 0;
    seen.set(base, count + 1);
    found.add(count === 0 ? base : `${base}-${count}`);
  }
  return found;
}

const isFolder = (target) => [...files].some((file) => file.startsWith(`${target}/`));

/** What is wrong with a link, or null. */
function fault(page, target) {
  const [file, anchor] = target.split('#');
  const resolved = file === '' ? page : path.posix.normalize(path.posix.join(path.posix.dirname(page), decodeURI(file))).replace(/\/$/, '');
  if (resolved.startsWith('..')) return 'leads out of the repository';
  if (!(files.has(resolved) && fs.existsSync(resolved)) && !isFolder(resolved)) return 'leads to no file';
  if (anchor === undefined || !resolved.endsWith('.md')) return null;
  return anchors(resolved).has(anchor) ? null : `has no heading #${anchor}`;
}

const faults = [];
const external = new Set();
let links = 0;
let commands = 0;
for (const page of pages) {
  const whole = fs.readFileSync(page, 'utf8');
  const lineOf = (index) => whole.slice(0, index).split('\n').length;
  const text = prose(whole);
  const found = [...text.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g), ...text.matchAll(/^\[[^\]]+\]:\s+(\S+)/gm)];
  for (const {1: target, index} of found) {
    const where = `${page}:${text.slice(0, index).split('\n').length}`;
    if (/^[a-z]+:/i.test(target)) {
      external.add(target);
      continue;
    }
    links++;
    const wrong = fault(page, target);
    if (wrong !== null) faults.push(`${where}: ${target} ${wrong}`);
  }
  for (const {1: name, index} of whole.matchAll(/\bnpm run ([a-z][\w:-]*)/g)) {
    commands++;
    if (scripts[name] === undefined) faults.push(`${page}:${lineOf(index)}: npm run ${name} is no script of package.json`);
  }
}
if (options.external) for (const target of [...external].sort()) console.log(target);
for (const line of faults) console.log(line);
console.log(`${links} links and ${commands} commands on ${pages.length} pages, ${faults.length} broken`);
process.exitCode = faults.length === 0 ? 0 : 1;
