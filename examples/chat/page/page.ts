/** The chat in a page: the same model, tokenizer and sampler as in the terminal. */
import {setWasmPaths} from '@tensorflow/tfjs-backend-wasm';
import {openCheckpoint, TfjsLinearError} from 'tfjs-linear';
import {startBackend, startThreadsOn} from '../backend.js';
import {StreamingText} from '../detokenizer.js';
import {generate} from '../generate.js';
import {repositoryUrl} from '../hub.js';
import {loadLlama} from '../load.js';
import type {Llama} from '../model.js';
import {closingLine} from '../report.js';
import {randomFrom} from '../sampler.js';
import {type ChatTokenizer, tokenizerOf} from '../tokenizer.js';

setWasmPaths('/tfjs-backend-wasm/');

const BACKENDS = ['wasm', 'webgpu', 'webgl', 'cpu'];

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const form = element<HTMLFormElement>('form');
const model = element<HTMLInputElement>('model');
const files = element<HTMLInputElement>('files');
const backend = element<HTMLSelectElement>('backend');
const prompt = element<HTMLTextAreaElement>('prompt');
const temperature = element<HTMLInputElement>('temperature');
const tokens = element<HTMLInputElement>('tokens');
const run = element<HTMLButtonElement>('run');
const stop = element<HTMLButtonElement>('stop');
const answer = element<HTMLOutputElement>('answer');
const progress = element<HTMLProgressElement>('progress');
const status = element<HTMLParagraphElement>('status');

/** A model in memory, and the choice it came from: another choice loads another. */
interface Loaded {
  readonly choice: string;
  readonly llama: Llama;
  readonly tokenizer: ChatTokenizer;
}

let loaded: Loaded | null = null;

async function load(signal: AbortSignal): Promise<Loaded> {
  const picked = Array.from(files.files ?? []);
  const choice = JSON.stringify([
    backend.value,
    model.value.trim(),
    picked.map(({name, size, lastModified}) => [name, size, lastModified]),
  ]);
  if (loaded?.choice === choice) return loaded;
  loaded?.llama.dispose();
  loaded = null;
  await startBackend(backend.value);
  await startThreadsOn([backend.value]);
  progress.hidden = false;
  const checkpoint = await openCheckpoint(picked.length > 0 ? picked : await modelUrl(), {
    signal,
    onProgress: (event) => {
      if (event.total === null) return;
      progress.max = event.total;
      progress.value = event.loaded;
      status.textContent = `loading: ${mebibytes(event.loaded)} of ${mebibytes(event.total)} MiB`;
    },
  });
  try {
    const tokenizer = await tokenizerOf(checkpoint);
    loaded = {choice, tokenizer, llama: await loadLlama(checkpoint, {signal})};
    return loaded;
  } finally {
    await checkpoint.close();
    progress.hidden = true;
  }
}

/** What the text field names; empty, the model that this server offers. */
async function modelUrl(): Promise<string> {
  const text = model.value.trim();
  if (text === '') return new URL(await (await fetch('/model-path')).text(), location.href).href;
  return repositoryUrl(text) ?? new URL(text, location.href).href;
}

async function respond(signal: AbortSignal): Promise<void> {
  status.className = '';
  status.textContent = 'loading';
  answer.textContent = '';
  const {llama, tokenizer} = await load(signal);
  status.textContent = 'answering';
  const stream = new StreamingText((ids) => tokenizer.decode(ids, false));
  const result = await generate(llama, tokenizer.encodeChat([{role: 'user', content: prompt.value}]), {
    maxTokens: tokens.valueAsNumber,
    temperature: temperature.valueAsNumber,
    random: randomFrom(Date.now()),
    endIds: tokenizer.endIds,
    signal,
    onToken: (id) => answer.append(stream.push(id)),
  });
  answer.append(stream.end());
  status.textContent = closingLine(llama.bytes, result, backend.value);
}

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

/** What to show of a failure. Our own errors say all there is to say. */
function describe(error: unknown): string {
  if (error instanceof TfjsLinearError) return error.message;
  return `Something went wrong in this page. ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`;
}

for (const name of BACKENDS) backend.add(new Option(name, name));
void labelWebgpu();

/** Says where webgpu is missing or runs on the CPU; a real GPU is the first choice. */
async function labelWebgpu(): Promise<void> {
  const option = backend.options[BACKENDS.indexOf('webgpu')] as HTMLOptionElement;
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (adapter === null || adapter === undefined) option.text = 'webgpu (not here)';
  else if (adapter.info.isFallbackAdapter) option.text = 'webgpu (in software)';
  else if (!chosen) backend.value = 'webgpu';
}

let chosen = false;
backend.addEventListener('change', () => {
  chosen = true;
});

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  chosen = true;
  const control = new AbortController();
  stop.onclick = () => control.abort();
  run.disabled = true;
  stop.disabled = false;
  try {
    await respond(control.signal);
  } catch (error) {
    status.className = control.signal.aborted ? '' : 'error';
    status.textContent = control.signal.aborted ? 'stopped' : describe(error);
  } finally {
    progress.hidden = true;
    run.disabled = false;
    stop.disabled = true;
  }
});
