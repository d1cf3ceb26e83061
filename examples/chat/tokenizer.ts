/** Text to token ids and back, and the chat template, as the model's files say. */
import {Template} from '@huggingface/jinja';
import {Tokenizer} from '@huggingface/tokenizers';
import {type Checkpoint, FileFormatError, MissingError} from 'tfjs-linear';
import {ggufTokenizer} from './tokenizer_gguf.js';

/** What the files say about texts, whichever files those are. */
export interface TextFiles {
  /** As tokenizer.json. */
  readonly tokenizer: Record<string, unknown>;
  /** As tokenizer_config.json; `add_bos_token` is acted on where the tokenizer has no post-processor of its own. */
  readonly config: Record<string, unknown>;
  readonly template: string | null;
  /** Ids that end a text. */
  readonly endIds: readonly number[];
}

export interface Message {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export class ChatTokenizer {
  readonly endIds: ReadonlySet<number>;
  private readonly tokenizer: Tokenizer;
  private readonly template: string | null;
  private readonly specials: Record<string, string>;
  private readonly bosId: number | null;

  constructor({tokenizer, config, template, endIds}: TextFiles) {
    this.tokenizer = new Tokenizer(tokenizer, config);
    this.template = template;
    this.specials = Object.fromEntries(
      ['bos_token', 'eos_token', 'unk_token', 'pad_token'].flatMap((key) => {
        const text = tokenText(config[key]);
        return text === null ? [] : [[key, text]];
      }),
    );
    const eos = this.specials.eos_token === undefined ? undefined : this.tokenizer.token_to_id(this.specials.eos_token);
    this.endIds = new Set(eos === undefined ? endIds : [...endIds, eos]);
    const bos = this.specials.bos_token === undefined ? undefined : this.tokenizer.token_to_id(this.specials.bos_token);
    this.bosId = config.add_bos_token === true && bos !== undefined ? bos : null;
  }

  /** Ids of a plain text, with the begin token where the model wants one. */
  encode(text: string): number[] {
    const {ids} = this.tokenizer.encode(text);
    return this.bosId !== null && ids[0] !== this.bosId ? [this.bosId, ...ids] : ids;
  }

  /** Ids of a conversation up to where the assistant speaks. Throws MissingError where the model has no chat template. */
  encodeChat(messages: readonly Message[]): number[] {
    if (this.template === null) {
      throw new MissingError({
        where: 'chat',
        expected: 'a chat template (chat_template.jinja, tokenizer_config.json, or tokenizer.chat_template in GGUF)',
        received: 'none',
        remedy: 'Use --raw to continue a text without one.',
      });
    }
    const text = new Template(this.template).render({messages, add_generation_prompt: true, ...this.specials});
    // The template has written the special tokens itself.
    return this.tokenizer.encode(text, {add_special_tokens: false}).ids;
  }

  /** @param specials whether special tokens are part of the text */
  decode(ids: readonly number[], specials: boolean): string {
    if (ids.length === 0) return '';
    return this.tokenizer.decode([...ids], {skip_special_tokens: !specials, clean_up_tokenization_spaces: false});
  }
}

/** Reads the tokenizer that belongs to a checkpoint. Throws MissingError where there is none, FileFormatError where a file is not JSON. */
export async function tokenizerOf(checkpoint: Checkpoint): Promise<ChatTokenizer> {
  return new ChatTokenizer(checkpoint.container === 'gguf' ? ggufTokenizer(checkpoint.config ?? {}) : await tokenizerFiles(checkpoint));
}

async function tokenizerFiles(checkpoint: Checkpoint): Promise<TextFiles> {
  const [tokenizer, config, generation, jinja] = await Promise.all([
    jsonFile(checkpoint, 'tokenizer.json'),
    jsonFile(checkpoint, 'tokenizer_config.json'),
    jsonFile(checkpoint, 'generation_config.json'),
    checkpoint.text('chat_template.jinja'),
  ]);
  if (tokenizer === null) {
    throw new MissingError({where: 'checkpoint', expected: 'a tokenizer.json beside the weights', received: 'none'});
  }
  return {
    tokenizer,
    // The post-processor of tokenizer.json says what is added; tokenizer_config.json's add_bos_token repeats it, or is ignored by it.
    config: {...config, add_bos_token: undefined},
    template: jinja ?? templateIn(config),
    endIds: [...idsOf(generation?.eos_token_id), ...idsOf(checkpoint.config?.eos_token_id)],
  };
}

async function jsonFile(checkpoint: Checkpoint, name: string): Promise<Record<string, unknown> | null> {
  const text = await checkpoint.text(name);
  if (text === null) return null;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new FileFormatError({where: name, expected: 'JSON', received: (cause as Error).message}, {cause});
  }
}

/** A template, or the one named 'default' in a list of several. */
function templateIn(config: Record<string, unknown> | null): string | null {
  const template = config?.chat_template;
  if (typeof template === 'string') return template;
  if (!Array.isArray(template)) return null;
  const named = template as {name: string; template: string}[];
  return (named.find(({name}) => name === 'default') ?? named[0])?.template ?? null;
}

/** '<s>', or {content: '<s>', ...}. */
function tokenText(token: unknown): string | null {
  if (typeof token === 'string') return token;
  const content = (token as {content?: unknown} | null | undefined)?.content;
  return typeof content === 'string' ? content : null;
}

function idsOf(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  return Array.isArray(value) ? value.filter((id) => typeof id === 'number') : [];
}
