// npm run demo:page -- [--model M] [--port P]: bundles the page and serves it, cross-origin isolated, with a model beside it.
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {pathToFileURL} from 'node:url';
import {parseArgs} from 'node:util';
import {buildAssembly} from '../../../scripts/assembly.mjs';
import {ROOT, serve} from '../../../scripts/browser.mjs';
import {bundleForBrowser} from '../../../scripts/bundle.mjs';

const PORT = 8123;
const OUTPUT = 'build/page';

/** Path or URL of the model: --model as npm run demo takes it, or its default. */
function modelPath(model) {
  const command = [path.join(ROOT, 'scripts/run.mjs'), 'examples/chat/page/fetch_model.ts', ...(model === undefined ? [] : [model])];
  const run = spawnSync(process.execPath, command, {cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8'});
  if (run.status !== 0) throw new Error('There is no model to serve.');
  return run.stdout.trim();
}

/** → {url, close()} of a server of the page. port 0 picks a free one. */
export async function servePage({model, port = 0} = {}) {
  await buildAssembly();
  await bundleForBrowser({entry: 'examples/chat/page/page.ts', outfile: `${OUTPUT}/page.js`, format: 'esm'});
  const source = modelPath(model);
  const mounts = {
    '/tfjs-backend-wasm/': path.join(ROOT, 'node_modules/@tensorflow/tfjs-backend-wasm/dist'),
    '/build/': path.join(ROOT, OUTPUT),
  };
  // A folder is served as it is, a file with what lies beside it; a URL is the page's to read.
  let shown = source;
  if (!/^https?:/.test(source)) {
    const isFolder = fs.statSync(source).isDirectory();
    mounts['/model/'] = isFolder ? source : path.dirname(source);
    shown = isFolder ? '/model/' : `/model/${encodeURIComponent(path.basename(source))}`;
  }
  const page = (file, type) => ({body: fs.readFileSync(path.join(ROOT, file)), type});
  const pages = {
    '/': page('examples/chat/page/index.html', 'text/html; charset=utf-8'),
    '/model-path': {body: shown, type: 'text/plain'},
  };
  return serve({mounts, pages, port});
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const {values} = parseArgs({options: {model: {type: 'string'}, port: {type: 'string', default: String(PORT)}}});
  const {url} = await servePage({model: values.model, port: Number(values.port)});
  console.log(`${url}  (Ctrl-C ends it)`);
}
