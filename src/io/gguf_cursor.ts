/** Reads numbers and texts one after another from the first bytes of a GGUF file, little-endian. */
import {FileFormatError} from '../errors.js';

/** The bytes at hand end before the value does. */
export class NeedMoreBytes extends Error {
  constructor(
    /** Position in the file up to which bytes are needed at least. */
    readonly end: number,
    /** What was being read. */
    readonly reading: string,
  ) {
    super(`bytes up to ${end} are needed for ${reading}`);
  }
}

export class GgufCursor {
  position = 0;
  /** What is being read, for messages. */
  reading = 'the first 24 bytes';
  private readonly view: DataView;
  private readonly strict = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true});
  private readonly lenient = new TextDecoder('utf-8', {ignoreBOM: true});

  constructor(
    private readonly bytes: Uint8Array,
    readonly file: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Moves past `length` bytes and returns where they begin. */
  take(length: number): number {
    const start = this.position;
    if (start + length > this.bytes.length) throw new NeedMoreBytes(start + length, this.reading);
    this.position = start + length;
    return start;
  }

  u8(): number {
    return this.view.getUint8(this.take(1));
  }

  i8(): number {
    return this.view.getInt8(this.take(1));
  }

  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }

  i16(): number {
    return this.view.getInt16(this.take(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  i32(): number {
    return this.view.getInt32(this.take(4), true);
  }

  f32(): number {
    return this.view.getFloat32(this.take(4), true);
  }

  f64(): number {
    return this.view.getFloat64(this.take(8), true);
  }

  /** A number up to 2^53 - 1, a bigint beyond: no value loses bits. */
  u64(): number | bigint {
    const at = this.take(8);
    // Some hundred thousand lengths are read here: a bigint for each would take longer than all else in a header.
    const low = this.view.getUint32(at, true);
    const high = this.view.getUint32(at + 4, true);
    return high < 2 ** 21 ? high * 2 ** 32 + low : this.view.getBigUint64(at, true);
  }

  i64(): number | bigint {
    return exact(this.view.getBigInt64(this.take(8), true));
  }

  /** A count or length of at most `limit`. Throws `FileFormatError` beyond. */
  count(what: string, limit: number, reason: string): number {
    const value = this.u64();
    if (typeof value === 'number' && value <= limit) return value;
    throw this.error(`${what} of at most ${limit}`, `${value}`, reason);
  }

  /** A text whose bytes are preceded by their number. `names` must be valid UTF-8; in other texts bytes that are not become U+FFFD. */
  text(what: string, limit: number, reason: string, isName: boolean): string {
    const length = this.count(`a length of ${what}`, limit, reason);
    const start = this.take(length);
    const bytes = this.bytes.subarray(start, start + length);
    if (!isName) return this.lenientText(start, length);
    try {
      return this.strict.decode(bytes);
    } catch {
      throw this.error(`${what} in UTF-8`, 'bytes that are not UTF-8');
    }
  }

  /** Moves past a text. */
  skipText(what: string, limit: number, reason: string): void {
    this.take(this.count(`a length of ${what}`, limit, reason));
  }

  /** The texts whose first length is at `start`, all of which have been skipped before. */
  textsAt(start: number, count: number): string[] {
    const texts: string[] = new Array(count);
    for (let i = 0, at = start; i < count; i++) {
      const length = this.view.getUint32(at, true);
      texts[i] = this.lenientText(at + 8, length);
      at += 8 + length;
    }
    return texts;
  }

  private lenientText(start: number, length: number): string {
    if (length > 32) return this.lenient.decode(this.bytes.subarray(start, start + length));
    // Most tokens are a few letters, for which a decoder takes longer to start than to run.
    let text = '';
    for (let i = start; i < start + length; i++) {
      const byte = this.bytes[i] as number;
      if (byte >= 0x80) return this.lenient.decode(this.bytes.subarray(start, start + length));
      text += String.fromCharCode(byte);
    }
    return text;
  }

  error(expected: string, received: string, why?: string): FileFormatError {
    return new FileFormatError({where: `${this.file}: ${this.reading}`, expected, received, ...(why === undefined ? {} : {why})});
  }
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
