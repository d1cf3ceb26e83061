// Counts specs and their time, prints the failed ones as they fail, and leaves all in a file: what jasmine in Node and karma both report to.
import fs from 'node:fs';
import path from 'node:path';
import {ROOT} from './browser.mjs';

export class Tally {
  passed = 0;
  failed = 0;
  /** Full names of pending specs. */
  skipped = [];
  /** [full name, milliseconds] of each spec that ran, and of what came before it. */
  times = [];
  lastEnd = Date.now();

  constructor(file) {
    this.file = path.join(ROOT, file);
    fs.rmSync(this.file, {force: true});
  }

  pass() {
    this.passed++;
  }

  /** Of a spec that has just ended. What passed since the one before it is set-up, of beforeAll and of the whole run. */
  time(name, ms) {
    const now = Date.now();
    const before = now - ms - this.lastEnd;
    if (before > 1000) this.times.push([`(before) ${name}`, before]);
    this.times.push([name, ms]);
    this.lastEnd = now;
  }

  skip(name) {
    this.skipped.push(name);
  }

  fail(name, messages) {
    this.failed++;
    console.log(`FAILED ${name}`);
    for (const message of messages) console.log(String(message).replace(/^/gm, '    '));
  }

  end(complete) {
    const {passed, failed, skipped, times} = this;
    fs.mkdirSync(path.dirname(this.file), {recursive: true});
    fs.writeFileSync(this.file, JSON.stringify({passed, failed, skipped, times, complete}));
  }
}
