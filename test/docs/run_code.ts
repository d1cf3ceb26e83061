/** Code of the docs, run in the middle of a spec. */
import * as tf from '@tensorflow/tfjs';

const AsyncFunction = (async () => undefined).constructor as new (...args: string[]) => (...args: unknown[]) => Promise<void>;

/** `expression` as a check; `print()` at its end stands for the tensor's values. */
export function checkOf(expression: string, value: string): string {
  const is = expression.endsWith('.print()') ? `await (${expression.slice(0, -'.print()'.length)}).array()` : expression;
  return `check(${is}, ${JSON.stringify(JSON.parse(value))});`;
}

/**
 * Runs code that knows `names` and `check(is, expected)`, and frees every tensor and variable that it made.
 * → how many values were checked, and what it threw or null
 */
export async function runCode(
  where: string,
  code: string,
  names: Readonly<Record<string, unknown>>,
): Promise<{checks: number; failure: unknown}> {
  const variables = new Set(Object.keys(tf.engine().registeredVariables));
  let checks = 0;
  const check = (is: unknown, expected: unknown) => {
    checks++;
    expect(JSON.parse(JSON.stringify(is)))
      .withContext(where)
      .toEqual(expected);
  };
  let failure: unknown = null;
  tf.engine().startScope();
  try {
    await new AsyncFunction('check', ...Object.keys(names), code)(check, ...Object.values(names));
  } catch (error) {
    failure = error;
  }
  tf.engine().endScope();
  for (const [key, variable] of Object.entries(tf.engine().registeredVariables)) if (!variables.has(key)) variable.dispose();
  return {checks, failure};
}
