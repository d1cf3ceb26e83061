/** npm run demo: a language model answers in the terminal, from weights that stay packed. */
import {openCheckpoint, TfjsLinearError, threadCount} from 'tfjs-linear';
import {startBackend, startDevices, startThreadsOn} from './backend.js';
import {StreamingText} from './detokenizer.js';
import {type Generated, generate} from './generate.js';
import {loadLlama} from './load.js';
import type {Llama} from './model.js';
import {findModel} from './model_source.js';
import {type ChatOptions, parseOptions, USAGE} from './options.js';
import {type Progress, progressOnStderr} from './progress.js';
import {closingLine, speeds} from './report.js';
import {randomFrom, topLogits} from './sampler.js';
import {type ChatTokenizer, tokenizerOf} from './tokenizer.js';

/** Exit status of a program that SIGINT ended. */
const INTERRUPTED = 130;

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort(new Error('stopped by Ctrl-C')));
  const progress = progressOnStderr();
  try {
    const backend = await start(options);
    const {model, tokenizer} = await load(options, progress, stop.signal);
    try {
      await answer(model, tokenizer, backend, options, stop.signal);
    } finally {
      model.dispose();
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    progress.stop();
  }
  return stop.signal.aborted ? INTERRUPTED : 0;
}

/** Name of the backend for what is not a matrix. */
async function start({backend, devices, threads}: ChatOptions): Promise<string> {
  if (backend === undefined || (devices === undefined && !backend.includes(':'))) {
    const started = await startBackend(backend);
    await startThreadsOn([started], threads);
    return started;
  }
  const notes = await startDevices(devices ?? [backend], backend);
  // Workers as devices have the other cores.
  await startThreadsOn(devices ?? [backend], threads ?? 1);
  for (const note of notes) process.stderr.write(`${note}\n`);
  return backend;
}

async function load(options: ChatOptions, progress: Progress, signal: AbortSignal): Promise<{model: Llama; tokenizer: ChatTokenizer}> {
  const source = await findModel(options.model, progress, signal);
  let started = false;
  const checkpoint = await openCheckpoint(source, {
    signal,
    onProgress: ({loaded, total}) => {
      if (total === null) return;
      if (!started) progress.start('loading', total);
      started = true;
      progress.update(loaded);
    },
  });
  try {
    const tokenizer = await tokenizerOf(checkpoint);
    const spread = options.devices === undefined ? {} : {devices: options.devices};
    return {model: await loadLlama(checkpoint, {signal, ...spread}), tokenizer};
  } finally {
    await checkpoint.close();
    progress.stop();
  }
}

async function answer(model: Llama, tokenizer: ChatTokenizer, backend: string, options: ChatOptions, signal: AbortSignal): Promise<void> {
  const {prompt, raw, json, maxTokens, temperature, seed} = options;
  const promptIds = raw ? tokenizer.encode(prompt) : tokenizer.encodeChat([{role: 'user', content: prompt}]);
  const stream = new StreamingText((ids) => tokenizer.decode(ids, raw));
  let text = '';
  const show = (piece: string): void => {
    text += piece;
    if (!json) process.stdout.write(piece);
  };
  if (!json && raw) process.stdout.write(prompt);
  const result = await generate(model, promptIds, {
    maxTokens,
    temperature,
    random: randomFrom(seed),
    endIds: raw ? new Set() : tokenizer.endIds,
    signal,
    onToken: (id) => show(stream.push(id)),
  });
  show(stream.end());
  if (json) process.stdout.write(`${JSON.stringify(report(model, text, result, backend, options))}\n`);
  else process.stdout.write(`\n\n${closingLine(model.bytes, result, backend)}\n`);
}

function report(model: Llama, text: string, result: Generated, backend: string, options: ChatOptions): object {
  const {prefill, decode} = speeds(result);
  return {
    text,
    ids: result.ids,
    backend,
    threads: threadCount(),
    prefillTokensPerSecond: prefill,
    decodeTokensPerSecond: decode,
    ...model.bytes,
    ...(options.topLogits ? {topLogits: topLogits(result.promptLogits, 20)} : {}),
  };
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  // Our own errors say all there is to say; others are faults of this program and need their trace.
  process.stderr.write(`${error instanceof TfjsLinearError ? `${error.name}: ${error.message}` : (error as Error).stack}\n`);
  process.exitCode = 1;
}
