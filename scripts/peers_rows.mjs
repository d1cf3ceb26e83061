// Our rows in the peers' benchmark: --ours build/peers --ours-rows scripts/peers_rows.mjs, after node scripts/peers_build.mjs.

const f16 = 'float16';
const groups = (bits, size) => ({planes: [bits], zero: 1 << (bits - 1), scales: [[f16, 1, size]]});
/** x rounded to 8 bits, with a scale for each group of the weight. */
const int8 = (block) => ({dtype: 'int8', origin: 'dynamic', granularity: 'block', block});

/** Random weights of a layer by row name, and what x is rounded to. x and y cross as the peers' do: float32 in, a float32 array out. */
const PRODUCTS = (K) => ({
  'q4 g128': {weight: groups(4, 128)},
  'q4 g32': {weight: groups(4, 32)},
  'q4 g128, x int8': {weight: groups(4, 128), inputQuantization: int8(128)},
  'q4 g32, x int8': {weight: groups(4, 32), inputQuantization: int8(32)},
  'q8 g32': {weight: groups(8, 32)},
  fp8: {weight: {planes: [8], decode: {kind: 'float', type: 'float8_e4m3fn'}, scales: [['float32', 1, K]]}},
});

async function start(ctx, backend) {
  const tf = await ctx.loadTf(backend);
  if (backend === 'wasm') {
    tf.wasm.setWasmPaths('/node_modules/@tensorflow/tfjs-backend-wasm/dist/');
    // tf.js's build with threads is the one whose memory our threads can share; its own are not used.
    if (ctx.threads === 1) tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
    else tf.wasm.setThreadsCount(1);
  }
  const ours = await import(`${ctx.ours}ours.mjs`);
  if (!(await tf.setBackend(backend))) throw new Error(`backend ${backend} did not start`);
  if (backend === 'wasm' && ctx.threads > 1) await ours.startThreads(ctx.threads);
  return {tf, ours};
}

/** @returns runners {name, M, run, reference}; the reference is the product with the unpacked weight in tf.js. */
export async function oursLinear(ctx) {
  if (ctx.threads !== 1 && ctx.group !== 'wasm') return [];
  const rows = [];
  for (const backend of ctx.group === 'wasm' ? ['wasm'] : ['webgpu', 'webgl']) {
    const {tf, ours} = await start(ctx, backend);
    for (const [name, {weight: structure, inputQuantization = 'none'}] of Object.entries(PRODUCTS(ctx.K))) {
      // Integers of x are multiplied as such on wasm alone.
      if (inputQuantization !== 'none' && backend !== 'wasm') continue;
      const weight = ours.randomWeight({n: ctx.N, k: ctx.K, ...structure});
      const dense = weight.dequantize();
      for (const M of ctx.Ms) {
        const x = tf.tensor2d(ctx.random(M * ctx.K), [M, ctx.K]);
        const product = tf.matMul(x, dense, false, true);
        const reference = await product.data();
        product.dispose();
        const run = async () => {
          if (tf.getBackend() !== backend) await tf.setBackend(backend);
          const y = ours.ops.quantizedMatMul(x, weight, {inputQuantization});
          const values = await y.data();
          y.dispose();
          return values;
        };
        rows.push({name: `ours ${backend === 'wasm' ? '' : `${backend} `}${name}`, M, run, reference});
      }
      dense.dispose();
    }
  }
  return rows;
}

/** @returns one runner on wasm: the GGUF as it is, one token after the other, arg-max on the host. */
export async function oursLlm(ctx) {
  const {tf, ours} = await start(ctx, 'wasm');
  if (tf.getBackend() !== 'wasm') throw new Error('wasm did not start');
  const checkpoint = await ours.openCheckpoint(new URL(ctx.files('smollm2.gguf'), location.href).href);
  const model = await ours.loadLlama(checkpoint);
  await checkpoint.close();
  const generate = async ({ids}, n) => {
    const cache = model.createCache();
    const out = [];
    const rest = [];
    let first = 0;
    let next = ids;
    for (let i = 0; i < n; i++) {
      const start = performance.now();
      const logits = model.forward(next, cache);
      const values = await logits.data();
      logits.dispose();
      let best = 0;
      for (let v = 1; v < values.length; v++) if (values[v] > values[best]) best = v;
      if (i === 0) first = performance.now() - start;
      else rest.push(performance.now() - start);
      out.push(best);
      next = [best];
    }
    cache.dispose();
    return {first, rest, out};
  };
  return [{name: 'ours Q4_1', generate}];
}
