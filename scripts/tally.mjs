// Counts specs, prints the failed ones as they fail, and leaves the counts in a file: what jasmine in Node and karma both report to.
import fs from 'node:fs';
import path from 'node:path';
import {ROOT} from './browser.mjs';

export class Tally {
  passed = 0;
  failed = 0;
  /** Full names of pending specs. */
  skipped = [];

  constructor(file) {
    this.file = path.join(ROOT, file);
    fs.rmSync(this.file, {force: true});
  }

  pass() {
    this.passed++;
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
    const {passed, failed, skipped} = this;
    fs.mkdirSync(path.dirname(this.file), {recursive: true});
    fs.writeFileSync(this.file, JSON.stringify({passed, failed, skipped, complete}));
  }
}
