/** Writers of the on-disk formats by the letter of fixtures/quant/README.md, bit by bit, sharing nothing with src/formats. */
import {decodeTable, encodeFloat} from '../../kernels/float_codes.js';
import type {FileTensor, Module} from '../../src/formats/format.js';

/** Numbers in [0, 1) from a seed: mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const integers = (count: number, below: number, random: () => number): number[] =>
  Array.from({length: count}, () => Math.floor(random() * below));

/** Positive numbers that float16 holds exactly, about 0.01 to 0.1. */
export function halfScales(count: number, random: () => number): number[] {
  return Array.from({length: count}, () => decodeTable('float16')[encodeFloat('float16', 0.01 + 0.09 * random())] as number);
}

export const tensor = (dtype: string, shape: readonly number[], array: ArrayBufferView): FileTensor => ({
  dtype,
  shape,
  data: new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
});

export const f16 = (shape: readonly number[], values: readonly number[]): FileTensor =>
  tensor(
    'F16',
    shape,
    Uint16Array.from(values, (v) => encodeFloat('float16', v)),
  );

export const f32 = (shape: readonly number[], values: readonly number[]): FileTensor => tensor('F32', shape, Float32Array.from(values));

export const i32 = (shape: readonly number[], values: ArrayLike<number>): FileTensor => tensor('I32', shape, Int32Array.from(values));

export function moduleOf(
  tensors: Readonly<Record<string, FileTensor>>,
  quantization: Module['quantization'],
  name = 'model.layers.0.mlp.up_proj',
): Module {
  return {module: name, container: 'safetensors', tensors: new Map(Object.entries(tensors)), quantization};
}

/** Codes as one dense little-endian bit stream, in words. */
export function denseBits(codes: readonly number[], bits: number): Int32Array {
  const words = new Int32Array(Math.ceil((codes.length * bits) / 32));
  codes.forEach((code, i) => {
    for (let b = 0; b < bits; b++) {
      const at = i * bits + b;
      if ((code >> b) & 1) words[at >> 5]! |= 1 << (at & 31);
    }
  });
  return words;
}

/** Codes in planes, run by run of 32: a plane of width w takes w words of 32 / w fields. */
export function planarBits(codes: readonly number[], widths: readonly number[]): Int32Array {
  const words: number[] = [];
  for (let run = 0; run < codes.length; run += 32) {
    let low = 0;
    for (const width of widths) {
      const plane = codes.slice(run, run + 32).map((code) => (code >> low) & (2 ** width - 1));
      words.push(...denseBits(plane, width));
      low += width;
    }
  }
  return Int32Array.from(words);
}

export interface GptqParts {
  readonly outDim: number;
  readonly inDim: number;
  readonly bits: number;
  readonly groupSize: number;
  /** [N][K] */
  readonly codes: readonly (readonly number[])[];
  /** True zero points [groups][N] */
  readonly zeros: readonly (readonly number[])[];
  /** [groups][N] */
  readonly scales: readonly (readonly number[])[];
  /** Group of each input. */
  readonly groupOf: readonly number[];
}

const ONES: Readonly<Record<number, number>> = {2: 0x55555555, 4: 0x11111111, 8: 0x01010101};
const WIDTHS: Readonly<Record<number, readonly number[]>> = {2: [2], 3: [2, 1], 4: [4], 5: [4, 1], 6: [4, 2], 7: [4, 2, 1], 8: [8]};

/** Tensors as GPTQModel writes them: columns of words for outputs; v1 subtracts one from whole words (3 bits: from each field). */
export function gptqTensors(p: GptqParts, format: 'gptq' | 'gptq_v2' | 'gptq_p'): Record<string, FileTensor> {
  const pack = (codes: readonly number[]) => (format === 'gptq_p' ? planarBits(codes, WIDTHS[p.bits]!) : denseBits(codes, p.bits));
  const columns = p.codes.map(pack);
  const rows = columns[0]!.length;
  const qweight = Int32Array.from({length: rows * p.outDim}, (_, i) => columns[i % p.outDim]![Math.floor(i / p.outDim)]!);
  const zeroRows = p.zeros.map((row) => {
    if (format !== 'gptq') return pack(row);
    if (p.bits === 3) return pack(row.map((z) => (z - 1) & 7));
    return pack(row).map((word) => word - ONES[p.bits]!);
  });
  return {
    qweight: i32([rows, p.outDim], qweight),
    qzeros: i32(
      [p.zeros.length, zeroRows[0]!.length],
      zeroRows.flatMap((row) => [...row]),
    ),
    scales: f16([p.scales.length, p.outDim], p.scales.flat()),
    g_idx: i32([p.inDim], p.groupOf),
  };
}

