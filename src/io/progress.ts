/**
 * How far the reading of a checkpoint has come. Counted in bytes of tensors as the files' headers declare them, never in
 * what a server says about lengths: those are missing, or those of a compressed body, often enough.
 */

export interface ProgressEvent {
  /** The file that bytes have just come from; in the last event the last such file. */
  readonly file: string;
  /** Bytes of tensors received so far, over all files. A tensor read again is not counted again. Never falls. */
  readonly loaded: number;
  /** Bytes of all tensors, or null while headers are still being read. Never below `loaded`, and equal to it only in the last event. */
  readonly total: number | null;
  /** True in exactly one event, the last: every tensor has been read, or the checkpoint was closed before (`total` is then what was read). */
  readonly done: boolean;
}

export type OnProgress = (event: ProgressEvent) => void;

export class Progress {
  private loaded = 0;
  private total: number | null = null;
  private file = '';
  private done = false;
  private readonly counted = new Map<string, number>();

  constructor(private readonly onProgress: OnProgress | undefined) {}

  /** A file's header is about to be read. */
  opening(file: string): void {
    this.file = file;
    this.emit();
  }

  /** All headers are read: `total` bytes of tensors are to come. */
  start(total: number): void {
    this.total = total;
    if (total > 0) this.emit();
  }

  /** `bytes` of tensor `name` have come in the present read of it. */
  received(name: string, file: string, bytes: number): void {
    const before = this.counted.get(name) ?? 0;
    if (bytes <= before) return;
    this.counted.set(name, bytes);
    this.loaded += bytes - before;
    this.file = file;
    if (this.loaded === this.total) this.finish();
    else this.emit();
  }

  /** No more will be read. Does nothing the second time, nor where no header was ever understood. */
  finish(): void {
    if (this.done || this.total === null) return;
    this.total = this.loaded;
    this.done = true;
    this.onProgress?.({file: this.file, loaded: this.loaded, total: this.total, done: true});
  }

  private emit(): void {
    if (!this.done) this.onProgress?.({file: this.file, loaded: this.loaded, total: this.total, done: false});
  }
}
