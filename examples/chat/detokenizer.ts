/** Text of tokens as they come, without ever showing half a character. */

const REPLACEMENT = '\ufffd';

/**
 * A token may end in the middle of a UTF-8 character, and what a token reads as may depend on the one before (a leading blank). So
 * the text of a new token is the difference between decoding the tokens since the last whole character with it and without it.
 */
export class StreamingText {
  private ids: number[] = [];
  /** ids before this have been shown. */
  private shown = 0;
  /** Decoding begins here: a little before what has been shown. */
  private begin = 0;

  constructor(private readonly decode: (ids: readonly number[]) => string) {}

  /** The text that token `id` completes; '' while a character is incomplete. */
  push(id: number): string {
    this.ids.push(id);
    const added = this.added();
    // A text that itself holds U+FFFD is only held back until the next token.
    if (added === '' || added.endsWith(REPLACEMENT)) return '';
    return this.show(added);
  }

  /** What is left: an incomplete character as U+FFFD. */
  end(): string {
    return this.show(this.added());
  }

  private added(): string {
    const before = this.decode(this.ids.slice(this.begin, this.shown));
    return this.decode(this.ids.slice(this.begin)).slice(before.length);
  }

  private show(text: string): string {
    this.begin = this.shown;
    this.shown = this.ids.length;
    return text;
  }
}
