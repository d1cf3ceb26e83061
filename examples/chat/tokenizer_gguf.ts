/** A tokenizer from GGUF metadata, as the files of a Hugging Face tokenizer say the same. */
import {UnsupportedError} from 'tfjs-linear';
import type {TextFiles} from './tokenizer.js';

/** Kinds of token, from the GGUF specification. */
const CONTROL = 3;
const USER_DEFINED = 4;

/** Keys of ids that end a text: of a text, of a turn, of a message. */
const END_KEYS = ['tokenizer.ggml.eos_token_id', 'tokenizer.ggml.eot_token_id', 'tokenizer.ggml.eom_token_id'];

const BYTE_LEVEL = {type: 'ByteLevel', add_prefix_space: false, trim_offsets: true};
const LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** How a text is cut before merging, by the file's `tokenizer.ggml.pre`. `whole`: a piece that is a token needs no merging. */
const CUTS: Readonly<Record<string, {pretokenizers: readonly object[]; whole?: boolean}>> = {
  smollm: {
    pretokenizers: [
      {type: 'Digits', individual_digits: true},
      {...BYTE_LEVEL, use_regex: true},
    ],
  },
  'gpt-2': {pretokenizers: [{...BYTE_LEVEL, use_regex: true}]},
  'llama-bpe': {
    pretokenizers: [
      {type: 'Split', pattern: {Regex: LLAMA3}, behavior: 'Isolated', invert: false},
      {...BYTE_LEVEL, use_regex: false},
    ],
    whole: true,
  },
};

/** Throws UnsupportedError for a kind of tokenizer, or a way of cutting texts, that is not known. */
export function ggufTokenizer(metadata: Readonly<Record<string, unknown>>): TextFiles {
  const model = metadata['tokenizer.ggml.model'];
  const pre = metadata['tokenizer.ggml.pre'];
  const cuts = CUTS[String(pre)];
  if (model !== 'gpt2' || cuts === undefined) {
    throw new UnsupportedError({
      where: 'GGUF metadata: tokenizer.ggml',
      expected: `model gpt2 (byte-level BPE) with pre ${Object.keys(CUTS).join(', ')}`,
      received: `model ${String(model)}, pre ${String(pre)}`,
      remedy: "Use the model's safetensors files, which bring a tokenizer.json.",
    });
  }
  const tokens = list(metadata, 'tokenizer.ggml.tokens') as string[];
  const types = list(metadata, 'tokenizer.ggml.token_type') as number[];
  const added = tokens.flatMap((content, id) => {
    const type = types[id];
    if (type !== CONTROL && type !== USER_DEFINED) return [];
    return [{id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: type === CONTROL}];
  });
  const tokenizer = {
    version: '1.0',
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: {type: 'Sequence', pretokenizers: cuts.pretokenizers},
    post_processor: null,
    decoder: {...BYTE_LEVEL, add_prefix_space: true, use_regex: true},
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: list(metadata, 'tokenizer.ggml.merges'),
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: cuts.whole === true,
    },
  };
  const token = (key: string): string | undefined => tokens[Number(metadata[key] ?? -1)];
  const template = metadata['tokenizer.chat_template'];
  return {
    tokenizer,
    config: {
      bos_token: token('tokenizer.ggml.bos_token_id'),
      eos_token: token('tokenizer.ggml.eos_token_id'),
      add_bos_token: metadata['tokenizer.ggml.add_bos_token'] === true,
    },
    template: typeof template === 'string' ? template : null,
    endIds: END_KEYS.flatMap((key) => (typeof metadata[key] === 'number' ? [metadata[key]] : [])),
  };
}

function list(metadata: Readonly<Record<string, unknown>>, key: string): unknown[] {
  const value = metadata[key];
  if (Array.isArray(value)) return value;
  throw new UnsupportedError({where: `GGUF metadata: ${key}`, expected: 'a list', received: String(value)});
}
