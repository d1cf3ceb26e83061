// Pages of a project with the packed package in it: through Vite (built and served), through webpack, from script tags, each opened in Chromium.
// Used by npm run check:package.
import fs from 'node:fs';
import path from 'node:path';
import * as vite from 'vite';
import webpack from 'webpack';
import {launch, serve} from './browser.mjs';

/** The folder with a model in the project, under the name that README gives it. */
export const MODEL = 'my-model';
const CDN = 'https://cdn.jsdelivr.net/npm/';

const html = (head) => `<!doctype html><meta charset="utf-8">${head}`;

/** → HTML of a page with this module of the project, which vite built */
async function buildVite(folder, module) {
  const name = path.basename(module, '.js');
  const page = path.join(folder, `${name}.html`);
  fs.writeFileSync(page, html(`<script type="module" src="/${module}"></script>`));
  await vite.build({
    root: folder,
    configFile: false,
    logLevel: 'error',
    build: {outDir: 'dist-vite', emptyOutDir: false, chunkSizeWarningLimit: 10_000, rollupOptions: {input: page}},
  });
  return fs.readFileSync(path.join(folder, `dist-vite/${name}.html`), 'utf8');
}

/** → HTML of a page with this module of the project, which webpack built */
function buildWebpack(folder, module) {
  const compiler = webpack({
    mode: 'production',
    context: folder,
    entry: `./${module}`,
    output: {path: path.join(folder, 'dist-webpack'), filename: module},
    performance: false,
  });
  return new Promise((resolve, reject) => {
    compiler.run((error, stats) => {
      const faults = stats?.toString({all: false, errors: true, warnings: true}) ?? '';
      if (error || stats.hasErrors() || stats.hasWarnings()) reject(error ?? new Error(`webpack: ${faults}`));
      else compiler.close(() => resolve(html(`<script src="/dist-webpack/${module}" defer></script>`)));
    });
  });
}

/** vite's own server, which serves modules one by one: files that are no modules lie in the project's public folder. */
async function serveVite(folder) {
  const copied = {[MODEL]: path.join(folder, MODEL), wasm: path.join(folder, 'node_modules/@tensorflow/tfjs-backend-wasm/dist')};
  for (const [name, from] of Object.entries(copied)) {
    fs.cpSync(from, path.join(folder, 'public', name), {recursive: true, filter: (file) => !/\.(js|ts|map)$/.test(file)});
  }
  const server = await vite.createServer({
    root: folder,
    configFile: false,
    logLevel: 'error',
    server: {port: 0, host: '127.0.0.1', hmr: false},
  });
  await server.listen();
  return {url: `http://127.0.0.1:${server.httpServer.address().port}`, close: () => server.close()};
}

/** The CDN that pages name, from what is installed in the project: 'package@version/file' of the version that is there. */
async function answerCdn(route, modules) {
  const [, name, version, file] = /^((?:@[^/]+\/)?[^/@]+)(?:@([^/]+))?\/([^?]+)/.exec(route.request().url().slice(CDN.length)) ?? [];
  const manifest = path.join(modules, name ?? '', 'package.json');
  const there = name !== undefined && fs.existsSync(manifest) ? JSON.parse(fs.readFileSync(manifest, 'utf8')).version : undefined;
  const body = path.join(modules, name ?? '', file ?? '');
  if (there === undefined || (version !== undefined && version !== there) || !fs.existsSync(body)) return route.fulfill({status: 404});
  return route.fulfill({path: body, headers: {'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin'}});
}

/** → {results, printed}: what the page left on globalThis.results, and what it wrote to the console. Throws for globalThis.failure, or an error. */
async function open(context, url) {
  const tab = await context.newPage();
  const [errors, printed] = [[], []];
  tab.on('pageerror', (error) => errors.push(error.message));
  tab.on('console', (message) => printed.push(message.text()));
  await tab.goto(url);
  const done = () => globalThis.results !== undefined || globalThis.failure !== undefined;
  await tab.waitForFunction(done, undefined, {timeout: 180_000}).catch((error) => {
    throw new Error(`${url}: ${error.message} ${[...errors, ...printed].join('; ')}`);
  });
  const {found, failure} = await tab.evaluate(() => ({found: globalThis.results, failure: globalThis.failure}));
  await tab.close();
  if (failure !== undefined || errors.length > 0) throw new Error(`${url}: ${failure ?? ''} ${errors.join('; ')}`);
  return {results: found, printed: printed.join('\n')};
}

/**
 * A module of the project in four pages, and a page without a bundler. module: its file name; head: of the page with script tags;
 * isolated: whether pages that are not vite's own are cross-origin isolated; query: of the pages that a bundler made.
 * → [{where, results, printed}]
 */
export async function openPages(folder, {module, head, isolated, query = ''}) {
  const modules = path.join(folder, 'node_modules');
  const pages = {
    '/vite': await buildVite(folder, module),
    '/webpack': await buildWebpack(folder, module),
    '/script': html(head),
    '/check.js': {file: path.join(folder, 'check.js')},
  };
  const mounts = {
    [`/${MODEL}/`]: path.join(folder, MODEL),
    '/wasm/': path.join(modules, '@tensorflow/tfjs-backend-wasm/dist'),
    '/dist-webpack/': path.join(folder, 'dist-webpack'),
    '/assets/': path.join(folder, 'dist-vite/assets'),
  };
  const server = await serve({mounts, pages, isolated});
  const browser = await launch();
  const dev = await serveVite(folder);
  try {
    const context = await browser.newContext();
    await context.route(`${CDN}**`, (route) => answerCdn(route, modules));
    const urls = {
      'Vite, built': `${server.url}/vite${query}`,
      'Vite, served': `${dev.url}/${path.basename(module, '.js')}.html`,
      webpack: `${server.url}/webpack${query}`,
      'script tags': `${server.url}/script`,
    };
    const found = [];
    for (const [where, url] of Object.entries(urls)) found.push({where, ...(await open(context, url))});
    return found;
  } finally {
    await browser.close();
    await server.close();
    await dev.close();
  }
}
