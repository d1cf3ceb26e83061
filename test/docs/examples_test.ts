/**
 * Every public class and function has an example in its docstring, and each runs. A comment after an expression is its value, as JSON; after
 * `print()` the tensor's.
 */
import * as tf from '@tensorflow/tfjs';
import * as tfl from '../../src/index.js';
import {readSource} from '../support/files.js';
import {checkOf, runCode} from './run_code.js';

interface Example {
  readonly name: string;
  readonly code: string;
}

/** Docstrings right before an export, by its name. */
async function examples(): Promise<Example[]> {
  const index = await readSource('src/index.ts');
  const files = new Set(
    Array.from(index.matchAll(/from '(\.[^']+)\.js'/g), (m) => new URL(`${m[1]}.ts`, 'file:///src/').pathname.slice(1)),
  );
  const found: Example[] = [];
  for (const file of files) {
    const text = await readSource(file);
    for (const m of text.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\nexport (?:abstract |async )?(?:class|function|const) (\w+)/g)) {
      const body = (m[1] as string).replace(/^ *\* ?/gm, '');
      for (const block of body.matchAll(/```js\n([\s\S]*?)```/g)) found.push({name: m[2] as string, code: block[1] as string});
    }
  }
  return found;
}

/** `value; // [1, 2]` becomes a check. Throws where the comment is no JSON. */
function checked(code: string): string {
  return code.replace(/^(?!\s*(?:const|let|\/\/))(.*);\s*\/\/ (.*)$/gm, (_, expression: string, comment: string) =>
    checkOf(expression, comment),
  );
}

async function run({name, code}: Example): Promise<void> {
  const {checks, failure} = await runCode(name, checked(code), {tf, tfl});
  expect(failure).withContext(`${name}:\n${code}`).toBeNull();
  // An error that an example promises and that never comes would leave its checks out.
  expect(checks)
    .withContext(`${name}: checks made`)
    .toBe(checked(code).match(/^\s*check\(/gm)?.length ?? 0);
}

describe('examples in docstrings', () => {
  beforeAll(async () => {
    // A backend that starts asynchronously can be used by name once it has.
    await tf.setBackend('wasm');
    await tf.setBackend('cpu');
  });

  it('run, and give what they say', async () => {
    const all = await examples();
    expect(all.length).toBeGreaterThan(5);
    for (const example of all) await run(example);
  });

  it('are there for every public class and function', async () => {
    const have = new Set((await examples()).map((example) => example.name));
    const functions = Object.entries({...tfl, ...tfl.ops} as Record<string, unknown>).filter(([, value]) => typeof value === 'function');
    expect(functions.map(([name]) => name).filter((name) => !have.has(name))).toEqual([]);
  });

  // They need the native backend: shown, not run.
  it('are there for what tfjs-linear/node adds', async () => {
    const text = await readSource('src/node.ts');
    const added = [...text.matchAll(/^export (?:async )?function (\w+)/gm)].map((m) => m[1]);
    expect(added).toEqual([...text.matchAll(/```js\n(?:(?!\*\/)[\s\S])*\*\/\nexport (?:async )?function (\w+)/g)].map((m) => m[1]));
    expect(added.length).toBeGreaterThan(0);
  });
});
