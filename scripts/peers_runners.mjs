// What each peer runs in an iframe of its own: numbers of threads are global to each runtime. A runner is {name, M, run, reference?} or {name, error}.
import {dynamicInt8, matMul, matMulNBits} from './onnx.mjs';
import {oursLinear, oursLlm} from './rows.mjs';

const MODULES = '/node_modules/';

function random(length, seed = 1) {
  let state = seed >>> 0;
  return Float32Array.from({length}, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  });
}

const script = (source) =>
  new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement('script'), {src: source, onload: resolve});
    element.onerror = () => reject(new Error(`${source} did not load`));
    document.head.append(element);
  });

/** tf.js from its script files, and the same instance under the names by which our module asks for it. */
async function loadTf(...backends) {
  if (!globalThis.tf) await script(`${MODULES}@tensorflow/tfjs/dist/tf.min.js`);
  for (const name of backends.filter((b) => b !== 'webgl'))
    await script(`${MODULES}@tensorflow/tfjs-backend-${name}/dist/tf-backend-${name}.min.js`);
  const shim = (object, path) => {
    const names = Object.keys(object).filter((name) => /^[A-Za-z_$][\w$]*$/.test(name) && name !== 'default');
    const exports = names.map((name) => `const _${name} = o.${name}; export {_${name} as ${name}};`).join('\n');
    return URL.createObjectURL(new Blob([`const o = globalThis.${path}; export default o;\n${exports}`], {type: 'text/javascript'}));
  };
  const imports = {'@tensorflow/tfjs': shim(globalThis.tf, 'tf')};
  for (const name of backends)
    if (globalThis.tf[name]) imports[`@tensorflow/tfjs-backend-${name}`] = shim(globalThis.tf[name], `tf.${name}`);
  const map = Object.assign(document.createElement('script'), {type: 'importmap', textContent: JSON.stringify({imports})});
  document.head.append(map);
  return globalThis.tf;
}

async function tfjs(ctx, backend) {
  const tf = await loadTf(backend);
  if (backend === 'wasm') {
    tf.wasm.setWasmPaths(`${MODULES}@tensorflow/tfjs-backend-wasm/dist/`);
    // It takes half of the cores that it sees, at most.
    if (ctx.threads > 1) Object.defineProperty(navigator, 'hardwareConcurrency', {get: () => 2 * ctx.threads});
    tf.wasm.setThreadsCount(ctx.threads);
  }
  if (!(await tf.setBackend(backend))) throw new Error('the backend did not start');
  const weight = tf.tensor1d(random(ctx.K * ctx.N, 7));
  const layouts = {'[K,N]': [tf.reshape(weight, [ctx.K, ctx.N]), false], '[N,K]': [tf.reshape(weight, [ctx.N, ctx.K]), true]};
  return Object.entries(layouts).flatMap(([layout, [w, transposed]]) =>
    ctx.rows.map((M) => {
      const x = tf.tensor2d(random(M * ctx.K), [M, ctx.K]);
      const run = async () => {
        const y = tf.matMul(x, w, false, transposed);
        const values = await y.data();
        y.dispose();
        return values;
      };
      return {name: `tf.js ${backend} float32 ${layout}`, M, run, isBaseline: true};
    }),
  );
}

async function ortLibrary(provider, threads) {
  const ort = await import(`${MODULES}onnxruntime-web/dist/${provider === 'webgpu' ? 'ort.webgpu.min.mjs' : 'ort.wasm.min.mjs'}`);
  ort.env.wasm.wasmPaths = `${location.origin}${MODULES}onnxruntime-web/dist/`;
  ort.env.wasm.numThreads = threads;
  return ort;
}

const ORT_MODELS = {
  wasm: {
    float32: (shape) => matMul(shape),
    'q4 g128': (shape) => matMulNBits({...shape, blockSize: 128}),
    'q4 g32': (shape) => matMulNBits({...shape, blockSize: 32}),
    'q8 g128': (shape) => matMulNBits({...shape, bits: 8, blockSize: 128}),
    'int8 dynamic': (shape) => dynamicInt8(shape),
  },
  webgpu: {
    'q4 g32': (shape) => matMulNBits({...shape, blockSize: 32}),
    'q4 g128': (shape) => matMulNBits({...shape, blockSize: 128}),
  },
};

async function ort(ctx, provider) {
  const lib = await ortLibrary(provider, ctx.threads);
  const runners = [];
  for (const [kind, make] of Object.entries(ORT_MODELS[provider])) {
    const name = `ONNX Runtime Web ${provider} ${kind}`;
    try {
      const session = await lib.InferenceSession.create(make({K: ctx.K, N: ctx.N}), {executionProviders: [provider]});
      for (const M of ctx.rows) {
        const A = new lib.Tensor('float32', random(M * ctx.K), [M, ctx.K]);
        const run = async () => {
          const {Y} = await session.run({A});
          const values = await Y.getData();
          Y.dispose?.();
          return values;
        };
        runners.push({name, M, run});
      }
    } catch (error) {
      runners.push({name, error: String(error)});
    }
  }
  return runners;
}

