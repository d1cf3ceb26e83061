/** GGUF fixtures as modules, and helpers that compare what a format makes of them. */
import {RowReader} from '../../kernels/cpu/row.js';
import {partsOf} from '../../kernels/words.js';
import type {FileTensor, Lowered, Module} from '../../src/formats/format.js';
import {BLOCK_TYPES} from '../../src/formats/gguf_types.js';
import {readFixture, readFixtureJson} from '../support/files.js';

/** A safetensors file's tensors, each in memory of its own. */
export async function safetensors(path: string): Promise<Map<string, FileTensor>> {
  const bytes = await readFixture(path);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<
    string,
    {dtype: string; shape: number[]; data_offsets: [number, number]}
  >;
  const tensors = new Map<string, FileTensor>();
  for (const [name, {dtype, shape, data_offsets}] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    tensors.set(name, {dtype, shape, data: bytes.slice(8 + length + data_offsets[0], 8 + length + data_offsets[1])});
  }
  return tensors;
}

export function float32(tensors: ReadonlyMap<string, FileTensor>, name: string): Float32Array {
  const {data} = tensors.get(name)!;
  return new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
}

export interface GgufCase {
  readonly name: string;
  readonly type: string;
  readonly module: Module;
  readonly weight: Float32Array;
  readonly x: Float32Array;
  readonly y: Float32Array;
}

export function ggufModule(type: string, outDim: number, inDim: number, data: Uint8Array, bias?: FileTensor): Module {
  const tensors = new Map<string, FileTensor>([['weight', {dtype: type, shape: [outDim, inDim], data}]]);
  if (bias !== undefined) tensors.set('bias', bias);
  return {module: 'blk.0.ffn_up', container: 'gguf', tensors, quantization: null};
}

interface IndexEntry {
  name: string;
  file: string;
  kind: string;
  attributes: {ggml_type: string; in_features: number; out_features: number};
}

/** Every case of kind gguf in the index. */
export async function ggufCases(): Promise<GgufCase[]> {
  const {cases} = await readFixtureJson<{cases: IndexEntry[]}>('quant/index.json');
  return Promise.all(
    cases
      .filter(({kind}) => kind === 'gguf')
      .map(async ({name, file, attributes}) => {
        const tensors = await safetensors(`quant/${file}`);
        const {ggml_type: type, out_features: outDim, in_features: inDim} = attributes;
        return {
          name,
          type,
          module: ggufModule(type, outDim, inDim, tensors.get('weight.raw')!.data),
          weight: float32(tensors, 'ref.weight'),
          x: float32(tensors, 'ref.x'),
          y: float32(tensors, 'ref.y'),
        };
      }),
  );
}

/** The record's weight [N, K], row by row. */
export function readRecord({layout, words}: Lowered): Float32Array {
  const reader = new RowReader(layout, partsOf(layout, words));
  const out = new Float32Array(layout.outDim * layout.inDim);
  for (let n = 0; n < layout.outDim; n++) reader.read(n, out.subarray(n * layout.inDim, (n + 1) * layout.inDim));
  return out;
}

/** The first place where two weights differ in a bit (-0 and 0 are equal, so are NaNs), or null. */
export function firstDifference(a: ArrayLike<number>, b: ArrayLike<number>): string | null {
  if (a.length !== b.length) return `lengths ${a.length} and ${b.length}`;
  for (let i = 0; i < a.length; i++) {
    const [p, q] = [a[i] as number, b[i] as number];
    if (p !== q && !(Number.isNaN(p) && Number.isNaN(q))) return `at ${i}: ${p} and ${q}`;
  }
  return null;
}

/** x [M, K] times the transpose of weight [N, K], in float64. */
export function product(x: Float32Array, weight: Float32Array, inDim: number): Float64Array {
  const [rows, outDim] = [x.length / inDim, weight.length / inDim];
  const y = new Float64Array(rows * outDim);
  for (let m = 0; m < rows; m++) {
    for (let n = 0; n < outDim; n++) {
      let sum = 0;
      for (let k = 0; k < inDim; k++) sum += (x[m * inDim + k] as number) * (weight[n * inDim + k] as number);
      y[m * outDim + n] = sum;
    }
  }
  return y;
}

/** Largest |y - ref| / |ref| over the rows. */
export function rowError(y: ArrayLike<number>, ref: ArrayLike<number>, outDim: number): number {
  let worst = 0;
  for (let m = 0; m < ref.length; m += outDim) {
    let [difference, norm] = [0, 0];
    for (let n = m; n < m + outDim; n++) {
      difference += ((y[n] as number) - (ref[n] as number)) ** 2;
      norm += (ref[n] as number) ** 2;
    }
    worst = Math.max(worst, Math.sqrt(difference / norm));
  }
  return worst;
}

/** Bytes 0 to 255 from a seed (xorshift). */
export function randomBytes(length: number, seed: number): Uint8Array {
  let state = seed | 1;
  return Uint8Array.from({length}, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 255;
  });
}

/** Blocks of random bytes whose scales are finite: what no quantiser would write, but a reader must read alike. */
export function randomBlocks(name: string, outDim: number, inDim: number, seed: number): Uint8Array {
  const type = BLOCK_TYPES.get(name)!;
  const data = randomBytes((outDim * inDim * type.bytes) / type.elements, seed);
  for (let block = 0; block < data.length; block += type.bytes) {
    for (const level of [type.scale, type.offset]) {
      if (level === undefined) continue;
      const last = block + level.at + (level.type === 'float16' ? 1 : 0);
      const entries = level.type === 'float16' ? 1 : type.elements / level.columns;
      // Clears exponent bits: float16 up to 2, e8m0 below 191, e4m3 positive and below NaN.
      for (let e = 0; e < entries; e++) data[last + e] = data[last + e]! & (level.type === 'float16' ? 0xbf : 0x3f);
    }
  }
  return data;
}
