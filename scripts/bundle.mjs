// The esbuild settings of everything that is bundled: tests, examples and dist.
import fs from 'node:fs';
import {builtinModules} from 'node:module';
import path from 'node:path';
import * as esbuild from 'esbuild';
import {ROOT} from './browser.mjs';

const COMMON = {
  absWorkingDir: ROOT,
  bundle: true,
  target: 'es2022',
  sourcemap: true,
  sourcesContent: true,
  logLevel: 'warning',
  logOverride: {'empty-import-meta': 'silent'},
  // package.json's sideEffects names the files of dist. Sources and specs are bundled whole: their bare imports register things.
  ignoreAnnotations: true,
};

const BUILTIN = new RegExp(`^(node:.*|${builtinModules.join('|')})$`);

/** A page cannot load Node's modules: our sources may ask for them only in a dynamic import on a path that runs in Node alone. */
const nodeModulesStayLazy = {
  name: 'node-modules-stay-lazy',
  setup(build) {
    build.onResolve({filter: BUILTIN}, ({path: name, kind, importer}) => {
      if (importer.includes(`${path.sep}node_modules${path.sep}`)) return undefined;
      if (kind === 'dynamic-import') return {path: name, external: true};
      return {
        errors: [
          {text: `'${name}' is imported statically on the way into a browser bundle; import it inside the function that runs in Node.`},
        ],
      };
    });
  },
};

/** @tensorflow/tfjs from the global `tf` that its script tag defines. */
const tfjsFromGlobal = {
  name: 'tfjs-from-global',
  setup(build) {
    build.onResolve({filter: /^@tensorflow\/tfjs$/}, () => ({path: 'tf', namespace: 'global'}));
    build.onLoad({filter: /.*/, namespace: 'global'}, () => ({
      contents:
        "if (!globalThis.tf) throw new Error('tfjs-linear needs TensorFlow.js: put its script tag before this one.'); module.exports = globalThis.tf;",
    }));
  },
};

/** TypeScript `source` (or an entry file) → one ES module for Node, and beside it the program of its GPU threads; packages stay imports. */
export async function bundleForNode({entry, source, outfile}) {
  const input =
    source === undefined ? {entryPoints: [entry]} : {stdin: {contents: source, resolveDir: ROOT, sourcefile: 'entry.ts', loader: 'ts'}};
  const options = {
    ...COMMON,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    alias: {'tfjs-linear/node': './src/node.ts', 'tfjs-linear': './src/index.ts'},
  };
  const worker = path.join(path.dirname(outfile), 'gpu_worker.js');
  await Promise.all([
    esbuild.build({...options, ...input, outfile}),
    esbuild.build({...options, entryPoints: ['src/sharding/gpu_worker.ts'], outfile: worker}),
  ]);
}

/** The same for a page: one script, or one ES module, with every package in it. */
export function bundleForBrowser({entry, source, outfile, format = 'iife', external = []}) {
  const input =
    source === undefined ? {entryPoints: [entry]} : {stdin: {contents: source, resolveDir: ROOT, sourcefile: 'entry.ts', loader: 'ts'}};
  return esbuild.build({
    ...COMMON,
    ...input,
    outfile,
    platform: 'browser',
    format,
    // tfjs-linear/node is Node's alone: a page that asks for it is refused when it does.
    external,
    alias: {'tfjs-linear/node': './scripts/node_only.mjs', 'tfjs-linear': './src/index.ts'},
    plugins: [nodeModulesStayLazy],
  });
}

/** dist/tfjs-linear.mjs and dist/tfjs-linear.js. */
export async function bundleDist() {
  const {peerDependencies} = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  const entryPoints = ['src/index.ts'];
  const peers = Object.keys(peerDependencies);
  await esbuild.build({
    ...COMMON,
    entryPoints,
    outfile: 'dist/tfjs-linear.mjs',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    format: 'esm',
    external: peers,
    plugins: [nodeModulesStayLazy],
  });
  await esbuild.build({
    ...COMMON,
    entryPoints,
    outfile: 'dist/tfjs-linear.js',
    platform: 'browser',
    format: 'iife',
    globalName: 'tfl',
    external: peers.filter((name) => name !== '@tensorflow/tfjs'),
    plugins: [tfjsFromGlobal, nodeModulesStayLazy],
  });
}
