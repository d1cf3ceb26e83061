// Runs the Node test bundle. A process of its own, so that a crash in it is a failed run and not the end of the report.
import path from 'node:path';
import Jasmine from 'jasmine';
import {ROOT} from './browser.mjs';
import {Tally} from './tally.mjs';
import {pathsIn} from './tests.mjs';

const [specs] = process.argv.slice(2);
const {nodeBundle, result: resultFile} = pathsIn();
const tally = new Tally(resultFile);

function messages({failedExpectations}) {
  if (failedExpectations.length === 0) return ['Spec has no expectations'];
  return failedExpectations.map(({message, stack}) => (stack?.includes(message) ? stack : `${message}\n${stack ?? ''}`));
}

const runner = new Jasmine({projectBaseDir: ROOT});
runner.exitOnCompletion = false;
runner.clearReporters();
runner.addReporter({
  specDone(result) {
    if (result.duration) tally.time(result.fullName, result.duration);
    if (result.status === 'passed') tally.pass();
    else if (result.status === 'pending') tally.skip(result.fullName);
    else if (result.status === 'failed') tally.fail(result.fullName, messages(result));
  },
  suiteDone(result) {
    if (result.failedExpectations.length > 0) tally.fail(`${result.fullName} (afterAll)`, messages(result));
  },
  jasmineDone(result) {
    if (result.failedExpectations.length > 0) tally.fail('outside any suite', messages(result));
  },
});
await runner.loadConfig({random: false, env: {random: false, failSpecWithNoExpectations: true}});
const {overallStatus, incompleteReason} = await runner.execute([path.join(ROOT, nodeBundle)], specs ? new RegExp(specs) : undefined);
if (overallStatus === 'incomplete') console.log(`incomplete: ${incompleteReason}`);
// A filter that matches nothing here may match in the browser; the caller checks the sum.
const nothingMatched = specs !== undefined && tally.passed + tally.failed + tally.skipped.length === 0;
tally.end(overallStatus !== 'incomplete' || nothingMatched);
process.exit(overallStatus === 'passed' || nothingMatched ? 0 : 1);
