// npm run notebook [-- --port P] serves examples/notebook and follows edits; npm run notebook:build [-- --out FOLDER] makes static files of it.
// Both fill build/notebook/public first: samples from the test fixtures and tf.js's wasm files, so that nothing is fetched from elsewhere.
import fs from 'node:fs';
import path from 'node:path';
import {pathToFileURL} from 'node:url';
import {parseArgs} from 'node:util';
import {config, observable} from '@observablehq/notebook-kit/vite';
import {build, createServer} from 'vite';
import {buildAssembly} from './assembly.mjs';
import {ROOT} from './browser.mjs';
import {ISOLATION_HEADERS} from './static.mjs';

const NOTEBOOK = path.join(ROOT, 'examples/notebook');
const PUBLIC = path.join(ROOT, 'build/notebook/public');
const FIXTURES = path.join(ROOT, 'test/fixtures/quant');
const PORT = 8124;
/** Named, so that the server need not come upon them one by one and load the page again. */
const PACKAGES = [
  '@huggingface/jinja',
  '@huggingface/tokenizers',
  '@observablehq/inputs',
  '@observablehq/plot',
  '@tensorflow/tfjs',
  '@tensorflow/tfjs-backend-wasm',
  '@tensorflow/tfjs-backend-webgpu',
];
const GPTQ = 'gptq_b4_g64_asym_act_v2';

/** A safetensors file without the tensors that `drop` names. */
function withoutTensors(bytes, drop) {
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
  const kept = {};
  const parts = [];
  let end = 0;
  for (const [name, info] of Object.entries(header)) {
    if (name === '__metadata__' || drop.has(name)) continue;
    const [from, to] = info.data_offsets;
    parts.push(bytes.subarray(8 + length + from, 8 + length + to));
    kept[name] = {...info, data_offsets: [end, end + to - from]};
    end += to - from;
  }
  const text = Buffer.from(JSON.stringify(kept));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([size, text, ...parts]);
}

function fillPublic() {
  const samples = path.join(PUBLIC, 'samples');
  fs.mkdirSync(path.join(samples, 'gptq'), {recursive: true});
  fs.copyFileSync(path.join(FIXTURES, 'gguf_all_types.gguf'), path.join(samples, 'all_types.gguf'));
  // The fixture's own inputs and outputs are no part of a checkpoint; ref.weight stays, to be compared with.
  const model = withoutTensors(fs.readFileSync(path.join(FIXTURES, `${GPTQ}.safetensors`)), new Set(['ref.x', 'ref.y']));
  fs.writeFileSync(path.join(samples, 'gptq/model.safetensors'), model);
  const index = JSON.parse(fs.readFileSync(path.join(FIXTURES, 'index.json'), 'utf8'));
  const {quantization_config} = (index.cases ?? index).find(({name}) => name === GPTQ);
  fs.writeFileSync(path.join(samples, 'gptq/config.json'), JSON.stringify({quantization_config}));
  const wasm = path.join(ROOT, 'node_modules/@tensorflow/tfjs-backend-wasm/dist');
  fs.mkdirSync(path.join(PUBLIC, 'tfjs-backend-wasm'), {recursive: true});
  for (const file of fs.readdirSync(wasm).filter((name) => name.endsWith('.wasm'))) {
    fs.copyFileSync(path.join(wasm, file), path.join(PUBLIC, 'tfjs-backend-wasm', file));
  }
}

/** Notebook Kit's built-in libraries come from a CDN; ours from node_modules. */
const localLibraries = {
  name: 'local-libraries',
  enforce: 'pre',
  resolveId(source, importer) {
    if (!importer?.includes('notebook-kit')) return undefined;
    if (source.endsWith('/recommendedLibraries.js')) return path.join(NOTEBOOK, 'libraries.js');
    return undefined;
  },
};

async function settings() {
  await buildAssembly();
  fillPublic();
  const kit = config();
  const alias = [...kit.resolve.alias, {find: /^tfjs-linear$/, replacement: path.join(ROOT, 'src/index.ts')}];
  return {
    ...kit,
    configFile: false,
    root: NOTEBOOK,
    publicDir: PUBLIC,
    cacheDir: path.join(ROOT, 'build/notebook/vite'),
    resolve: {...kit.resolve, alias, dedupe: ['@tensorflow/tfjs', '@tensorflow/tfjs-core']},
    // What the server bundles ahead of time does not pass through its plugins.
    optimizeDeps: {rolldownOptions: {plugins: [localLibraries]}, include: PACKAGES},
    plugins: [localLibraries, observable({template: path.join(NOTEBOOK, 'template.html')})],
  };
}

/** Static files in `out`, an absolute path. They run from any web server, offline too. */
export async function buildNotebook(out, {logLevel = 'info'} = {}) {
  await build({
    ...(await settings()),
    base: './',
    logLevel,
    build: {
      outDir: out,
      emptyOutDir: true,
      chunkSizeWarningLimit: 8192,
      // tf.js's wasm threads run the text of a function of its own, by the names of what lies around it.
      minify: false,
      rollupOptions: {input: path.join(NOTEBOOK, 'index.html')},
    },
  });
}

/** → Vite's server, listening. */
export async function serveNotebook({port = PORT, logLevel = 'info'} = {}) {
  const server = await createServer({
    ...(await settings()),
    base: '/',
    logLevel,
    // The sources lie above the notebook's own folder.
    server: {port, strictPort: port !== 0, host: '127.0.0.1', headers: ISOLATION_HEADERS, fs: {allow: [ROOT]}},
  });
  return server.listen();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const {values} = parseArgs({
    options: {
      build: {type: 'boolean'},
      out: {type: 'string', default: 'build/notebook/site'},
      port: {type: 'string', default: String(PORT)},
    },
  });
  if (values.build) {
    await buildNotebook(path.resolve(ROOT, values.out));
    console.log(`${values.out}: serve it with any web server`);
  } else {
    const server = await serveNotebook({port: Number(values.port)});
    server.printUrls();
  }
}
