import type {FileTensor, Module} from '../../src/formats/format.js';
import {findFormat} from '../../src/formats/format.js';
import {gguf} from '../../src/formats/gguf.js';
import {BLOCK_TYPES} from '../../src/formats/gguf_types.js';
import {FORMATS} from '../../src/formats/index.js';
import {GGUF_TYPES} from '../../src/io/gguf_types.js';
import {readTensors} from '../support/fixtures.js';
import {float32, type GgufCase, ggufCases, ggufModule, randomBlocks} from './gguf_support.js';
import {compareFloats, compareTensors, expectExact, residentRatio, unpack} from './packed_support.js';

/** Resident bytes over file bytes. Two types squeeze their scales or codes tighter than any 8-bit scale or 2-bit plane can. */
const MAX_RATIO: Readonly<Record<string, number>> = {Q2_K: 1.2, TQ1_0: 1.23};

describe('gguf', () => {
  let cases: GgufCase[];

  beforeAll(async () => {
    cases = await ggufCases();
  });

  it('has a fixture for every type', () => {
    const types = cases.map(({type}) => type);
    for (const name of BLOCK_TYPES.keys()) expect(types).withContext(name).toContain(name);
  });

  it('reads every fixture as the gguf package does, to the bit, and raises the same bytes', () => {
    for (const {name, type, module, weight} of cases) {
      expectExact(findFormat(FORMATS, module), module, weight, name, MAX_RATIO[type]);
    }
  });

  it('costs no more memory than the file', () => {
    for (const name of BLOCK_TYPES.keys()) {
      for (const [outDim, blocks] of [
        [64, 1],
        [33, 3],
        [256, 2],
      ] as const) {
        const inDim = BLOCK_TYPES.get(name)!.elements * blocks;
        const data = randomBlocks(name, outDim, inDim, 7);
        const module = ggufModule(name, outDim, inDim, data);
        expect(residentRatio(module, gguf.lower(module)))
          .withContext(`${name} ${outDim}x${inDim}`)
          .toBeLessThanOrEqual(MAX_RATIO[name] ?? 1.06);
      }
    }
  });

  it('reads arbitrary codes and scales as the definition does, and raises them', () => {
    for (const name of BLOCK_TYPES.keys()) {
      const inDim = BLOCK_TYPES.get(name)!.elements * 3;
      const module = ggufModule(name, 37, inDim, randomBlocks(name, 37, inDim, 11));
      const lowered = gguf.lower(module);
      expect(compareFloats(unpack(lowered), gguf.reference(module)))
        .withContext(name)
        .toBe('equal');
      const raised = gguf.raise(lowered);
      // Random bytes hold some that no writer of TQ1_0 makes; they come back as others that read the same.
      if (name === 'TQ1_0') expect(gguf.lower({...module, tensors: raised}).words).toEqual(lowered.words);
      else expect(compareTensors(raised, module.tensors)).withContext(name).toBe('equal');
    }
  });

  it('reads every byte of TQ1_0 as ggml does', () => {
    const data = new Uint8Array(256 * 54);
    for (let byte = 0; byte < 256; byte++) {
      data[byte * 54] = byte;
      data[byte * 54 + 53] = 0x3c; // d = 1
    }
    const weight = unpack(gguf.lower(ggufModule('TQ1_0', 256, 256, data)));
    for (let number = 0; number < 243; number++) {
      const row = Math.ceil((number * 256) / 243);
      for (let n = 0; n < 5; n++) {
        const trit = Math.floor(number / 3 ** (4 - n)) % 3;
        expect(weight[row * 256 + 32 * n])
          .withContext(`number ${number}, digit ${n}`)
          .toBe(trit - 1);
      }
    }
  });

  it("reads MAX's own GGUF weights as MAX does, to the bit", async () => {
    for (const [type, outDim, inDim] of [
      ['Q4_0', 64, 96],
      ['Q4_0', 32, 512],
      ['Q4_K', 64, 512],
      ['Q6_K', 64, 512],
    ] as const) {
      const file = `max/qlinear_${type.toLowerCase()}_${outDim}x${inDim}.safetensors`;
      const tensors = await readTensors(file);
      const lowered = gguf.lower(ggufModule(type, outDim, inDim, tensors.get('weight_bytes')!.data));
      expect(compareFloats(unpack(lowered), float32(tensors, 'dequant')))
        .withContext(file)
        .toBe('equal');
    }
  });

  it('keeps a bias', () => {
    const bias: FileTensor = {dtype: 'F32', shape: [2], data: new Uint8Array(new Float32Array([1, -2]).buffer)};
    const module = ggufModule('Q8_0', 2, 32, randomBlocks('Q8_0', 2, 32, 5), bias);
    const lowered = gguf.lower(module);
    expect(lowered.bias).toBe(bias);
    expect(gguf.raise(lowered)).toEqual(module.tensors);
    expect(() => gguf.lower({...module, tensors: new Map([...module.tensors, ['bias', {...bias, shape: [1, 2]}]])})).toThrowError(
      /blk.0.ffn_up.bias: expected \[2\].*Received: \[1,2\]/,
    );
  });

  it('allocates the layout that it lowers to', () => {
    expect(gguf.encodings).toEqual([...BLOCK_TYPES.keys()]);
    for (const [name, {elements}] of BLOCK_TYPES) {
      const {layout} = gguf.lower(ggufModule(name, 3, elements, randomBlocks(name, 3, elements, 5)));
      expect(gguf.allocate!(name, 3, elements))
        .withContext(name)
        .toEqual(layout);
    }
    expect(gguf.allocate!('GPTQ', 3, 256)).toBeNull();
    expect(() => gguf.allocate!('Q4_K', 3, 128)).toThrowError(/Q4_K: .*a row of 128 is not a multiple of 256/);
  });

  it('has blocks of the size that the file reader counts with', () => {
    for (const {name, elements, bytes} of BLOCK_TYPES.values()) {
      const {blockElements, blockBytes} = GGUF_TYPES.find((type) => type.name === name)!;
      expect([elements, bytes]).withContext(name).toEqual([blockElements, blockBytes]);
    }
  });

  it('reads blocks at any address', () => {
    const data = randomBlocks('Q8_0', 4, 64, 3);
    const shifted = new Uint8Array(data.length + 1).subarray(1);
    shifted.set(data);
    expect(gguf.lower(ggufModule('Q8_0', 4, 64, shifted)).words).toEqual(gguf.lower(ggufModule('Q8_0', 4, 64, data)).words);
  });

  it('multiplies the scales of NVFP4 with the number beside the weight', () => {
    const module = ggufModule('NVFP4', 3, 128, randomBlocks('NVFP4', 3, 128, 2));
    const scaled = withTensor(module, 'scale', {dtype: 'F32', shape: [1], data: new Uint8Array(new Float32Array([0.75]).buffer)});
    const lowered = gguf.lower(scaled);
    const weight = unpack(lowered);
    // 0.75 times a product of 5 significant bits is exact.
    expect(weight).toEqual(unpack(gguf.lower(module)).map((value) => 0.75 * value));
    expect(compareFloats(gguf.reference(scaled), weight)).toBe('equal');
    expect(gguf.raise(lowered)).toEqual(scaled.tensors);
  });
});

