/** Progress on stderr: stdout holds the answer alone. */
import {type Options, SingleBar} from 'cli-progress';

export interface Progress {
  /** Starts a bar; one at a time. */
  start(label: string, totalBytes: number): void;
  update(bytes: number): void;
  stop(): void;
  note(text: string): void;
}

/** A line every so often where stderr is no terminal. */
const SCHEDULE_MS = 2000;
const MEBIBYTE = 2 ** 20;

export function progressOnStderr(): Progress {
  const terminal = process.stderr.isTTY === true;
  let bar: SingleBar | null = null;
  const stop = (): void => {
    bar?.stop();
    bar = null;
  };
  return {
    start(label, totalBytes) {
      stop();
      const options: Options = {
        stream: process.stderr,
        format: `${label} [{bar}] {percentage} % of ${(totalBytes / MEBIBYTE).toFixed(1)} MiB`,
        noTTYOutput: true,
        notTTYSchedule: SCHEDULE_MS,
        hideCursor: true,
        clearOnComplete: terminal,
        // Ctrl-C is main.ts's.
        gracefulExit: false,
      };
      bar = new SingleBar(options);
      bar.start(totalBytes, 0);
    },
    update(bytes) {
      bar?.update(bytes);
    },
    stop,
    note(text) {
      stop();
      process.stderr.write(`${text}\n`);
    },
  };
}
