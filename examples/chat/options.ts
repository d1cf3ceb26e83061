/** The demo's command line. */
import {parseArgs} from 'node:util';
import {ArgumentError, didYouMean} from 'tfjs-linear';

export interface ChatOptions {
  readonly model: string | undefined;
  readonly backend: string | undefined;
  /** Several devices that every matrix is spread over; undefined: one backend. */
  readonly devices: readonly string[] | undefined;
  /** Threads of tf.js's wasm backend; undefined: as many as pay. */
  readonly threads: number | undefined;
  readonly prompt: string;
  readonly raw: boolean;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly json: boolean;
  readonly topLogits: boolean;
  readonly help: boolean;
}

export const USAGE = `npm run demo -- [options]
  --model M         a folder, a .gguf or .safetensors file, a URL, or a Hugging Face repository (owner/name, or owner/name/file.gguf);
                    default SmolLM2-135M-Instruct, fetched once into a cache folder (TFJS_LINEAR_CACHE, or ~/.cache/tfjs-linear)
  --backend B       a tf.js backend: wasm (default, where it loads), cpu, ...
  --devices A,B     spread every matrix over these: wasm,cpu  webgpu:0,webgpu:1  wasm,webgpu  wasm,worker:0 ...
                    the first (or --backend, one of them) has what is not a matrix
  --threads N       threads on wasm; default: one a core, at most 4; with --devices 1
  --prompt P        default: What is the capital of France?
  --raw             continue the prompt as it is: no chat template, no stop at the end of a text
  --max-tokens N    default 256
  --temperature T   default 0: always the likeliest token
  --seed S          for temperatures above 0; default 1
  --json            one JSON document on stdout, nothing else there
  --top-logits      with --json: the 20 largest logits after the prompt as well
`;

const FLAGS = {
  model: {type: 'string'},
  backend: {type: 'string'},
  devices: {type: 'string'},
  threads: {type: 'string'},
  prompt: {type: 'string'},
  raw: {type: 'boolean'},
  'max-tokens': {type: 'string'},
  temperature: {type: 'string'},
  seed: {type: 'string'},
  json: {type: 'boolean'},
  'top-logits': {type: 'boolean'},
  help: {type: 'boolean'},
} as const;

type Flag = keyof typeof FLAGS;

/** Throws ArgumentError for an option that is unknown, misses its value or is out of range. */
export function parseOptions(args: readonly string[]): ChatOptions {
  const texts = new Map<Flag, string>();
  const switches = new Set<Flag>();
  // Not strict: parseArgs' own errors know no near names.
  for (const token of parseArgs({args: [...args], options: FLAGS, strict: false, tokens: true}).tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') {
      throw new ArgumentError({
        where: 'demo',
        expected: 'options only',
        received: `'${token.value}'`,
        remedy: 'Put quotes around a prompt with blanks.',
      });
    }
    const flag = FLAGS[token.name as Flag];
    if (flag === undefined || !token.rawName.startsWith('--')) {
      throw new ArgumentError({
        where: 'demo',
        expected: 'a known option',
        received: `'${token.rawName}'.${didYouMean(
          `--${token.name}`,
          Object.keys(FLAGS).map((name) => `--${name}`),
        )}`,
      });
    }
    if (flag.type === 'boolean' && token.value === undefined) switches.add(token.name as Flag);
    else if (flag.type === 'string' && token.value !== undefined) texts.set(token.name as Flag, token.value);
    else {
      const expected = flag.type === 'string' ? 'a value' : 'no value';
      throw new ArgumentError({where: `--${token.name}`, expected, received: token.value ?? 'none'});
    }
  }
  return {
    model: texts.get('model'),
    ...placesOf(texts.get('backend'), texts.get('devices')),
    threads: texts.has('threads') ? number(texts, 'threads', 1, {least: 1, whole: true}) : undefined,
    prompt: texts.get('prompt') ?? 'What is the capital of France?',
    raw: switches.has('raw'),
    maxTokens: number(texts, 'max-tokens', 256, {least: 1, whole: true}),
    temperature: number(texts, 'temperature', 0, {least: 0, whole: false}),
    seed: number(texts, 'seed', 1, {least: 0, whole: true}),
    json: switches.has('json'),
    topLogits: switches.has('top-logits'),
    help: switches.has('help'),
  };
}

function placesOf(backend: string | undefined, devices: string | undefined): Pick<ChatOptions, 'backend' | 'devices'> {
  if (devices === undefined) return {backend, devices: undefined};
  const names = devices.split(',').map((name) => name.trim());
  if (names.includes(''))
    throw new ArgumentError({where: '--devices', expected: 'names with commas between them', received: `'${devices}'`});
  if (backend !== undefined && !names.includes(backend)) {
    throw new ArgumentError({where: '--devices', expected: `a list with the backend of --backend, ${backend}`, received: devices});
  }
  return {backend: backend ?? names[0], devices: names.length > 1 ? names : undefined};
}

function number(texts: ReadonlyMap<Flag, string>, flag: Flag, fallback: number, {least, whole}: {least: number; whole: boolean}): number {
  const text = texts.get(flag);
  if (text === undefined) return fallback;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isFinite(value) && value >= least && (!whole || Number.isSafeInteger(value))) return value;
  throw new ArgumentError({where: `--${flag}`, expected: `a ${whole ? 'whole ' : ''}number of at least ${least}`, received: `'${text}'`});
}
