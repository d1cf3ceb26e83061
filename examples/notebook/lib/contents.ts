/** What a checkpoint holds. */
import type {Checkpoint} from 'tfjs-linear';

export interface TensorRow {
  readonly name: string;
  readonly format: string;
  readonly shape: string;
  readonly bytes: number;
}

export function tensorRows(checkpoint: Checkpoint): TensorRow[] {
  return checkpoint.names().map((name) => {
    const {dtype, shape, byteLength} = checkpoint.info(name);
    return {name, format: dtype, shape: shape.join(' × '), bytes: byteLength};
  });
}

const isFloat = (dtype: string): boolean => /^B?F\d+$/.test(dtype);

/** Prefixes that can be a linear layer: those with a matrix of codes, or a weight, under them. Plain floats come last. */
export function moduleNames(checkpoint: Checkpoint): string[] {
  const matrices = checkpoint.names().filter((name) => {
    const {dtype, shape} = checkpoint.info(name);
    return name.includes('.') && shape.length === 2 && (name.endsWith('.weight') || !isFloat(dtype));
  });
  const floats = (name: string) => Number(name.endsWith('.weight') && isFloat(checkpoint.info(name).dtype));
  const sorted = matrices.sort((a, b) => floats(a) - floats(b));
  return [...new Set(sorted.map((name) => name.slice(0, name.lastIndexOf('.'))))];
}

/** Float tensors of shape [N, K]: what a layer can be compared with. */
export function referenceNames(checkpoint: Checkpoint, [outDim, inDim]: readonly [number, number]): string[] {
  return checkpoint.names().filter((name) => {
    const {dtype, shape} = checkpoint.info(name);
    return isFloat(dtype) && shape.length === 2 && shape[0] === outDim && shape[1] === inDim;
  });
}

export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const unit = bytes < 2 ** 20 ? 'KiB' : bytes < 2 ** 30 ? 'MiB' : 'GiB';
  return `${(bytes / {KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30}[unit]).toFixed(1)} ${unit}`;
}
