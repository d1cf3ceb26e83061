/** Which files of a folder, list or URL hold the checkpoint. */
import {MissingError, UnsupportedError} from '../errors.js';
import type {FileSet} from './source.js';

/** The files to open, or the index that names them. */
export type Choice =
  | {readonly container: 'gguf'; readonly files: readonly string[]}
  | {readonly container: 'safetensors'; readonly files: readonly string[]}
  | {readonly container: 'safetensors'; readonly index: string};

const INDEX = /\.safetensors\.index\.json$/i;
const SAFETENSORS = /\.safetensors$/i;
const GGUF = /\.gguf$/i;
const DEFAULT_INDEX = 'model.safetensors.index.json';
const DEFAULT_FILE = 'model.safetensors';

/**
 * A file that was named is taken; else an index; else every *.safetensors there is; else the one *.gguf, or all parts of one. A URL's
 * folder, which cannot be listed, is asked for model.safetensors.index.json and model.safetensors.
 * Throws `UnsupportedError` where there is more than one possible reading, with the names, and `MissingError` where there is none.
 */
export async function chooseFiles(files: FileSet): Promise<Choice> {
  if (files.singleFile !== null) return chooseNamed(files, files.singleFile);
  const names = files.list();
  return names === null ? chooseByAsking(files) : chooseListed(files.label, names);
}

function chooseNamed(files: FileSet, name: string): Choice {
  if (INDEX.test(name)) return {container: 'safetensors', index: name};
  if (SAFETENSORS.test(name)) return {container: 'safetensors', files: [name]};
  if (GGUF.test(name)) return {container: 'gguf', files: partsOf(name) ?? [name]};
  throw new UnsupportedError({
    where: files.label,
    expected: 'a .safetensors or .gguf file, or a folder',
    received: `'${name}'`,
    ...(/\.(?:bin|pt|pth|ckpt)$/i.test(name)
      ? {why: 'Pickled files run code when they are read.', remedy: 'Convert it to safetensors.'}
      : {}),
  });
}

async function chooseByAsking(files: FileSet): Promise<Choice> {
  // Asked for at a time, with what is read next: each answer takes a round trip.
  const asked = [DEFAULT_INDEX, DEFAULT_FILE, 'config.json'].map((name) => files.has(name));
  // A failure is heard where the file is wanted.
  for (const one of asked) one.catch(() => {});
  const [index, file] = asked;
  if (await index) return {container: 'safetensors', index: DEFAULT_INDEX};
  if (await file) return {container: 'safetensors', files: [DEFAULT_FILE]};
  throw new MissingError({
    where: files.label,
    expected: `${DEFAULT_INDEX} or ${DEFAULT_FILE} in this folder`,
    received: 'neither',
    remedy: 'For a file of another name pass its own URL; for a folder of the Hugging Face hub one that ends in /resolve/main.',
  });
}

function chooseListed(label: string, all: readonly string[]): Choice {
  // A leading dot hides a file, and macOS writes a '._name' beside each name on other disks.
  const names = all.filter((name) => !name.startsWith('.')).sort();
  const indexes = names.filter((name) => INDEX.test(name));
  const tensors = names.filter((name) => SAFETENSORS.test(name));
  const ggufs = names.filter((name) => GGUF.test(name));
  if (ggufs.length > 0 && tensors.length > 0) throw ambiguous(label, [...tensors, ...ggufs]);
  if (ggufs.length > 0) return {container: 'gguf', files: oneGguf(label, ggufs)};
  const index = indexes.includes(DEFAULT_INDEX) ? DEFAULT_INDEX : indexes[0];
  if (index !== undefined && (indexes.length === 1 || index === DEFAULT_INDEX)) return {container: 'safetensors', index};
  if (indexes.length > 1) throw ambiguous(label, indexes);
  if (tensors.length > 0) return {container: 'safetensors', files: tensors};
  throw new MissingError({
    where: label,
    expected: 'a .safetensors or .gguf file',
    received: names.slice(0, 20).join(', ') || 'no files',
  });
}

function oneGguf(label: string, names: readonly string[]): readonly string[] {
  const parts = partsOf(names[0] as string);
  if (parts === null) {
    if (names.length === 1) return names;
    throw ambiguous(label, names);
  }
  if (names.some((name) => !parts.includes(name))) throw ambiguous(label, names);
  return parts;
}

/** The names of all parts of a split GGUF file, from the name of any; null for a whole file. */
function partsOf(name: string): string[] | null {
  const match = /^(.*)-(\d{5})-of-(\d{5})(\.gguf)$/i.exec(name);
  if (match === null) return null;
  const [, prefix, , total, suffix] = match as unknown as [string, string, string, string, string];
  return Array.from({length: Number(total)}, (_, i) => `${prefix}-${String(i + 1).padStart(5, '0')}-of-${total}${suffix}`);
}

function ambiguous(label: string, names: readonly string[]): UnsupportedError {
  return new UnsupportedError({
    where: label,
    expected: 'files of one model',
    received: names.join(', '),
    why: 'They may be several models, or one in several forms.',
    remedy: 'Pass the one file that is meant.',
  });
}
