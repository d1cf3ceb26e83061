/** A layer's weight on the host: its values, and, of a packed one, codes and scales as they lie in the record. */
import {type Checkpoint, type Linear, QuantizedWeight} from 'tfjs-linear';
import {levelNumber} from '../../../kernels/cpu/row.js';
import {codeBits} from '../../../kernels/layout.js';
import {codeArray, partsOf, unpackRowCodes} from '../../../kernels/words.js';
import {onBackend} from './queue.js';

export interface Unpacked {
  readonly outDim: number;
  readonly inDim: number;
  readonly bytes: number;
  /** Of one code; 32 for a dense weight. */
  readonly bits: number;
  readonly decode: string;
  /** Inputs that share a scale; null where there is none, or groups are uneven. */
  readonly groupSize: number | null;
  readonly isOrdered: boolean;
  /** [N, K], the file's order. */
  readonly values: Float32Array;
  /** [N, K], stored order; null for a dense weight. */
  readonly codes: ArrayLike<number> | null;
  /** First level. */
  readonly scales: Float32Array;
}

/** Reads and unpacks a layer; keeps nothing on a device. Throws as `checkpoint.linear`. */
export function unpack(checkpoint: Checkpoint, module: string): Promise<Unpacked> {
  return onBackend('cpu', async () => {
    const layer = await checkpoint.linear(module, {device: 'cpu'});
    try {
      return await unpackLayer(layer);
    } finally {
      layer.dispose();
    }
  });
}

async function unpackLayer(layer: Linear): Promise<Unpacked> {
  const {weight, outDim, inDim} = layer;
  const dense = weight.dequantize();
  const values = Float32Array.from(await dense.data());
  dense.dispose();
  const common = {outDim, inDim, values, bytes: weight.byteLength};
  if (!(weight instanceof QuantizedWeight)) {
    return {...common, bits: 32, decode: 'float32', groupSize: null, isOrdered: false, codes: null, scales: new Float32Array(0)};
  }
  const {layout} = weight;
  const parts = partsOf(layout, (await weight.words.data()) as Int32Array);
  const row = codeArray(layout, inDim);
  const codes = codeArray(layout, outDim * inDim);
  for (let n = 0; n < outDim; n++) {
    unpackRowCodes(layout, parts, n, row);
    codes.set(row, n * inDim);
  }
  const [level] = layout.scales;
  const view = parts.scales[0];
  const scales = level === undefined || view === undefined ? [] : Array.from(view, (_, i) => levelNumber(level, view, i));
  return {
    ...common,
    bits: codeBits(layout),
    decode: layout.decode.kind === 'float' ? layout.decode.type : layout.decode.kind,
    groupSize: level === undefined || level.grid.indexed ? null : level.grid.columns,
    isOrdered: layout.ordered,
    codes,
    scales: Float32Array.from(scales),
  };
}

/** |a - b| / |b|, 2-norm over all of it. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += ((a[i] as number) - (b[i] as number)) ** 2;
    norm += (b[i] as number) ** 2;
  }
  return norm === 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm);
}

/** A tensor of the checkpoint as float32. */
export function floats(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  return onBackend('cpu', async () => {
    const tensor = await checkpoint.tensor(name);
    const values = Float32Array.from(await tensor.data());
    tensor.dispose();
    return values;
  });
}
