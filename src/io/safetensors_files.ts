/** A checkpoint of one or several safetensors files. */
import {FileFormatError, MissingError} from '../errors.js';
import {readSafetensorsHeader} from './safetensors.js';
import type {FileSet} from './source.js';
import {forEachFile, type StoredTensor, type TensorTable} from './tensor_table.js';
import {parseJsonUniqueKeys, readText} from './text.js';

interface Opened {
  readonly file: string;
  readonly tensors: readonly StoredTensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** Files by their names. Throws `FileFormatError` where a tensor is in two of them, and as `readSafetensorsHeader`. */
export async function openSafetensors(
  files: FileSet,
  names: readonly string[],
  onOpening: (file: string) => void,
  signal?: AbortSignal,
): Promise<TensorTable> {
  const opened = await forEachFile(names, (name) => openOne(files, name, onOpening, signal));
  const tensors = new Map<string, StoredTensor>();
  for (const tensor of opened.flatMap((one) => one.tensors)) {
    const other = tensors.get(tensor.name);
    if (other !== undefined) {
      throw new FileFormatError({
        where: `tensor '${tensor.name}'`,
        expected: 'to be in one file',
        received: `in '${other.file}' and in '${tensor.file}'`,
        why: 'Which of the two is meant cannot be known.',
        remedy: 'Pass only the files of one model.',
      });
    }
    tensors.set(tensor.name, tensor);
  }
  // The first file's text wins where files disagree: it is never more than a note.
  return {tensors, metadata: Object.assign({}, ...opened.map(({metadata}) => metadata).reverse()) as Record<string, string>};
}

/**
 * The files that an index names. Throws `FileFormatError` where the index is not valid or names a tensor that its file has
 * not, `MissingError` where it names a file that is not there.
 */
export async function openIndexed(
  files: FileSet,
  index: string,
  onOpening: (file: string) => void,
  signal?: AbortSignal,
): Promise<TensorTable> {
  const source = await files.open(index);
  const weightMap = parseWeightMap(await readText(source, signal), index);
  await source.close();
  const names = [...new Set(weightMap.values())].sort();
  for (const name of names) {
    if (await files.has(name)) continue;
    throw new MissingError({where: `${files.label}: ${index}`, expected: `the file '${name}', which it names`, received: 'no such file'});
  }
  const table = await openSafetensors(files, names, onOpening, signal);
  for (const [tensor, file] of weightMap) {
    if (table.tensors.get(tensor)?.file === file) continue;
    const elsewhere = table.tensors.get(tensor)?.file;
    throw new FileFormatError({
      where: `${index}: tensor '${tensor}'`,
      expected: `it in '${file}'`,
      received: elsewhere === undefined ? 'no such tensor there' : `it in '${elsewhere}'`,
    });
  }
  return table;
}

function parseWeightMap(text: string, index: string): Map<string, string> {
  const root = parseJsonUniqueKeys(text, index);
  const map = typeof root === 'object' && root !== null ? (root as {weight_map?: unknown}).weight_map : undefined;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw new FileFormatError({where: index, expected: "an object under 'weight_map'", received: JSON.stringify(map) ?? 'none'});
  }
  const entries = Object.entries(map as Record<string, unknown>);
  if (entries.length === 0) throw new FileFormatError({where: index, expected: "tensors under 'weight_map'", received: 'none'});
  for (const [tensor, file] of entries) {
    // A name with a path in it could lead out of the folder.
    if (typeof file === 'string' && /^[^/\\]+\.safetensors$/i.test(file)) continue;
    throw new FileFormatError({
      where: `${index}: tensor '${tensor}'`,
      expected: 'the name of a .safetensors file in the same folder',
      received: JSON.stringify(file),
    });
  }
  return new Map(entries as [string, string][]);
}

async function openOne(files: FileSet, file: string, onOpening: (file: string) => void, signal: AbortSignal | undefined): Promise<Opened> {
  signal?.throwIfAborted();
  const source = await files.open(file);
  onOpening(file);
  const header = await readSafetensorsHeader(source, signal);
  const tensors = [...header.tensors].map(([name, {dtype, shape, begin, end}]): StoredTensor => {
    return {name, dtype, shape, byteLength: end - begin, container: 'safetensors', file, source, begin};
  });
  return {file, tensors, metadata: header.metadata};
}
