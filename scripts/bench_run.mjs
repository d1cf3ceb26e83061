// Runs a program of test/grid (the bench, the support matrix) once a backend: in a child process of Node, or in a page of Chromium of its own.
import {spawn} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {buildAssembly} from './assembly.mjs';
import {launch, ROOT, serve, swiftshader} from './browser.mjs';
import {bundleForBrowser, bundleForNode} from './bundle.mjs';

const WASM_FILES = 'node_modules/@tensorflow/tfjs-backend-wasm/dist';

/**
 * entry: a TypeScript file that puts functions on globalThis. call: the name of one; requests: an argument for each run.
 * A request's `threads` are TensorFlow's on that backend. mounts: further folders that a page may ask for, as static.mjs takes them.
 * fresh: a browser for each request, as it keeps what it compiled for pages.
 * → [answer, or {error}] in the order of the requests.
 */
export async function runPrograms({entry, call, requests, browser = false, mounts = {}, fresh = false}) {
  await buildAssembly();
  const folder = path.join('build', 'grid', String(process.pid));
  try {
    return browser ? await inBrowser({entry, call, requests, folder, mounts, fresh}) : await inNode({entry, call, requests, folder});
  } finally {
    fs.rmSync(path.join(ROOT, folder), {recursive: true, force: true});
  }
}

async function inNode({entry, call, requests, folder}) {
  const outfile = path.join(folder, 'node.mjs');
  const source = `import './${entry}';
process.once('message', async (request) => {
  const answer = await globalThis.${call}(request).catch((error) => ({error: String(error?.stack ?? error)}));
  process.send(answer, () => process.exit(0));
});`;
  await bundleForNode({source, outfile});
  const answers = [];
  for (const request of requests) {
    // Dawn finds SwiftShader where there is no GPU of its own; DAWN_GPU=1 leaves the choice to it.
    const swift = request.backend === 'webgpu' && !process.env.DAWN_GPU ? await swiftshader() : {};
    const env = {...process.env, ...swift, ...(request.backend === 'tensorflow' ? tensorflowEnvironment(request.threads) : {})};
    answers.push(await inChild(path.join(ROOT, outfile), request, env));
  }
  return answers;
}

/** TensorFlow reads its number of threads when it starts. Level 2: no notes about the processor. */
function tensorflowEnvironment(threads) {
  const level = {TF_CPP_MIN_LOG_LEVEL: process.env.TF_CPP_MIN_LOG_LEVEL ?? '2'};
  return threads ? {...level, TF_NUM_INTRAOP_THREADS: String(threads)} : level;
}

/** One run in a process of its own, what it prints going to stderr. */
function inChild(file, request, env) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--enable-source-maps', '--no-warnings', file], {
      cwd: ROOT,
      env,
      stdio: ['ignore', 2, 2, 'ipc'],
    });
    let answer = null;
    child.on('message', (message) => {
      answer = message;
    });
    child.on('error', (error) => resolve({error: String(error)}));
    child.on('close', (status, signal) =>
      resolve(answer ?? {error: `the process ended without an answer (${signal ?? `status ${status}`})`}),
    );
    child.send(request);
  });
}

async function inBrowser({entry, call, requests, folder, mounts, fresh}) {
  const outfile = path.join(folder, 'page.js');
  await bundleForBrowser({entry: path.join(ROOT, entry), outfile});
  const server = await serve({
    mounts: {
      ...mounts,
      '/base/test/fixtures/': path.join(ROOT, 'test/fixtures'),
      [`/base/${WASM_FILES}/`]: path.join(ROOT, WASM_FILES),
      '/built/': path.join(ROOT, folder),
    },
    pages: {'/': '<!doctype html><title>tfjs-linear</title><script src="/built/page.js"></script>', '/favicon.ico': ''},
  });
  const answers = [];
  let browser = await launch();
  try {
    for (const [i, request] of requests.entries()) {
      if (fresh && i > 0) {
        await browser.close();
        browser = await launch();
      }
      const page = await browser.newPage();
      page.on('console', (message) => {
        if (message.type() === 'error') console.error(`page: ${message.text()}`);
      });
      await page.goto(server.url);
      const run = page.evaluate(([name, argument]) => globalThis[name](argument), [call, request]);
      answers.push(await run.catch((error) => ({error: error.message})));
      await page.close();
    }
    return answers;
  } finally {
    await browser.close();
    await server.close();
  }
}
