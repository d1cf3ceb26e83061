import {FileFormatError} from '../../src/errors.js';
import {parseJson, parseJsonUniqueKeys, readText} from '../../src/io/text.js';
import {bytesOf, noted, rejection} from './bytes_support.js';

describe('text files', () => {
  it('are read whole, whether or not their size is known', async () => {
    const text = 'ü'.repeat(400_000);
    for (const size of [800_000, null]) {
      const {source, reads} = noted(bytesOf(text), 'tokenizer.json', size);
      expect((await readText(source)) === text).toBeTrue();
      expect(reads.length).toBe(size === null ? 4 : 1);
    }
    expect(await readText(noted(new Uint8Array(0)).source)).toBe('');
  });

  it('lose a byte order mark, and must be UTF-8', async () => {
    expect(await readText(noted(bytesOf('\ufeff{}')).source)).toBe('{}');
    const error = await rejection(readText(noted(Uint8Array.of(0x7b, 0xc3, 0x28), 'config.json').source));
    expect(error).toBeInstanceOf(FileFormatError);
    expect(error.message).toMatch(/config\.json.*UTF-8/);
  });

  it('that are not JSON are refused by name', () => {
    expect(parseJson('{"a":1}', 'config.json')).toEqual({a: 1});
    expect(() => parseJson('<html>', 'config.json')).toThrowError(FileFormatError, /config\.json/);
  });
});

describe('parseJsonUniqueKeys', () => {
  it('accepts equal keys in different objects, and keys equal to values', () => {
    const text = '{"a":{"a":[{"a":"a"},{"a":"b,"}]},"b":"a","c":["a","a"],"\\"":"}","\\\\":"\\\\\\""}';
    expect(parseJsonUniqueKeys(text, 'x')).toEqual(JSON.parse(text));
  });

  it('refuses a key that one object has twice, at any depth', () => {
    for (const text of ['{"a":1,"a":1}', '{"x":[{"a":1,"b":{},"a":[]}]}', '{"a" : 1 , "\\u0061" : 2}', '{"":1,"":2}']) {
      expect(() => parseJsonUniqueKeys(text, 'x.json'))
        .withContext(text)
        .toThrowError(FileFormatError, /x\.json.*twice/);
    }
  });

  it('is fast on long headers', () => {
    const text = `{${Array.from({length: 100_000}, (_, i) => `"layer.${i}":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`).join(',')}}`;
    const start = performance.now();
    parseJsonUniqueKeys(text, 'x');
    // About 0.15 s; a scan that looks back would take minutes.
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});
