/** A checkpoint of one GGUF file, or of one split into parts. */
import {FileFormatError, MissingError} from '../errors.js';
import {type GgufHeader, readGgufHeader} from './gguf.js';
import type {FileSet} from './source.js';
import {forEachFile, type StoredTensor, type TensorTable} from './tensor_table.js';

interface Opened {
  readonly file: string;
  readonly header: GgufHeader;
  readonly tensors: readonly StoredTensor[];
}

/** Parts in order; the first one's metadata is the model's. Throws `FileFormatError` where parts do not belong together, `MissingError` for one that is not there. */
export async function openGguf(
  files: FileSet,
  parts: readonly string[],
  onOpening: (file: string) => void,
  signal?: AbortSignal,
): Promise<TensorTable> {
  if (parts.length > 1) {
    for (const name of parts) {
      if (await files.has(name)) continue;
      throw new MissingError({where: files.label, expected: `all ${parts.length} parts of the file`, received: `no '${name}'`});
    }
  }
  const opened = await forEachFile(parts, (name) => openOne(files, name, onOpening, signal));
  const tensors = new Map<string, StoredTensor>();
  for (const tensor of opened.flatMap((one) => one.tensors)) {
    const other = tensors.get(tensor.name);
    if (other !== undefined) {
      throw new FileFormatError({
        where: `tensor '${tensor.name}'`,
        expected: 'to be in one part',
        received: `in '${other.file}' and in '${tensor.file}'`,
      });
    }
    tensors.set(tensor.name, tensor);
  }
  opened.forEach((one, index) => checkPart(one, index, parts.length));
  const [first] = opened as [Opened];
  const declared = first.header.metadata['split.tensors.count'];
  if (parts.length > 1 && declared !== undefined && declared !== tensors.size) {
    throw new FileFormatError({
      where: `${first.file}: metadata 'split.tensors.count'`,
      expected: `${tensors.size}, as there are in all parts`,
      received: `${declared}`,
    });
  }
  return {tensors, metadata: first.header.metadata};
}

/** A part says which it is and of how many; a whole file says nothing, or one of one. */
function checkPart({file, header: {metadata}}: Opened, index: number, count: number): void {
  const number = metadata['split.no'] ?? (count === 1 ? 0 : undefined);
  const total = metadata['split.count'] ?? (count === 1 ? 1 : undefined);
  // 0 of 0 is how a file that was split and joined again says that it is whole.
  if (number === index && (total === count || (count === 1 && total === 0))) return;
  throw new FileFormatError({
    where: `${file}: metadata 'split.no' and 'split.count'`,
    expected: count === 1 ? 'a whole file' : `part ${index} of ${count}, as in its name`,
    received: `part ${number ?? '(none)'} of ${total ?? '(none)'}`,
    ...(count === 1 ? {remedy: 'Give the parts their names back: model-00001-of-00003.gguf and so on.'} : {}),
  });
}

async function openOne(files: FileSet, file: string, onOpening: (file: string) => void, signal: AbortSignal | undefined): Promise<Opened> {
  signal?.throwIfAborted();
  const source = await files.open(file);
  onOpening(file);
  const header = await readGgufHeader(source, signal);
  const tensors = [...header.tensors.values()].map(({name, type, shape, begin, end}): StoredTensor => {
    return {name, dtype: type, shape, byteLength: end - begin, container: 'gguf', file, source, begin};
  });
  return {file, header, tensors};
}
