/**
 * Code on the pages of docs/ (```js run) runs: the blocks of a page in order, as one program. A comment after an expression that is JSON is its
 * value (after `print()` the tensor's), and is checked; any other comment is prose.
 */
import {readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import ts from 'typescript';
import * as tfl from '../../src/index.js';
import {checkOf, runCode} from './run_code.js';
import {samples} from './sample.js';

type Modules = Readonly<Record<string, object>>;

/** Pages with code to run. */
async function pages(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const files = (await readdir('docs')).filter((file) => file.endsWith('.md')).map((file) => path.join('docs', file));
  for (const file of ['README.md', ...files]) {
    const blocks = [...(await readFile(file, 'utf8')).matchAll(/^```js run\n([\s\S]*?)^```/gm)].map((m) => m[1] as string);
    if (blocks.length > 0) found.set(file, blocks.join('\n'));
  }
  return found;
}

/** Imports become lookups: `import {a} from 'm'` and `import * as a from 'm'`. */
function withoutImports(code: string): string {
  return code
    .replace(/^import \* as (\w+) from ('[^']+');$/gm, 'const $1 = load($2);')
    .replace(/^import (\{[^}]*\}) from ('[^']+');$/gm, 'const $1 = load($2);')
    .replace(/^import ('[^']+');$/gm, 'load($1);');
}

/** The comment behind a statement on its last line, if it begins as JSON does. */
function valueAfter(code: string, end: number): string | null {
  const rest = code.slice(end).split('\n', 1)[0] as string;
  return /^\s*\/\/ (["[{\d-].*|true|false|null)$/.exec(rest)?.[1] ?? null;
}

/** `value; // [1, 2]` becomes a check, at the top level. Throws where a comment begins as JSON does and is none. */
function withChecks(code: string): string {
  const source = ts.createSourceFile('page.js', code, ts.ScriptTarget.ES2022);
  let out = '';
  let at = 0;
  for (const statement of source.statements) {
    const value = ts.isExpressionStatement(statement) ? valueAfter(code, statement.end) : null;
    if (value === null) continue;
    const [start, expression] = [statement.getStart(source), (statement as ts.ExpressionStatement).expression.getText(source)];
    out += code.slice(at, start) + checkOf(expression, value);
    at = statement.end;
  }
  return out + code.slice(at);
}

/** The package, where `openCheckpoint` finds the samples by name. */
async function modules(): Promise<Modules> {
  const known = await samples();
  const openCheckpoint: typeof tfl.openCheckpoint = (source, options) =>
    tfl.openCheckpoint((typeof source === 'string' ? known[source] : undefined) ?? source, options);
  return {'@tensorflow/tfjs': tf, '@tensorflow/tfjs-backend-wasm': {}, 'tfjs-linear': {...tfl, openCheckpoint}};
}

/** Runs a page. → how many values were checked */
async function run(file: string, code: string, available: Modules): Promise<number> {
  const load = (name: string): object => {
    const found = available[name];
    if (found === undefined) throw new Error(`${file} imports '${name}', which this test does not provide`);
    return found;
  };
  const quiet = {...console, log: () => undefined, table: () => undefined};
  const {checks, failure} = await runCode(file, withChecks(withoutImports(code)), {load, console: quiet});
  await tf.setBackend('cpu');
  if (failure !== null) fail(`${file}: ${failure instanceof Error ? failure.stack : failure}`);
  return checks;
}

describe('code on the pages', () => {
  it('runs, and gives what it says', async () => {
    await tf.setBackend('wasm');
    await tf.setBackend('cpu');
    const available = await modules();
    const checks = new Map<string, number>();
    for (const [file, code] of await pages()) checks.set(file, await run(file, code, available));
    expect([...checks.keys()]).toContain('README.md');
    for (const page of ['start', 'checkpoints', 'record', 'float8', 'numbers-and-errors', 'limits']) {
      expect(checks.get(path.join('docs', `${page}.md`)))
        .withContext(`docs/${page}.md`)
        .toBeGreaterThan(1);
    }
  });
});

describe('pages that errors point to', () => {
  it('are in the package', async () => {
    const {files} = JSON.parse(await readFile('package.json', 'utf8')) as {files: string[]};
    const named = new Set<string>();
    for (const folder of ['src', 'kernels']) {
      const sources = (await readdir(folder, {recursive: true})).filter((file) => file.endsWith('.ts'));
      for (const file of sources) {
        const text = await readFile(path.join(folder, file), 'utf8');
        for (const [page] of text.matchAll(/(?<![\w/])docs\/[\w-]+\.md/g)) named.add(page);
      }
    }
    expect([...named]).toContain('docs/limits.md');
    for (const page of named) expect(files).withContext(page).toContain(page);
  });
});
