/** What real tools wrote, opened as a user opens it: unpacked bit-equal, multiplied within the bounds, resident at the file's size, nothing left behind. */
import {onEachBackend} from '../support/backends.js';
import {CASES, type Case} from './cases.js';
import {type CheckResult, checkCase} from './check_case.js';

function expectAllOk(c: Case, {rows, residentRatio, leaked}: CheckResult): void {
  for (const row of rows) expect(row.ok).withContext(`${c.name}, ${row.op}, ${row.variant}: ${row.reason}`).toBe(true);
  expect(residentRatio).withContext(`${c.name}: resident bytes over the file's`).toBeLessThanOrEqual(c.residentBound);
  expect(leaked).withContext(`${c.name}: tensors left`).toBe(0);
}

describe('conformance', () => {
  onEachBackend((backend) => {
    // A shader takes half a second to compile where a CPU runs it: there npm run support-matrix tries the kernels that are not the first choice.
    const forced = !backend.startsWith('web');
    for (const c of CASES) {
      it(`${c.name} (${c.format})`, async () => expectAllOk(c, await checkCase(c, {forced})));
    }
  });

  for (const c of CASES.filter(({quantizeConfig}) => quantizeConfig !== null)) {
    it(`${c.name} with a quantize_config.json alone`, async () => expectAllOk(c, await checkCase(c, {configFile: 'quantize_config.json'})));
  }
});
