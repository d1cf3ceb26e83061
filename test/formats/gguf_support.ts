/** GGUF fixtures as modules, and blocks that no quantiser would write. */
import type {FileTensor, Module} from '../../src/formats/format.js';
import {BLOCK_TYPES} from '../../src/formats/gguf_types.js';
import {listCases, readTensors} from '../support/fixtures.js';

export function float32(tensors: ReadonlyMap<string, FileTensor>, name: string): Float32Array {
  const {data} = tensors.get(name)!;
  return new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
}

export function ggufModule(type: string, outDim: number, inDim: number, data: Uint8Array, bias?: FileTensor): Module {
  const tensors = new Map<string, FileTensor>([['weight', {dtype: type, shape: [outDim, inDim], data}]]);
  if (bias !== undefined) tensors.set('bias', bias);
  return {module: 'blk.0.ffn_up', container: 'gguf', tensors, quantization: null};
}

export interface GgufCase {
  readonly name: string;
  readonly type: string;
  readonly outDim: number;
  readonly inDim: number;
  readonly module: Module;
  readonly weight: Float32Array;
  readonly x: Float32Array;
  readonly y: Float32Array;
}

/** Every case of kind gguf in the index. */
export async function ggufCases(): Promise<GgufCase[]> {
  const entries = await listCases('gguf');
  return Promise.all(
    entries.map(async ({name, file, attributes}) => {
      const tensors = await readTensors(`quant/${file}`);
      const {
        ggml_type: type,
        out_features: outDim,
        in_features: inDim,
      } = attributes as {
        ggml_type: string;
        out_features: number;
        in_features: number;
      };
      const module = ggufModule(type, outDim, inDim, tensors.get('weight.raw')!.data);
      const [weight, x, y] = ['ref.weight', 'ref.x', 'ref.y'].map((key) => float32(tensors, key)) as [
        Float32Array,
        Float32Array,
        Float32Array,
      ];
      return {name, type, outDim, inDim, module, weight, x, y};
    }),
  );
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
      // Clears exponent bits: float16 below 2, e8m0 up to 2^0, e4m3 positive and below 2.
      const mask = level.type === 'float16' ? 0xbf : level.type === 'float8_e8m0fnu' ? 0x7f : 0x3f;
      for (let e = 0; e < entries; e++) data[last + e] = data[last + e]! & mask;
    }
  }
  return data;
}