/** Its models come from Python tools: fc_4096_m1_dq4.tflite and so on, of ../shared/peers/bench/make_tflite.py. */
async function litert(ctx, accelerator) {
  const lib = await import(`${MODULES}@litertjs/core/dist/index.js`);
  await lib.loadLiteRt(`${MODULES}@litertjs/core/wasm/`, ctx.threads > 1 ? {threads: true} : {});
  const runners = [];
  for (const kind of accelerator === 'webgpu' ? ['dq8', 'dq4'] : ['dq8', 'dq4', 'dq4b32']) {
    for (const M of ctx.rows) {
      const name = `LiteRT.js ${accelerator} ${kind}`;
      try {
        const response = await fetch(`/models/fc_${ctx.K}_m${M}_${kind}.tflite`);
        if (!response.ok)
          throw new Error(`no fc_${ctx.K}_m${M}_${kind}.tflite in the models folder; ../shared/peers/bench/make_tflite.py makes it`);
        const gpu = accelerator === 'webgpu' ? {gpuOptions: {precision: 'fp32'}} : {};
        const model = await lib.loadAndCompile(new Uint8Array(await response.arrayBuffer()), {
          accelerator,
          cpuOptions: {numThreads: ctx.threads},
          ...gpu,
        });
        const x = new lib.Tensor(random(M * ctx.K), [M, ctx.K]);
        const run = async () => {
          const [result] = await model.run([x]);
          const y = accelerator === 'webgpu' ? await result.moveTo('wasm') : result;
          const values = await y.data();
          y.delete();
          return values;
        };
        runners.push({name, M, run});
      } catch (error) {
        runners.push({name, M, error: String(error)});
      }
    }
  }
  return runners;
}

async function wllama(ctx) {
  const {Wllama} = await import(`${MODULES}@wllama/wllama/esm/index.js`);
  const runtime = new Wllama({default: `${MODULES}@wllama/wllama/esm/wasm/wllama.wasm`}, {suppressNativeLog: true});
  const response = await fetch(ctx.files('smollm2.gguf'));
  await runtime.loadModel([new Blob([await response.arrayBuffer()])], {n_threads: ctx.threads, n_ctx: 512, n_gpu_layers: 0});
  const generate = async ({ids, text}, n) => {
    const times = [performance.now()];
    let timings;
    const stream = await runtime.createCompletion({prompt: text, max_tokens: n, temperature: 0, stream: true, cache_prompt: false});
    for await (const part of stream) {
      if (part.choices?.[0]?.text) times.push(performance.now());
      timings = part.timings ?? timings;
    }
    if (timings && timings.prompt_n !== ids.length) throw new Error(`the prompt was ${timings.prompt_n} tokens, not ${ids.length}`);
    return {first: times[1] - times[0], rest: times.slice(2).map((time, i) => time - times[i + 1])};
  };
  return [{name: 'wllama Q4_1', generate}];
}

/** A folder made by ../shared/peers/bench/make_onnx.py. */
async function ortChat(ctx, folder, name) {
  const get = async (file) => {
    const response = await fetch(ctx.files(`${folder}/${file}`));
    if (!response.ok) throw new Error(`no ${folder}/${file} in the models folder; ../shared/peers/bench/make_onnx.py makes it`);
    return new Uint8Array(await response.arrayBuffer());
  };
  const [graph, data] = [await get('model.onnx'), await get('model.onnx.data')];
  const lib = await ortLibrary('wasm', ctx.threads);
  const session = await lib.InferenceSession.create(graph, {executionProviders: ['wasm'], externalData: [{path: 'model.onnx.data', data}]});
  const layers = session.inputNames.filter((input) => /^past_key_values\.\d+\.key$/.test(input)).length;
  const parts = Array.from({length: layers}, (_, i) => [`${i}.key`, `${i}.value`]).flat();
  const generate = async ({ids}, n) => {
    const empty = () => new lib.Tensor('float32', new Float32Array(0), [1, 3, 0, 64]);
    let past = Object.fromEntries(parts.map((part) => [`past_key_values.${part}`, empty()]));
    const times = [];
    let next = ids;
    let length = 0;
    for (let step = 0; step < n; step++) {
      const start = performance.now();
      length += next.length;
      const feeds = {
        input_ids: new lib.Tensor('int64', BigInt64Array.from(next.map(BigInt)), [1, next.length]),
        attention_mask: new lib.Tensor('int64', new BigInt64Array(length).fill(1n), [1, length]),
        ...past,
      };
      if (session.inputNames.includes('position_ids')) {
        const positions = next.map((_, i) => BigInt(length - next.length + i));
        feeds.position_ids = new lib.Tensor('int64', BigInt64Array.from(positions), [1, next.length]);
      }
      const answer = await session.run(feeds);
      const logits = (await answer.logits.getData()).subarray(-answer.logits.dims.at(-1));
      let best = 0;
      for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
      past = Object.fromEntries(parts.map((part) => [`past_key_values.${part}`, answer[`present.${part}`]]));
      next = [best];
      times.push(performance.now() - start);
    }
    return {first: times[0], rest: times.slice(1)};
  };
  return [{name, generate}];
}

const linear = (backend) => ({
  'tf.js': (ctx) => tfjs(ctx, backend),
  'ONNX Runtime Web': (ctx) => ort(ctx, backend),
  'LiteRT.js': (ctx) => litert(ctx, backend),
  ours: oursLinear,
});
const REALMS = {
  wasm: linear('wasm'),
  webgpu: linear('webgpu'),
  chat: {
    wllama,
    'ONNX Runtime Web int8 dynamic': (ctx) => ortChat(ctx, 'ort_q8_dyn', 'ONNX Runtime Web int8 dynamic'),
    'ONNX Runtime Web q4': (ctx) => ortChat(ctx, 'ort_q4_cpu', 'ONNX Runtime Web q4'),
    ours: oursLlm,
  },
};

/** Names of the realms of one kind of bench: one iframe for each. */
export const realms = (kind) => Object.keys(REALMS[kind]);

/** The runners of one realm. */
export function loadRealm(kind, name, options) {
  const ctx = {...options, Ms: options.rows, group: kind, ours: '/ours/', random, loadTf, files: (file) => `/models/${file}`};
  return REALMS[kind][name](ctx);
}
