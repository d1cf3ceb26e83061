/** Files for specs, the same way in Node (from disk) and in the browser (from karma's server). */
import {IN_BROWSER} from './environment.js';

/** The repository root in Node: the test run starts there. */
async function inRepository(path: string): Promise<string> {
  const {resolve} = await import('node:path');
  return resolve(process.cwd(), path);
}

async function read(source: string): Promise<Uint8Array> {
  if (!IN_BROWSER) {
    const {readFile} = await import('node:fs/promises');
    return new Uint8Array(await readFile(source));
  }
  const response = await fetch(source);
  if (!response.ok) throw new Error(`${source}: status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** What `openCheckpoint` takes for test/fixtures/`path` here: a path in Node, a URL in the browser. */
export async function fixtureSource(path: string): Promise<string> {
  return IN_BROWSER ? new URL(`/base/test/fixtures/${path}`, location.origin).href : inRepository(`test/fixtures/${path}`);
}

/** The same for a file or folder of ../shared. */
export async function sharedSource(path: string): Promise<string> {
  return IN_BROWSER ? new URL(`/shared/${path}`, location.origin).href : inRepository(`../shared/${path}`);
}

export async function readFixture(path: string): Promise<Uint8Array> {
  return read(await fixtureSource(path));
}

/** A file of JSON, as checkpoints have them. */
export function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

export async function readFixtureJson<T>(path: string): Promise<T> {
  return JSON.parse(new TextDecoder().decode(await readFixture(path))) as T;
}

/** The text of a file under src or kernels. */
export async function readSource(path: string): Promise<string> {
  const source = IN_BROWSER ? new URL(`/base/${path}`, location.origin).href : await inRepository(path);
  return new TextDecoder().decode(await read(source));
}

export async function readShared(path: string): Promise<Uint8Array> {
  return read(await sharedSource(path));
}

/** Whether ../shared, which is no part of the repository, is beside this checkout. */
export async function hasShared(): Promise<boolean> {
  if (IN_BROWSER) return (await (await fetch('/has-shared')).json()) as boolean;
  const {existsSync} = await import('node:fs');
  return existsSync(await inRepository('../shared'));
}

/** Marks the running spec as pending, by name in the report, where ../shared is not here. */
export async function needsShared(): Promise<void> {
  if (!(await hasShared())) pending('needs ../shared, which is not beside this checkout');
}
