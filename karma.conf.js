// Tests in Chromium, on a cross-origin isolated page. `npx karma start` runs them all; TFL_TEST_FILTER narrows them as --filter does for npm
// test, TFL_TEST_PART=1/2 runs every second file.
import fs from 'node:fs';
import path from 'node:path';
import {buildAssembly} from './scripts/assembly.mjs';
import {CHROMIUM_FLAGS, chromiumPath, ROOT} from './scripts/browser.mjs';
import {staticHandler} from './scripts/static.mjs';
import {Tally} from './scripts/tally.mjs';
import {bundleTests, pathsIn} from './scripts/tests.mjs';

const {browserBundle, result} = pathsIn();
const SHARED = path.join(ROOT, '../shared');
const WASM_FILES = 'node_modules/@tensorflow/tfjs-backend-wasm/dist';

/** Files that tests fetch, by ranges too: karma's own server reads every file it may serve into memory at the start and knows no ranges. */
function fileServer() {
  return staticHandler({
    mounts: {
      '/base/test/fixtures/': path.join(ROOT, 'test/fixtures'),
      '/base/dist/': path.join(ROOT, 'dist'),
      // Examples in docstrings are run by a spec.
      '/base/src/': path.join(ROOT, 'src'),
      '/base/kernels/': path.join(ROOT, 'kernels'),
      '/base/examples/': path.join(ROOT, 'examples'),
      [`/base/${WASM_FILES}/`]: path.join(ROOT, WASM_FILES),
      '/shared/': SHARED,
    },
    pages: {'/has-shared': {body: String(fs.existsSync(SHARED)), type: 'application/json'}},
  });
}

function tallyReporter(formatError) {
  const tally = new Tally(result);
  this.adapters = [];
  this.onSpecComplete = (_browser, {suite, description, success, skipped, pending, log, time}) => {
    const name = [...suite, description].join(' ');
    if (pending) return tally.skip(name);
    if (skipped) return;
    tally.time(name, time);
    if (success) tally.pass();
    else
      tally.fail(
        name,
        log.map((line) => formatError(line)),
      );
  };
  this.onBrowserError = (_browser, error) => tally.fail('outside any spec', [formatError(error)]);
  this.onBrowserLog = (_browser, line, type) => console.log(`browser ${type}: ${line}`);
  this.onRunComplete = (_browsers, {error, disconnected, exitCode}) => {
    tally.end(!disconnected && (exitCode === 0 || !error));
    // npm test prints the sum of both its suites itself.
    if (!process.env.TFL_TEST_FOLDER) console.log(`${tally.passed} passed, ${tally.failed} failed`);
  };
}
tallyReporter.$inject = ['formatError'];

/** esbuild's map beside the bundle, so that stack traces name our files. */
function sourceMaps() {
  return (content, file, done) => {
    file.sourceMap = JSON.parse(fs.readFileSync(`${file.path}.map`, 'utf8'));
    done(content);
  };
}

export default async function configure(config) {
  const {TFL_TEST_FILTER: filter, TFL_TEST_PART: part} = process.env;
  process.env.CHROME_BIN = await chromiumPath();
  await buildAssembly();
  const {specs} = await bundleTests('browser', {filter, part});
  config.set({
    basePath: ROOT,
    frameworks: ['jasmine'],
    plugins: [
      'karma-jasmine',
      'karma-chrome-launcher',
      {
        'middleware:files': ['factory', fileServer],
        'preprocessor:source-maps': ['factory', sourceMaps],
        'reporter:tally': ['type', tallyReporter],
      },
    ],
    files: [{pattern: browserBundle, watched: false}],
    preprocessors: {[browserBundle]: ['source-maps']},
    beforeMiddleware: ['files'],
    reporters: ['tally'],
    browsers: ['Isolated'],
    customLaunchers: {Isolated: {base: 'Chrome', flags: ['--headless', ...CHROMIUM_FLAGS]}},
    client: {
      args: specs ? ['--grep', `/${specs}/`] : [],
      jasmine: {random: false, failSpecWithNoExpectations: true},
    },
    failOnEmptyTestSuite: !filter,
    hostname: '127.0.0.1',
    listenAddress: '127.0.0.1',
    // SwiftShader compiles shaders on two cores: a spec may be quiet for long.
    browserNoActivityTimeout: 300_000,
    // A page that computes, on a machine that does other things too, answers late.
    pingTimeout: 120_000,
    browserDisconnectTimeout: 60_000,
    captureTimeout: 120_000,
    singleRun: true,
    autoWatch: false,
    logLevel: config.LOG_WARN,
  });
}
