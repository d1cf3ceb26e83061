// https://github.com/tensorflow/tfjs/issues/7598: the loader joined all weight files into one buffer before it made the first tensor.
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import type {ByteSource, FileSet} from '../../src/io/source.js';
import {openTensorFiles, openTensorFilesOf, type TensorFiles} from '../../src/io/tensor_files.js';
import {bytesOf, concat, u64} from '../io/bytes_support.js';

const PART = 64 * 2 ** 20;
const TENSORS = 8;
const PARTS = ['m-1.safetensors', 'm-2.safetensors', 'm-3.safetensors'];

/** The header of a part of eight tensors of 8 MiB; their bytes are made when asked for. */
function headerOf(part: number): Uint8Array {
  const length = PART / TENSORS;
  const entries = Array.from({length: TENSORS}, (_, i) => [
    `t${part * TENSORS + i}`,
    {dtype: 'U8', shape: [length], data_offsets: [i * length, (i + 1) * length]},
  ]);
  const json = bytesOf(JSON.stringify(Object.fromEntries(entries)));
  return concat(u64(json.length), json);
}

function synthetic(): FileSet {
  const open = async (name: string): Promise<ByteSource> => {
    const header = headerOf(PARTS.indexOf(name));
    return {
      name,
      size: header.length + PART,
      async read(begin, end) {
        const bytes = new Uint8Array(Math.min(end, header.length + PART) - begin).fill(PARTS.indexOf(name) + 1);
        if (begin < header.length) bytes.set(header.subarray(begin, end));
        return bytes;
      },
      async close() {},
    };
  };
  return {label: 'synthetic', singleFile: null, list: () => PARTS, has: async (name) => PARTS.includes(name), open, async close() {}};
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Reads every tensor once and returns the most bytes of buffers that were alive at any time above those at the start. */
async function peakOf(open: () => Promise<TensorFiles>): Promise<number> {
  const alive = (): number => {
    collect();
    return process.memoryUsage().arrayBuffers;
  };
  // Buffers of earlier specs are freed some turns after their collection: counted at the start, they would hide what is read here.
  let start = alive();
  for (let before = Number.POSITIVE_INFINITY; start < before; ) {
    before = start;
    await new Promise((resolve) => setTimeout(resolve, 20));
    start = alive();
  }
  let peak = 0;
  const files = await open();
  for (const name of files.names()) {
    const bytes = await files.read(name);
    expect(bytes.length).toBe(PART / TENSORS);
    expect(bytes[1000]).toBe(Math.floor(Number(name.slice(1)) / TENSORS) + 1);
    peak = Math.max(peak, alive() - start);
  }
  await files.close();
  return peak;
}

describe('tensorflow/tfjs#7598', () => {
  it('three parts of 64 MiB are read tensor by tensor', async () => {
    const peak = await peakOf(() => openTensorFilesOf(synthetic()));
    // That the measure sees what is read; garbage of other specs may have been counted at the start.
    expect(peak).toBeGreaterThan(PART / TENSORS / 2);
    // The tensor and, until this spec lets go of it, the one before.
    expect(peak).toBeLessThan(3 * (PART / TENSORS));
  });

  it('and with less than two parts from a server that ignores ranges', async () => {
    const server = createServer(async (request, response) => {
      const part = PARTS.indexOf((request.url ?? '').slice(1));
      if (part < 0) {
        const index = {weight_map: Object.fromEntries(PARTS.flatMap((name, p) => [[`t${p * TENSORS}`, name]]))};
        response.end(JSON.stringify(index));
        return;
      }
      const header = headerOf(part);
      response.writeHead(200, {'Content-Length': header.length + PART});
      const body = function* (): Generator<Uint8Array> {
        yield header;
        for (let sent = 0; sent < PART; sent += 2 ** 16) yield new Uint8Array(2 ** 16).fill(part + 1);
      };
      // A reader that has enough closes the connection.
      await pipeline(Readable.from(body()), response).catch(() => {});
    });
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    const peak = await peakOf(() => openTensorFiles(`http://localhost:${(server.address() as AddressInfo).port}/`));
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(peak).toBeLessThan(2 * PART);
  });
});
