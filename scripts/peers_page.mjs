// In the page of `bench --peers`: makes an iframe for each runtime and times all runners in turns, in a new order each round.

const REST_MS = 20;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const within = (promise, ms) =>
  Promise.race([
    promise,
    sleep(ms).then(() => {
      throw new Error(`no answer in ${ms / 1000} s`);
    }),
  ]);

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** |y - reference| / |reference| over all of y; null without a reference. */
function errorOf(y, reference) {
  if (reference === undefined) return null;
  let [difference, size] = [0, 0];
  for (let i = 0; i < y.length; i++) {
    difference += (y[i] - reference[i]) ** 2;
    size += reference[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

function shuffled(items) {
  const keyed = items.map((item) => ({item, key: Math.random()}));
  return keyed.sort((a, b) => a.key - b.key).map(({item}) => item);
}

async function loadRealms(kind, options) {
  const runners = [];
  const failed = [];
  const {realms} = await import('/peers/runners.mjs');
  for (const name of realms(kind)) {
    const frame = Object.assign(document.createElement('iframe'), {src: '/frame.html'});
    document.body.append(frame);
    await new Promise((resolve) => {
      frame.onload = resolve;
    });
    try {
      const module = await frame.contentWindow.loadRunners();
      for (const runner of await within(module.loadRealm(kind, name, options), 240_000))
        (runner.error ? failed : runners).push({...runner});
    } catch (error) {
      failed.push({name, error: String(error)});
    }
    console.log(`# ${name} loaded, ${options.threads} threads`);
  }
  return {runners, failed};
}

/** kind 'wasm' or 'webgpu': one layer of K inputs and N outputs. → {rows, failed} */
export async function linear(kind, {K, N, rows: counts, threads, rounds}) {
  const {runners, failed} = await loadRealms(kind, {K, N, rows: counts, threads});
  const rows = [];
  for (const M of counts) {
    const live = [];
    for (const runner of runners.filter((r) => r.M === M)) {
      try {
        const y = await within(runner.run(), 60_000);
        if (y.length !== M * N || !y.every(Number.isFinite) || y.every((v) => v === 0)) throw new Error('its numbers are no product');
        live.push({...runner, error: errorOf(y, runner.reference), times: []});
      } catch (error) {
        failed.push({name: runner.name, M, error: String(error)});
      }
    }
    for (let round = 0; round < rounds; round++) {
      for (const runner of shuffled(live)) {
        // Workers of the runner before, which spin for a while, go to sleep.
        await sleep(REST_MS);
        await runner.run();
        for (let i = 0; i < (M === 1 ? 3 : 1); i++) {
          const start = performance.now();
          await runner.run();
          runner.times.push(performance.now() - start);
        }
      }
    }
    for (const {name, isBaseline = false, error, times} of live) {
      rows.push({
        kind,
        name,
        isBaseline,
        M,
        K,
        N,
        threads,
        error,
        medianMs: median(times),
        minMs: Math.min(...times),
        samples: times.length,
      });
    }
    console.log(`# ${kind}, M = ${M} done`);
  }
  return {rows, failed};
}

/** The chat model. → {rows, failed} */
export async function chat({threads, rounds, decode, prompts}) {
  const {runners, failed} = await loadRealms('chat', {threads, rows: []});
  const live = [];
  for (const runner of runners) {
    try {
      await within(runner.generate(prompts.short, 4), 120_000);
      live.push({...runner, prefill: [], tokens: []});
    } catch (error) {
      failed.push({name: runner.name, error: String(error)});
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const runner of shuffled(live)) {
      await sleep(100);
      const {rest} = await runner.generate(prompts.short, decode + 1);
      runner.tokens.push(...rest);
      await sleep(100);
      runner.prefill.push((await runner.generate(prompts.long, 1)).first);
    }
    console.log(`# chat, round ${round + 1} done`);
  }
  const row = (name, part, M, times) => ({
    kind: 'chat',
    name,
    part,
    M,
    threads,
    medianMs: median(times),
    minMs: Math.min(...times),
    samples: times.length,
  });
  const rows = live.flatMap(({name, prefill, tokens}) => [
    row(name, 'prefill', prompts.long.ids.length, prefill),
    row(name, 'decode', 1, tokens),
  ]);
  return {rows, failed};
}
