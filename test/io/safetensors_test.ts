import {FileFormatError} from '../../src/errors.js';
import {MAX_HEADER_BYTES, readSafetensorsHeader} from '../../src/io/safetensors.js';
import {bytesOf, concat, noted, ramp, rejection, safetensorsFile, u64} from './bytes_support.js';

const F32_2 = {dtype: 'F32', shape: [2], data_offsets: [0, 8]};

async function refused(bytes: Uint8Array, message: RegExp): Promise<void> {
  const error = await rejection(readSafetensorsHeader(noted(bytes, 'x.safetensors').source));
  expect(error).toBeInstanceOf(FileFormatError);
  expect(error.message).toMatch(message);
  expect(error.message).toContain('x.safetensors');
}

async function entry(header: string | object, data: Uint8Array, name = 'a') {
  const {tensors} = await readSafetensorsHeader(noted(safetensorsFile(header, data)).source);
  return tensors.get(name);
}

describe('safetensors header', () => {
  it('lists tensors with their places in the file', async () => {
    const header = {b: {dtype: 'I64', shape: [1, 1], data_offsets: [8, 16]}, __metadata__: {format: 'pt'}, a: F32_2};
    const file = safetensorsFile(header, ramp(16));
    const start = file.length - 16;
    const {tensors, metadata} = await readSafetensorsHeader(noted(file).source);
    expect([...tensors]).toEqual([
      ['b', {dtype: 'I64', shape: [1, 1], begin: start + 8, end: start + 16}],
      ['a', {dtype: 'F32', shape: [2], begin: start, end: start + 8}],
    ]);
    expect(metadata).toEqual({format: 'pt'});
  });

  it('accepts scalars, empty tensors, an empty file and spaces after the JSON', async () => {
    expect((await entry({a: {dtype: 'F32', shape: [], data_offsets: [0, 4]}}, ramp(4)))?.shape).toEqual([]);
    expect((await entry({a: {dtype: 'F32', shape: [0, 7], data_offsets: [0, 0]}}, ramp(0)))?.shape).toEqual([0, 7]);
    const {tensors} = await readSafetensorsHeader(noted(safetensorsFile('{}      ')).source);
    expect(tensors.size).toBe(0);
  });

  it('keeps a tensor named like a property of every object', async () => {
    const found = await entry('{"__proto__":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}', ramp(3), '__proto__');
    expect(found?.shape).toEqual([3]);
  });

  it('reads the first 256 KiB, then only the rest of a longer header', async () => {
    const tensors = Object.fromEntries(
      Array.from({length: 6000}, (_, i) => [`layer.${i}.weight`, {dtype: 'U8', shape: [1], data_offsets: [i, i + 1]}]),
    );
    const file = safetensorsFile(tensors, ramp(6000));
    const {source, reads} = noted(file);
    const header = await readSafetensorsHeader(source);
    expect(header.tensors.size).toBe(6000);
    expect(reads).toEqual([
      [0, 262144],
      [262144, file.length - 6000],
    ]);
  });

  it('needs no file size, but checks against it where there is one', async () => {
    const file = safetensorsFile({a: F32_2}, ramp(7));
    expect((await readSafetensorsHeader(noted(file, 'file', null).source)).tensors.size).toBe(1);
    await refused(file, /tensor 'a'.*within the file's/);
  });

  it('refuses a file without a whole header', async () => {
    await refused(ramp(7), /at least 8 bytes/);
    await refused(concat(u64(10), bytesOf('{}')), /header of 10 bytes/);
    await refused(concat(u64(MAX_HEADER_BYTES + 1), bytesOf('{}')), /at most 100000000 bytes.*100000001/);
    await refused(concat(u64(2n ** 63n), bytesOf('{}')), /9223372036854775808/);
  });

  it('refuses a header that is no JSON object of UTF-8', async () => {
    await refused(safetensorsFile(Uint8Array.of(0x7b, 0xff, 0x7d)), /UTF-8/);
    await refused(safetensorsFile(' {}'), /begins with '\{'/);
    await refused(safetensorsFile('\ufeff{}'), /begins with '\{'/);
    await refused(safetensorsFile('[]'), /begins with '\{'/);
    await refused(safetensorsFile('{"a":'), /JSON/);
    await refused(safetensorsFile('{}x'), /JSON/);
  });

  it('refuses a name that comes twice, however it is written', async () => {
    const a = JSON.stringify(F32_2);
    await refused(safetensorsFile(`{"a":${a},"a":${a}}`, ramp(8)), /'a' twice/);
    await refused(safetensorsFile(`{"a":${a},"\\u0061":${a}}`, ramp(8)), /'a' twice/);
    await refused(safetensorsFile('{"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}}', ramp(8)), /'shape' twice/);
    expect(
      await entry(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
        ramp(2),
        'b',
      ),
    ).toBeDefined();
  });

  it('refuses an entry that is not {dtype, shape, data_offsets}', async () => {
    await refused(safetensorsFile({a: 1}), /tensor 'a'.*Received: 1/);
    await refused(safetensorsFile({a: null}), /tensor 'a'/);
    await refused(safetensorsFile({a: {...F32_2, strides: [1]}}, ramp(8)), /tensor 'a'.*'strides'/);
    await refused(safetensorsFile({a: {dtype: 'F32', shape: [2]}}, ramp(8)), /tensor 'a'.*data_offsets/);
    await refused(safetensorsFile({a: {...F32_2, data_offsets: [0, 8, 8]}}, ramp(8)), /tensor 'a'.*\[0,8,8\]/);
    await refused(safetensorsFile({a: {...F32_2, shape: 2}}, ramp(8)), /tensor 'a'.*shape to be a list/);
    await refused(safetensorsFile({a: {...F32_2, dtype: 4}}, ramp(8)), /tensor 'a'.*dtype 4/);
  });

  it('refuses sizes that are not whole numbers from 0 to 2^53 - 1', async () => {
    for (const shape of ['[-2]', '[2.5]', '["2"]', '[null]', '[9007199254740992]', '[1e300]']) {
      await refused(
        safetensorsFile(`{"a":{"dtype":"F32","shape":${shape},"data_offsets":[0,8]}}`, ramp(8)),
        /tensor 'a'.*shape of whole numbers/,
      );
    }
    for (const offsets of ['[-8,0]', '[0,8.5]', '[0,9007199254740993]']) {
      await refused(
        safetensorsFile(`{"a":{"dtype":"F32","shape":[2],"data_offsets":${offsets}}}`, ramp(8)),
        /tensor 'a'.*data_offsets of whole numbers/,
      );
    }
  });

  it('refuses a size that disagrees with dtype and shape', async () => {
    await refused(safetensorsFile({a: {...F32_2, shape: [3]}}, ramp(8)), /tensor 'a'.*12 bytes for F32 of shape \[3\].*8 bytes/);
    await refused(safetensorsFile({a: {...F32_2, dtype: 'BF16'}}, ramp(8)), /tensor 'a'.*4 bytes for BF16/);
    await refused(safetensorsFile({a: {dtype: 'F32', shape: [2 ** 30, 2 ** 30], data_offsets: [0, 8]}}, ramp(8)), /tensor 'a'.*2\^53/);
    await refused(safetensorsFile({a: {dtype: 'F4', shape: [3], data_offsets: [0, 2]}}, ramp(2)), /tensor 'a'.*fill whole bytes/);
    expect(await entry({a: {dtype: 'F4', shape: [4], data_offsets: [0, 2]}}, ramp(2))).toBeDefined();
  });

  it('refuses more dimensions than PyTorch has', async () => {
    const ones = (rank: number) => ({a: {dtype: 'U8', shape: Array(rank).fill(1), data_offsets: [0, 1]}});
    expect((await entry(ones(64), ramp(1)))?.shape.length).toBe(64);
    await refused(safetensorsFile(ones(65), ramp(1)), /tensor 'a'.*at most 64 dimensions.*65/);
  });

  it('refuses overlaps, holes and bytes that belong to no tensor', async () => {
    const two = (begin: number) => ({a: F32_2, b: {dtype: 'U8', shape: [4], data_offsets: [begin, begin + 4]}});
    expect(await entry(two(8), ramp(12), 'b')).toBeDefined();
    await refused(safetensorsFile(two(7), ramp(11)), /tensor 'b'.*tensor 'a' ends.*overlaps/);
    await refused(safetensorsFile(two(9), ramp(13)), /tensor 'b'.*leaves a hole/);
    await refused(safetensorsFile({b: {dtype: 'U8', shape: [4], data_offsets: [1, 5]}}, ramp(5)), /tensor 'b'.*the header ends.*hole/);
    await refused(safetensorsFile(two(8), ramp(13)), /to end at byte/);
    await refused(safetensorsFile(two(8), ramp(11)), /tensor 'b'.*within the file's/);
  });

  it('refuses metadata that is not texts', async () => {
    await refused(safetensorsFile({__metadata__: {format: 1}}), /__metadata__.*1 under 'format'/);
    await refused(safetensorsFile({__metadata__: ['pt']}), /__metadata__/);
    const {metadata} = await readSafetensorsHeader(noted(safetensorsFile({__metadata__: {format: '1'}})).source);
    expect(metadata).toEqual({format: '1'});
  });
});
