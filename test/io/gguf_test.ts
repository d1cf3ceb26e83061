import {FileFormatError, type TfjsLinearError, UnsupportedError} from '../../src/errors.js';
import {readGgufHeader} from '../../src/io/gguf.js';
import {GGUF_TYPES} from '../../src/io/gguf_types.js';
import {concat, type GgufParts, ggufEntry, ggufFile, ggufListed, ggufText, noted, ramp, rejection, u32, u64} from './bytes_support.js';

const F32 = 0;
const Q4_0 = 2;
const Q8_1 = 9;

function read(parts: GgufParts) {
  return readGgufHeader(noted(ggufFile(parts), 'x.gguf').source);
}

async function refused(bytes: GgufParts | Uint8Array, message: RegExp, kind: typeof TfjsLinearError = FileFormatError): Promise<void> {
  const error = await rejection(readGgufHeader(noted(bytes instanceof Uint8Array ? bytes : ggufFile(bytes), 'x.gguf').source));
  expect(error).toBeInstanceOf(kind);
  expect(error.message).toMatch(message);
  expect(error.message).toContain('x.gguf');
}

describe('GGUF header', () => {
  it('lists tensors outermost dimension first, with their places in the file', async () => {
    const tensors = [
      ggufListed('a', [64, 3], Q4_0, 32),
      ggufListed('b', [5], F32, 0),
      ggufListed('c', [], F32, 160),
      ggufListed('d', [32, 0], Q4_0, 160),
    ];
    const file = ggufFile({tensors, data: ramp(164)});
    const start = file.length - 164;
    const {version, tensors: found} = await readGgufHeader(noted(file).source);
    expect(version).toBe(3);
    expect([...found.values()]).toEqual([
      {name: 'a', type: 'Q4_0', shape: [3, 64], begin: start + 32, end: start + 32 + 108},
      {name: 'b', type: 'F32', shape: [5], begin: start, end: start + 20},
      {name: 'c', type: 'F32', shape: [], begin: start + 160, end: start + 164},
      {name: 'd', type: 'Q4_0', shape: [0, 32], begin: start + 160, end: start + 160},
    ]);
  });

  it('knows the size of every type', async () => {
    for (const {id, name, blockElements, blockBytes} of GGUF_TYPES) {
      const length = 6 * blockBytes;
      const tensors = [ggufListed('a', [2 * blockElements, 3], id, 0)];
      const {tensors: found} = await read({tensors, data: ramp(length)});
      const a = found.get('a')!;
      expect([a.type, a.end - a.begin]).toEqual([name, length]);
      await refused({tensors, data: ramp(length - 1)}, /tensor 'a'.*within the file's/);
    }
    expect(GGUF_TYPES.length).toBe(35);
  });

  it('reads versions 2 and 3, little-endian', async () => {
    expect((await read({version: 2})).version).toBe(2);
    await refused({version: 1}, /version 1.*August 2023/, UnsupportedError);
    await refused({version: 4}, /version 4/, UnsupportedError);
    await refused({version: 0}, /version 0/, UnsupportedError);
    await refused({version: 0x03000000}, /big-endian file of version 3/, UnsupportedError);
    await refused(concat(Uint8Array.of(0x47, 0x47, 0x4d, 0x4c), ggufFile({}).slice(4)), /'GGUF'.*GGML/);
  });

  it('refuses a file that ends inside its header, at any byte', async () => {
    const file = ggufFile({
      metadata: [ggufEntry('k', 8, ggufText('value')), ggufEntry('n', 9, concat(u32(4), u64(2), u32(1), u32(2)))],
      tensors: [ggufListed('a', [2], F32, 0)],
      alignment: 1,
    });
    const headerLength = file.length;
    for (let length = 0; length < headerLength; length++) await refused(file.slice(0, length), /a file of at least \d+ bytes.*incomplete/);
    await refused(file, /tensor 'a'.*within the file's/);
  });

  it('is read in windows that double after the second, and no further', async () => {
    const words = Array.from({length: 100_000}, (_, i) => ggufText(`vocabulary${i}`));
    const metadata = [ggufEntry('tokenizer.ggml.tokens', 9, concat(u32(8), u64(words.length), ...words))];
    const file = ggufFile({metadata, tensors: [ggufListed('a', [2 ** 20], F32, 0)], data: new Uint8Array(2 ** 22)});
    const {source, reads} = noted(file);
    const header = await readGgufHeader(source);
    const tokens = header.metadata['tokenizer.ggml.tokens'] as string[];
    expect([tokens.length, tokens[0], tokens[99_999]]).toEqual([100_000, 'vocabulary0', 'vocabulary99999']);
    expect(reads).toEqual([
      [0, 2 ** 18],
      [2 ** 18, 2 ** 21],
      [2 ** 21, 2 ** 22],
    ]);
  });

  it('refuses a removed type by name and an unknown one by number', async () => {
    await refused({tensors: [ggufListed('a', [32], 31, 0)], data: ramp(18)}, /tensor 'a'.*Q4_0_4_4.*Q4_0\./, UnsupportedError);
    await refused({tensors: [ggufListed('a', [32], 36, 0)], data: ramp(18)}, /tensor 'a'.*IQ4_NL_4_4.*IQ4_NL\./, UnsupportedError);
    await refused({tensors: [ggufListed('a', [32], 43, 0)], data: ramp(18)}, /tensor 'a'.*type 43/);
    expect((await read({tensors: [ggufListed('a', [32], Q8_1, 0)], data: ramp(36)})).tensors.get('a')?.type).toBe('Q8_1');
  });

  it('refuses counts, lengths and dimensions beyond its limits before it asks for a byte more', async () => {
    const counts: [GgufParts, RegExp][] = [
      [{tensorCount: 2 ** 17 + 1}, /number of tensors of at most 131072.*131073/],
      [{tensorCount: 2n ** 63n}, /9223372036854775808/],
      [{metadataCount: 2 ** 14 + 1}, /metadata keys of at most 16384.*16385/],
      [{tensors: [concat(u64(1025), ramp(1025))]}, /length of a name of at most 1024.*1025/],
      [{tensors: [ggufListed('a', [1, 1, 1, 1, 1], F32, 0)]}, /tensor 'a'.*at most 4 dimensions.*5/],
      [{tensors: [ggufListed('a', [2n ** 53n], F32, 0)]}, /tensor 'a'.*dimension/],
      [{tensors: [ggufListed('a', [2 ** 30, 2 ** 30], F32, 0)]}, /tensor 'a'.*fewer than 2\^53 bytes/],
      [{tensors: [ggufListed('a', [1], F32, 2n ** 53n)]}, /tensor 'a'.*offset/],
      [{tensors: [ggufListed('a', [1], F32, 2 ** 53 - 32)]}, /tensor 'a'.*below 2\^53/],
    ];
    for (const [parts, message] of counts) {
      const {source, reads} = noted(ggufFile(parts), 'x.gguf');
      const error = await rejection(readGgufHeader(source));
      expect(error).toBeInstanceOf(FileFormatError);
      expect(error.message).toMatch(message);
      expect(reads.length).toBe(1);
    }
    expect((await read({tensors: [ggufListed('a', [1, 1, 1, 1], F32, 0)], data: ramp(4)})).tensors.get('a')?.shape).toEqual([1, 1, 1, 1]);
  });

  it('refuses tensors that share bytes, leave the file or come twice', async () => {
    const two = (offset: number, name = 'b') => [ggufListed('a', [9], F32, 0), ggufListed(name, [1], F32, offset)];
    expect((await read({tensors: two(64), data: ramp(68)})).tensors.size).toBe(2);
    await refused({tensors: two(32), data: ramp(68)}, /tensor 'b'.*tensor 'a' ends/);
    await refused({tensors: two(64, 'a'), data: ramp(68)}, /tensor 'a'.*two tensors/);
    await refused({tensors: two(64), data: ramp(67)}, /tensor 'b'.*within the file's/);
    await refused({tensors: two(60), data: ramp(68)}, /tensor 'b'.*multiple of the alignment, 32.*60/);
    const noSize = noted(ggufFile({tensors: two(64), data: ramp(67)}), 'file', null).source;
    expect((await readGgufHeader(noSize)).tensors.size).toBe(2);
  });

  it('refuses names that are not UTF-8', async () => {
    const bad = Uint8Array.of(0x61, 0xff);
    const entry = concat(ggufText(bad), u32(1), u64(1), u32(F32), u64(0));
    await refused({tensors: [entry], data: ramp(4)}, /a name in UTF-8/);
    await refused({metadata: [concat(ggufText(bad), u32(0), Uint8Array.of(1))]}, /a key in UTF-8/);
    const {metadata} = await read({metadata: [ggufEntry('k', 8, ggufText(bad))]});
    expect<unknown>(metadata).toEqual({k: 'a\ufffd'});
  });
});
