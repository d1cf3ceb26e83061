/** The chat page in Chromium: with a model of a few numbers in every checkout, and with a real one where ../shared is beside it. */
import {execFile} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {promisify} from 'node:util';
import {ChatTokenizer} from '../../examples/chat/tokenizer.js';
import {ggufTokenizer} from '../../examples/chat/tokenizer_gguf.js';
import {needsShared, sharedSource} from '../support/files.js';
import {TINY, TinyLlama} from './tiny_llama.js';

interface Run {
  backend?: string;
  prompt?: string;
  tokens?: number;
  width?: number;
  file?: string;
  model?: string;
  noGpu?: boolean;
}

interface Shown {
  answer: string;
  status: string;
  isError: boolean;
  /** The page is wider than its window. */
  sideways: boolean;
  faults: string[];
}

async function ask(model: string, runs: readonly Run[]): Promise<Shown[]> {
  const {stdout} = await promisify(execFile)(process.execPath, [path.resolve('test/chat/page_check.mjs'), model, JSON.stringify(runs)]);
  return JSON.parse(stdout) as Shown[];
}

/** As many tokens as the tiny model has; the last two end a text. */
const TOKENS = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV', '<|end|>', '<|bye|>'];

const TEXTS = ggufTokenizer({
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'smollm',
  'tokenizer.ggml.tokens': TOKENS,
  'tokenizer.ggml.token_type': TOKENS.map((token) => (token.startsWith('<|') ? 3 : 1)),
  'tokenizer.ggml.merges': [],
  'tokenizer.ggml.eos_token_id': 49,
  'tokenizer.chat_template': "{% for message in messages %}{{ message['content'] + 'Q' }}{% endfor %}",
});

/** What the tiny model says, by its plain loops. */
function expected(tiny: TinyLlama, prompt: string, tokens: number): string {
  const tokenizer = new ChatTokenizer(TEXTS);
  const ids = tokenizer.encodeChat([{role: 'user', content: prompt}]);
  const length = ids.length;
  while (ids.length < length + tokens) {
    const logits = tiny.logits(ids).at(-1) as number[];
    const id = logits.indexOf(Math.max(...logits));
    if (tokenizer.endIds.has(id)) break;
    ids.push(id);
  }
  return tokenizer.decode(ids.slice(length), false);
}

describe('chat page', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'page-'));
  afterAll(() => rmSync(folder, {recursive: true}));

  const write = (name: string, content: Uint8Array | string | object): string => {
    const file = path.join(folder, name);
    writeFileSync(file, typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content));
    return file;
  };

  it('answers on every backend, and says what went wrong', async () => {
    const tiny = new TinyLlama(TINY);
    expect(TOKENS.length).toBe(TINY.vocabulary);
    for (const [name, content] of Object.entries(tiny.files({eos_token_id: 49}))) write(name, content);
    write('tokenizer.json', TEXTS.tokenizer);
    write('tokenizer_config.json', {eos_token: '<|bye|>', chat_template: TEXTS.template});
    const [prompt, tokens] = ['capital', 8];
    const answers: Run[] = ['webgpu', 'webgl', 'wasm', 'cpu'].map((backend) => ({backend, prompt, tokens, width: 390}));
    const failures: Run[] = [
      {backend: 'webgpu', noGpu: true, width: 390},
      {file: write('bad.gguf', 'GGUX, and more that is no model at all')},
      {model: '/nothing/here/'},
    ];
    const shown = await ask(folder, [...answers, ...failures]);
    const text = expected(tiny, prompt, tokens);
    expect(text.length).toBeGreaterThan(3);
    answers.forEach(({backend}, i) => {
      expect(shown[i]).toEqual(jasmine.objectContaining({answer: text, isError: false, sideways: false, faults: []}));
      expect(shown[i]?.status).toMatch(new RegExp(`^weights .*; backend ${backend}(, \\d+ threads)?$`));
    });
    const told = shown.slice(answers.length);
    for (const {answer, isError, sideways, faults} of told)
      expect({answer, isError, sideways, faults}).toEqual({answer: '', isError: true, sideways: false, faults: []});
    expect(told[0]?.status).toMatch(/^backend 'webgpu': expected WebGPU\. Received: no navigator\.gpu\..*Choose backend 'wasm'/);
    expect(told[1]?.status).toMatch(/^bad\.gguf: .*This is not a GGUF file/);
    expect(told[2]?.status).toMatch(/nothing\/here\/: expected model\.safetensors.*Received: neither/);
  });

  it('answers a question with a real model, on webgpu and on wasm', async () => {
    await needsShared();
    const model = await sharedSource('models/smollm2-135m-gptq');
    const shown = await ask(model, [{backend: 'webgpu'}, {backend: 'wasm'}]);
    ['webgpu', 'wasm'].forEach((backend, i) => {
      expect(shown[i]).toEqual(jasmine.objectContaining({answer: 'The capital of France is Paris.', isError: false, faults: []}));
      expect(shown[i]?.status).toMatch(new RegExp(`^weights 108 MiB resident .*\\(end of text\\); backend ${backend}(, \\d+ threads)?$`));
    });
  }, 300_000);
});
