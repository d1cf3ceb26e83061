import {FileFormatError, MissingError, openCheckpoint, UnsupportedError} from 'tfjs-linear';
import {ChatTokenizer, tokenizerOf} from '../../examples/chat/tokenizer.js';
import {ggufTokenizer} from '../../examples/chat/tokenizer_gguf.js';
import {needsShared, readShared} from '../support/files.js';
import {TinyLlama} from './tiny_llama.js';

/** Bytes as byte-level BPE writes them: 'a' for itself, 'Ġ' for a blank, 'Ċ' for a line break. */
const TOKENS = ['<|end|>', '<|im_start|>', '<|im_end|>', 'a', 'b', 'Ġ', 'ab', 'Ġab', '1', '2', '12', 'Ã', '©', 'Ċ', 'u', 's', 'e', 'r'];
const METADATA = {
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'smollm',
  'tokenizer.ggml.tokens': TOKENS,
  'tokenizer.ggml.token_type': TOKENS.map((_, id) => (id < 3 ? 3 : 1)),
  'tokenizer.ggml.merges': ['a b', 'Ġ ab', '1 2'],
  'tokenizer.ggml.bos_token_id': 1,
  'tokenizer.ggml.eos_token_id': 2,
  'tokenizer.ggml.eot_token_id': 0,
  'tokenizer.chat_template':
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'}}{% endfor %}" +
    "{% if add_generation_prompt %}{{ bos_token + 'a' + eos_token }}{% endif %}",
};

describe('tokenizer from GGUF metadata', () => {
  const tokenizer = new ChatTokenizer(ggufTokenizer(METADATA));

  it('merges bytes, cuts numbers into digits and knows control tokens', () => {
    expect(tokenizer.encode('ab ab')).toEqual([6, 7]);
    expect(tokenizer.encode('12')).toEqual([8, 9]);
    expect(tokenizer.encode('<|im_start|>ab<|im_end|>é')).toEqual([1, 6, 2, 11, 12]);
  });

  it('gives texts back, with and without special tokens', () => {
    const ids = tokenizer.encode('ab é\n<|im_end|>');
    expect(tokenizer.decode(ids, true)).toBe('ab é\n<|im_end|>');
    expect(tokenizer.decode(ids, false)).toBe('ab é\n');
    expect(tokenizer.decode([], true)).toBe('');
  });

  it('writes a conversation as the template says', () => {
    const ids = tokenizer.encodeChat([{role: 'user', content: 'ab'}]);
    expect(ids).toEqual([1, 14, 15, 16, 17, 13, 6, 2, 1, 3, 2]);
  });

  it('stops at every id that ends something', () => {
    expect([...tokenizer.endIds].sort()).toEqual([0, 2]);
  });

  it('puts the begin token before a plain text only where the file asks for it', () => {
    expect(tokenizer.encode('a')).toEqual([3]);
    const adding = new ChatTokenizer(ggufTokenizer({...METADATA, 'tokenizer.ggml.add_bos_token': true}));
    expect(adding.encode('a')).toEqual([1, 3]);
    expect(adding.encode('<|im_start|>a')).toEqual([1, 3]);
  });

  it('refuses a kind of tokenizer that it does not know', () => {
    expect(() => ggufTokenizer({...METADATA, 'tokenizer.ggml.model': 'llama'})).toThrowError(UnsupportedError, /model llama/);
    expect(() => ggufTokenizer({...METADATA, 'tokenizer.ggml.pre': 'other'})).toThrowError(UnsupportedError, /pre other/);
    expect(() => ggufTokenizer({...METADATA, 'tokenizer.ggml.merges': undefined})).toThrowError(UnsupportedError, /merges/);
  });

  it('refuses a conversation without a template', () => {
    const plain = new ChatTokenizer(ggufTokenizer({...METADATA, 'tokenizer.chat_template': undefined}));
    expect(() => plain.encodeChat([{role: 'user', content: 'ab'}])).toThrowError(MissingError, /--raw/);
  });

  it('gives the ids of the tokenizer.json that was made from the same vocabulary', async () => {
    await needsShared();
    const json = JSON.parse(new TextDecoder().decode(await readShared('models/smollm2-135m-gptq/tokenizer.json')));
    const vocabulary: string[] = [];
    for (const [token, id] of Object.entries(json.model.vocab as Record<string, number>)) vocabulary[id] = token;
    const special = new Set((json.added_tokens as {id: number}[]).map(({id}) => id));
    const gguf = new ChatTokenizer(
      ggufTokenizer({
        ...METADATA,
        'tokenizer.ggml.tokens': vocabulary,
        'tokenizer.ggml.token_type': vocabulary.map((_, id) => (special.has(id) ? 3 : 1)),
        'tokenizer.ggml.merges': (json.model.merges as [string, string][]).map((pair) => pair.join(' ')),
      }),
    );
    const files = new ChatTokenizer({tokenizer: json, config: {}, template: null, endIds: []});
    const texts = [
      'The capital of France is',
      "it's 12345.67 €\n\n\tdon't  go ",
      '日本語 😀 naïve',
      '<|im_start|>user\nHi<|im_end|>\n',
      'x'.repeat(100),
    ];
    for (const text of texts) {
      const ids = gguf.encode(text);
      expect(ids).withContext(text).toEqual(files.encode(text));
      expect(gguf.decode(ids, true)).toBe(text);
    }
  });
});

describe('tokenizer from files beside the weights', () => {
  const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
  const {tokenizer} = ggufTokenizer(METADATA);
  const open = async (files: Record<string, unknown>): Promise<ChatTokenizer> => {
    const beside = Object.fromEntries(Object.entries(files).map(([name, value]) => [name, bytes(value)]));
    const checkpoint = await openCheckpoint({...new TinyLlama().files({eos_token_id: 17}), ...beside});
    try {
      return await tokenizerOf(checkpoint);
    } finally {
      await checkpoint.close();
    }
  };

  it('takes end ids from all three configs', async () => {
    const config = {eos_token: {content: '<|im_end|>'}};
    const read = await open({
      'tokenizer.json': tokenizer,
      'tokenizer_config.json': config,
      'generation_config.json': {eos_token_id: [0, 5]},
    });
    expect([...read.endIds].sort((a, b) => a - b)).toEqual([0, 2, 5, 17]);
  });

  it('takes the template from its own file before the config, and the default one of several', async () => {
    const list = [
      {name: 'tools', template: 'b'},
      {name: 'default', template: 'ab'},
    ];
    const config = {chat_template: list};
    const messages = [{role: 'user' as const, content: ''}];
    expect((await open({'tokenizer.json': tokenizer, 'tokenizer_config.json': config})).encodeChat(messages)).toEqual([6]);
    const both = {'tokenizer.json': tokenizer, 'tokenizer_config.json': config, 'chat_template.jinja': 'a'};
    expect((await open(both)).encodeChat(messages)).toEqual([3]);
  });

  it('refuses weights without a tokenizer, and one that is no JSON', async () => {
    await expectAsync(open({})).toBeRejectedWithError(MissingError, /tokenizer\.json/);
    await expectAsync(open({'tokenizer.json': '{'})).toBeRejectedWithError(FileFormatError, /tokenizer\.json/);
  });
});