/** [N, K]: scale * (code - zero), rounded once. */
export function affineWeight(p: GptqParts): Float32Array {
  return Float32Array.from({length: p.outDim * p.inDim}, (_, i) => {
    const n = Math.floor(i / p.inDim);
    const k = i % p.inDim;
    const g = p.groupOf[k]!;
    return p.scales[g]![n]! * (p.codes[n]![k]! - p.zeros[g]![n]!);
  });
}

/** Random parts; `zero` fixes all zero points. */
export function randomParts(
  options: {outDim: number; inDim: number; bits: number; groupSize: number; zero?: number; groupOf?: readonly number[]},
  seed: number,
): GptqParts {
  const {outDim, inDim, bits, zero} = options;
  const random = seeded(seed);
  const groupSize = options.groupSize === -1 ? inDim : options.groupSize;
  const groups = Math.ceil(inDim / groupSize);
  return {
    outDim,
    inDim,
    bits,
    groupSize: options.groupSize,
    codes: Array.from({length: outDim}, () => integers(inDim, 2 ** bits, random)),
    zeros: Array.from({length: groups}, () => (zero === undefined ? integers(outDim, 2 ** bits, random) : Array(outDim).fill(zero))),
    scales: Array.from({length: groups}, () => halfScales(outDim, random)),
    groupOf: options.groupOf ?? Array.from({length: inDim}, (_, k) => Math.floor(k / groupSize)),
  };
}

export const gptqConfig = (bits: number, groupSize: number, sym: boolean, format = 'gptq', more: object = {}): Record<string, unknown> => ({
  quant_method: 'gptq',
  bits,
  group_size: groupSize,
  sym,
  desc_act: false,
  checkpoint_format: format,
  ...more,
});

const AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7];

/** AWQ's GEMM packing of the same parts (4 bits): field k of word c is output 8c + order[k]. */
export function awqTensors(p: GptqParts, order: readonly number[] = AWQ_ORDER): Record<string, FileTensor> {
  const words = (row: readonly number[]): number[] =>
    Array.from({length: row.length / 8}, (_, c) => order.reduce((word, column, k) => word | (row[8 * c + column]! << (4 * k)), 0));
  const byInput = Array.from({length: p.inDim}, (_, k) => p.codes.map((row) => row[k]!));
  return {
    qweight: i32([p.inDim, p.outDim / 8], byInput.flatMap(words)),
    qzeros: i32([p.zeros.length, p.outDim / 8], p.zeros.flatMap(words)),
    scales: f16([p.scales.length, p.outDim], p.scales.flat()),
  };
}

/** compressed-tensors' pack-quantized of the same parts: rows along the inputs, zero points along the outputs. */
export function packQuantizedTensors(p: GptqParts, asymmetric: boolean): Record<string, FileTensor> {
  const groups = p.zeros.length;
  const rows = p.codes.map((row) => denseBits(row, p.bits));
  const zeroColumns = p.zeros.map((row) => denseBits(row, p.bits));
  const zeroWords = zeroColumns[0]!.length;
  const scales = Array.from({length: p.outDim * groups}, (_, i) => p.scales[i % groups]![Math.floor(i / groups)]!);
  return {
    weight_packed: i32(
      [p.outDim, rows[0]!.length],
      rows.flatMap((row) => [...row]),
    ),
    weight_scale: f32([p.outDim, groups], scales),
    weight_shape: tensor('I64', [2], BigInt64Array.of(BigInt(p.outDim), BigInt(p.inDim))),
    ...(asymmetric
      ? {
          weight_zero_point: i32(
            [zeroWords, groups],
            Array.from({length: zeroWords * groups}, (_, i) => zeroColumns[i % groups]![Math.floor(i / groups)]!),
          ),
        }
      : {}),
  };
}

export function compressedConfig(format: string, weights: object, more: object = {}): Record<string, unknown> {
  const group = {targets: ['Linear'], format, input_activations: null, output_activations: null, weights};
  return {quant_method: 'compressed-tensors', format, ignore: ['lm_head'], config_groups: {group_0: group}, ...more};
}

export const packWeights = (bits: number, groupSize: number, symmetric: boolean): object => ({
  num_bits: bits,
  type: 'int',
  strategy: groupSize === -1 ? 'channel' : 'group',
  group_size: groupSize,
  symmetric,
  dynamic: false,
});
