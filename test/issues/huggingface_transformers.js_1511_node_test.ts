// https://github.com/huggingface/transformers.js/issues/1511: Content-Length missing, or that of a compressed body, sent progress beyond 100 % or to NaN.
import {gzipSync} from 'node:zlib';
import type {ProgressEvent} from '../../src/io/progress.js';
import {writeSafetensors} from '../../src/io/safetensors.js';
import {openTensorFiles} from '../../src/io/tensor_files.js';
import {firstDifference, ramp} from '../io/bytes_support.js';
import {type Answer, serve} from '../io/file_server.js';

const servers: Record<string, Answer | undefined> = {
  'tells the length and knows ranges': undefined,
  'tells no length': (file, response) => {
    response.writeHead(200).end(file);
    return true;
  },
  'compresses, and tells the compressed length': (file, response) => {
    const zipped = gzipSync(file);
    response.writeHead(200, {'Content-Encoding': 'gzip', 'Content-Length': zipped.length}).end(zipped);
    return true;
  },
};

describe('huggingface/transformers.js#1511', () => {
  for (const [what, answer] of Object.entries(servers)) {
    it(`progress stays within 0 and 1 or is unknown, and ends once, where the server ${what}`, async () => {
      const tensor = (name: string, length: number) => ({name, dtype: 'U8' as const, shape: [length], data: ramp(length)});
      const file = writeSafetensors([tensor('a', 2_000_000), tensor('b', 1_000_000)]);
      const server = await serve({'/model.safetensors': file}, answer);
      const events: ProgressEvent[] = [];
      const files = await openTensorFiles(`${server.origin}/model.safetensors`, {onProgress: (event) => events.push(event)});
      expect(firstDifference(await files.read('b'), ramp(1_000_000))).toBe(-1);
      expect(firstDifference(await files.read('a'), ramp(2_000_000))).toBe(-1);
      await files.close();
      await server.close();
      const fractions = events.map(({loaded, total}) => (total === null ? null : loaded / total));
      const known = fractions.filter((fraction) => fraction !== null);
      expect(fractions.indexOf(0)).toBe(1);
      expect(known).toEqual([...known].sort((a, b) => a - b));
      expect(known.filter((fraction) => fraction === 1)).toEqual([1]);
      expect(known.at(-1)).toBe(1);
      // More than one step a tensor: a bar moves within it.
      expect(known.length).toBeGreaterThan(4);
      expect(events.map(({done}) => done)).toEqual([...Array(events.length - 1).fill(false), true]);
    });
  }
});
