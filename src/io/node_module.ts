/** Node's own modules, for code that also runs in pages. */

interface NodeModules {
  'node:fs/promises': typeof import('node:fs/promises');
  'node:os': typeof import('node:os');
  'node:path': typeof import('node:path');
  'node:url': typeof import('node:url');
}

/** Whether Node's own modules can be imported. */
export function inNode(): boolean {
  return typeof process !== 'undefined' && process.versions?.node !== undefined;
}

/** The name is a variable here so that no bundler for pages tries to find it, which would end the build: esbuild heeds neither comment. */
export function nodeModule<Name extends keyof NodeModules>(name: Name): Promise<NodeModules[Name]> {
  return import(/* webpackIgnore: true */ /* @vite-ignore */ name as string) as Promise<NodeModules[Name]>;
}
