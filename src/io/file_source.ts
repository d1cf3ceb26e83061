/** Files on disk, in Node. */
import type {FileHandle} from 'node:fs/promises';
import {MissingError, SourceError} from '../errors.js';
import {fillByTwos, fillFrom, readChunked} from './chunked.js';
import {nodeModule} from './node_module.js';
import {ReadAhead} from './read_ahead.js';
import type {ByteSource, FileSet} from './source.js';

/** A folder, or one file with the folder it lies in. Throws `MissingError` where there is neither, `SourceError` where it cannot be read. */
export async function openNodePath(path: string): Promise<FileSet> {
  const fs = await nodeModule('node:fs/promises');
  const {basename, dirname, join} = await nodeModule('node:path');
  const refusal = (cause: unknown): SourceError =>
    new SourceError(
      {where: path, expected: 'a readable folder or file', received: cause instanceof Error ? cause.message : String(cause)},
      {cause},
    );
  const isFolder = await fs.stat(path).then(
    (stat) => stat.isDirectory(),
    (cause) => {
      if (cause?.code === 'ENOENT' || cause?.code === 'ENOTDIR') {
        throw new MissingError({where: path, expected: 'a folder or file', received: `nothing there (${cause.code})`}, {cause});
      }
      throw refusal(cause);
    },
  );
  const folder = isFolder ? path : dirname(path);
  const singleFile = isFolder ? null : basename(path);
  const entries = await fs.readdir(folder, {withFileTypes: true}).catch((cause) => {
    // One file can be read in a folder that cannot be listed.
    if (singleFile !== null) return [];
    throw refusal(cause);
  });
  const names = new Set(entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name));
  if (singleFile !== null) names.add(singleFile);
  const open = new Set<ByteSource>();
  return {
    label: path,
    singleFile,
    list: () => [...names].sort(),
    has: async (name) => names.has(name),
    async open(name) {
      if (!names.has(name)) {
        throw new MissingError({
          where: folder,
          expected: `a file '${name}'`,
          received: [...names].slice(0, 20).join(', ') || 'an empty folder',
        });
      }
      const handle = await fs.open(join(folder, name), 'r').catch((cause) => {
        throw refusal(cause);
      });
      const source = await handleSource(name, handle, () => open.delete(source));
      open.add(source);
      return source;
    },
    close: async () => {
      await Promise.all([...open].map((source) => source.close()));
    },
  };
}

async function handleSource(name: string, handle: FileHandle, onClose: () => void): Promise<ByteSource> {
  const {size} = await handle.stat();
  let closing: Promise<void> | undefined;
  const readAt = async (target: Uint8Array, position: number): Promise<number> => {
    try {
      return (await handle.read(target, 0, target.length, position)).bytesRead;
    } catch (cause) {
      throw new SourceError({where: name, expected: `a readable file at byte ${position}`, received: cause}, {cause});
    }
  };
  const ahead = new ReadAhead(name, size, {fill: (target, position) => fillFrom(readAt, target, position)});
  return {
    name,
    size,
    read: (begin, end, signal, onBytes) => {
      if (ahead.suits(end - begin)) return ahead.read(begin, end, signal, onBytes);
      const stop = Math.min(end, size);
      return readChunked(name, Math.min(begin, stop), stop, readAt, signal, onBytes);
    },
    pieces: (range) => ahead.pieces(range),
    fill: (target, begin, signal, onBytes) => {
      const readPart = (part: Uint8Array, position: number) => fillFrom(readAt, part, position);
      return fillByTwos(readPart, target, begin, signal, onBytes);
    },
    close: () => {
      onClose();
      ahead.close();
      closing ??= handle.close();
      return closing;
    },
  };
}
