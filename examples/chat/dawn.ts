/** WebGPU in Node: Dawn, from the npm package `webgpu`. */

interface Dawn {
  create(options: string[]): GPU;
  globals: object;
}

/** Gives Node a `navigator.gpu`, where there is none. In a browser nothing is done. Rejects where the package is not installed. */
export async function provideDawn(): Promise<void> {
  if (globalThis.navigator?.gpu !== undefined || typeof process === 'undefined') return;
  // Not a literal: a page's bundle must not hold Node's module.
  const name = 'webgpu';
  const dawn = (await import(name)) as Dawn;
  Object.assign(globalThis, dawn.globals);
  // Referenced from here on: Dawn ends the process where its instance is collected.
  const gpu = dawn.create([]);
  Object.defineProperty(globalThis, 'navigator', {value: {...(globalThis.navigator ?? {}), gpu}, configurable: true});
  const adapter = await gpu.requestAdapter();
  if (adapter !== null && /swiftshader|llvmpipe|lavapipe/i.test(`${adapter.info.architecture} ${adapter.info.device}`)) askSeldom();
}

/**
 * Dawn asks for its events in every turn of Node's event loop while it waits: a whole core. Where the GPU is software, that core is the GPU's. A
 * millisecond between the questions: 0.24 s a token in place of 0.43 (SmolLM2-135M, SwiftShader on two cores, 2026-11-25).
 */
function askSeldom(): void {
  const native = globalThis.setImmediate;
  const isDawns = (f: unknown): boolean => /^function \w*\(\) \{ \[native code\] \}$/.test(Function.prototype.toString.call(f));
  const seldom = (f: (...args: unknown[]) => void, ...args: unknown[]): unknown =>
    isDawns(f) ? setTimeout(f, 1, ...args) : native(f, ...args);
  globalThis.setImmediate = Object.defineProperties(seldom, Object.getOwnPropertyDescriptors(native)) as typeof setImmediate;
}
