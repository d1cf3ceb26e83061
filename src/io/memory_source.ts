/** Files that are already at hand: buffers in memory, and Blobs (files picked in a page), which the browser reads from disk by range. */
import {ArgumentError, MissingError, SourceError} from '../errors.js';
import {allocate, join} from './bytes.js';
import {readChunked} from './chunked.js';
import {ReadAhead} from './read_ahead.js';
import type {ByteSource, FileSet} from './source.js';

/** {file name: its bytes}. */
export function bufferFiles(buffers: Readonly<Record<string, ArrayBuffer | Uint8Array>>): FileSet {
  const sources = Object.entries(buffers).map(([name, value]): [string, ByteSource] => {
    const bytes = value instanceof Uint8Array ? value : new Uint8Array(value);
    return [name, bufferSource(name, bytes)];
  });
  return fixedFiles('the given buffers', new Map(sources));
}

/** Files and Blobs, by their names. Of a picked folder only the files directly in it count, as for a path. */
export function blobFiles(blobs: readonly Blob[]): FileSet {
  const named = blobs.map((blob) => ({blob, path: pathOf(blob)}));
  const depth = Math.min(...named.map(({path}) => path.length));
  const sources = new Map<string, ByteSource>();
  for (const {blob, path} of named) {
    if (path.length > depth) continue;
    const name = path[path.length - 1] as string;
    if (sources.has(name)) {
      throw new ArgumentError({where: 'source', expected: 'files with different names', received: `two files called '${name}'`});
    }
    sources.set(name, blobSource(name, blob));
  }
  return fixedFiles('the given files', sources);
}

function pathOf(blob: Blob): string[] {
  const {webkitRelativePath, name} = blob as Blob & {webkitRelativePath?: string; name?: string};
  const path = (webkitRelativePath || name || '').split('/').filter((part) => part !== '');
  if (path.length > 0) return webkitRelativePath ? path : path.slice(-1);
  throw new ArgumentError({
    where: 'source',
    expected: 'Blobs with a name',
    received: `a Blob of ${blob.size} bytes without one`,
    remedy: "Wrap it: new File([blob], 'model.safetensors').",
  });
}

function bufferSource(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    size: bytes.length,
    async read(begin, end, signal, onBytes) {
      signal?.throwIfAborted();
      const part = bytes.subarray(begin, end);
      // Not slice(): of a Node Buffer that is a view on shared memory.
      const copy = allocate(name, part.length);
      copy.set(part);
      if (copy.length > 0) onBytes?.(copy.length);
      return copy;
    },
    async *pieces({begin, end, signal, onBytes}) {
      signal?.throwIfAborted();
      const part = bytes.subarray(begin, end);
      if (part.length > 0) onBytes?.(part.length);
      // A view, where typed arrays can lie over it: what is lent is not changed.
      yield part.byteOffset % 8 === 0 ? part : join(name, [part]);
    },
    async close() {},
  };
}

function blobSource(name: string, blob: Blob): ByteSource {
  const readAt = async (target: Uint8Array, position: number): Promise<number> => {
    try {
      const bytes = new Uint8Array(await blob.slice(position, position + target.length).arrayBuffer());
      target.set(bytes);
      return bytes.length;
    } catch (cause) {
      throw new SourceError(
        {where: name, expected: 'a readable file', received: cause, remedy: 'If the file was changed or moved, pick it again.'},
        {cause},
      );
    }
  };
  const ahead = new ReadAhead(name, blob.size, {fill: readAt});
  return {
    name,
    size: blob.size,
    read: (begin, end, signal, onBytes) => {
      if (ahead.suits(end - begin)) return ahead.read(begin, end, signal, onBytes);
      const stop = Math.min(end, blob.size);
      return readChunked(name, Math.min(begin, stop), stop, readAt, signal, onBytes);
    },
    pieces: (range) => ahead.pieces(range),
    async close() {
      ahead.close();
    },
  };
}

function fixedFiles(label: string, sources: ReadonlyMap<string, ByteSource>): FileSet {
  return {
    label,
    singleFile: null,
    list: () => [...sources.keys()],
    has: async (name) => sources.has(name),
    async open(name) {
      const source = sources.get(name);
      if (source !== undefined) return source;
      throw new MissingError({where: label, expected: `a file '${name}'`, received: [...sources.keys()].join(', ') || 'no files'});
    },
    async close() {},
  };
}