function withTensor(module: Module, name: string, tensor: FileTensor): Module {
  return {...module, tensors: new Map([...module.tensors, [name, tensor]])};
}

describe('gguf refuses', () => {
  it('other types, by name', () => {
    for (const type of ['IQ2_XXS', 'Q8_K', 'I32']) {
      const module = ggufModule(type, 2, 256, new Uint8Array(512));
      expect(findFormat(FORMATS, module)).toBe(gguf);
      expect(() => gguf.validate(module)).toThrowError(
        new RegExp(`blk.0.ffn_up.weight: expected a ggml type we read: F32, F16, BF16, Q4_0, .*TQ2_0. Received: ${type}\\.`),
      );
    }
  });

  it('a scale that is not finite, with its place', () => {
    const bad: [string, number, number, string][] = [
      ['Q4_0', 1, 0x7c, '0x7c00'],
      ['Q4_1', 3, 0xfe, '0xfe00'],
      ['Q4_K', 3, 0x7c, '0x7c00'],
      ['Q6_K', 209, 0x7e, '0x7e00'],
      ['MXFP4', 0, 0xff, '0xff'],
      ['NVFP4', 2, 0x7f, '0x7f'],
      ['NVFP4', 2, 0xb8, '0xb8'],
    ];
    for (const [name, at, byte, code] of bad) {
      const {elements, bytes} = BLOCK_TYPES.get(name)!;
      const data = new Uint8Array(3 * 4 * bytes);
      data[(4 + 3) * bytes + at] = byte;
      expect(() => gguf.lower(ggufModule(name, 3, 4 * elements, data)))
        .withContext(name)
        .toThrowError(
          new RegExp(`blk.0.ffn_up.weight: expected finite \\S+ scales in ${name} blocks. Received: code ${code} in row 1, block 3`),
        );
    }
  });

  it('tensors that it does not read', () => {
    const one: FileTensor = {dtype: 'F32', shape: [1], data: new Uint8Array(4)};
    const q8 = ggufModule('Q8_0', 2, 32, randomBlocks('Q8_0', 2, 32, 5));
    expect(() => gguf.lower(withTensor(q8, 'scale', one))).toThrowError(/only weight, bias for format 'Q8_0'. Received: scale\./);
    const fp4 = ggufModule('NVFP4', 2, 64, randomBlocks('NVFP4', 2, 64, 5));
    expect(() => gguf.lower(withTensor(fp4, 'input_scale', one))).toThrowError(/Received: input_scale\./);
    expect(() => gguf.lower(withTensor(fp4, 'scale', {...one, shape: [2]}))).toThrowError(/one F32 number.*Received: F32 \[2\]/);
    const nan = new Uint8Array(new Float32Array([NaN]).buffer);
    expect(() => gguf.lower(withTensor(fp4, 'scale', {...one, data: nan}))).toThrowError(/a finite scale. Received: NaN/);
  });

  it('data of another length and a weight that is no matrix', () => {
    const data = randomBlocks('Q8_0', 2, 32, 5);
    expect(() => gguf.lower(ggufModule('Q8_0', 2, 32, data.subarray(1)))).toThrowError(
      /expected 68 bytes for Q8_0 \[2,32\].*Received: 67 bytes/,
    );
    const stacked = ggufModule('Q8_0', 2, 32, data);
    expect(() => gguf.lower(withTensor(stacked, 'weight', {dtype: 'Q8_0', shape: [2, 1, 32], data}))).toThrowError(/Received: \[2,1,32\]/);
  });

  it('rows that are not whole blocks, with row and block size', () => {
    const module = ggufModule('Q4_K', 2, 896, new Uint8Array(2 * 4 * 144));
    expect(() => gguf.validate(module)).toThrowError(
      /blk\.0\.ffn_up\.weight.*Q4_K blocks, 256 weights.*a row of 896 is not a multiple of 256/,
    );
  });

  it('to write a weight that was cut inside a block', () => {
    const lowered = gguf.lower(ggufModule('Q4_0', 2, 64, randomBlocks('Q4_0', 2, 64, 5)));
    const [level] = lowered.layout.scales;
    const cut = {...lowered.layout, scales: [{...level!, grid: {...level!.grid, columnPhase: 8}}]};
    expect(() => gguf.raise({...lowered, layout: cut})).toThrowError(/rows of 64 that begin 8 weights into a block/);
    expect(() => gguf.raise({...lowered, layout: {...lowered.layout, inDim: 48}})).toThrowError(/rows of 48/);
  });
});
