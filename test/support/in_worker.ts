/** Specs inside a dedicated worker: it loads the page's own bundle, with jasmine's functions doing nothing, and calls one of its tasks. */

type Task = (argument: unknown) => Promise<unknown>;

interface Shared {
  tflTasks?: Record<string, Task>;
}

const PROGRAM = `
  for (const name of ['describe', 'fdescribe', 'xdescribe', 'it', 'beforeAll', 'beforeEach', 'afterEach', 'afterAll']) self[name] = () => undefined;
  self.jasmine = new Proxy({}, {get: () => () => undefined});
  self.onmessage = async ({data: {bundle, name, argument}}) => {
    try {
      importScripts(bundle);
      self.postMessage({result: await self.tflTasks[name](argument)});
    } catch (error) {
      self.postMessage({error: String(error && error.stack || error)});
    }
  };
`;

/** The bundle that karma loaded. */
function bundleUrl(): string {
  const script = [...document.scripts].find(({src}) => /\/browser\.js/.test(src));
  if (script === undefined) throw new Error('This page has no test bundle.');
  return script.src;
}

/**
 * A function that calls `task` in a new worker; `name` is its own. Declare it where the bundle is loaded, not inside a spec. Arguments and
 * results are copied. Rejects with what the worker threw.
 */
export function workerTask<A, R>(name: string, task: (argument: A) => Promise<R>): (argument: A) => Promise<R> {
  const shared = globalThis as Shared;
  shared.tflTasks ??= {};
  shared.tflTasks[name] = task as Task;
  return async (argument) => {
    const worker = new Worker(URL.createObjectURL(new Blob([PROGRAM], {type: 'text/javascript'})));
    try {
      const answer = await new Promise<{result?: R; error?: string}>((resolve, reject) => {
        worker.onmessage = ({data}) => resolve(data);
        worker.onerror = ({message}) => reject(new Error(message));
        worker.postMessage({bundle: bundleUrl(), name, argument});
      });
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer.result as R;
    } finally {
      worker.terminate();
    }
  };
}
