import {decodeTable} from '../../kernels/float_codes.js';
import {dense} from '../../src/formats/dense.js';
import type {FileTensor, Module} from '../../src/formats/format.js';
import {randomBytes} from './gguf_support.js';
import {compareTensors, residentRatio, unpack} from './packed_support.js';

function moduleOf(dtype: string, shape: readonly number[], seed: number, more: Readonly<Record<string, FileTensor>> = {}): Module {
  const data = randomBytes(shape.reduce((a, b) => a * b, 1) * (dtype === 'F32' ? 4 : 2), seed);
  const tensors = new Map<string, FileTensor>([['weight', {dtype, shape, data}], ...Object.entries(more)]);
  return {module: 'model.fc', container: 'safetensors', tensors, quantization: null};
}

/** The floats of random bytes, by DataView and the decode tables. */
function floats({dtype, data}: FileTensor): Float32Array {
  const view = new DataView(data.buffer);
  if (dtype === 'F32') return Float32Array.from({length: data.length / 4}, (_, i) => view.getFloat32(4 * i, true));
  const table = decodeTable(dtype === 'F16' ? 'float16' : 'bfloat16');
  return Float32Array.from({length: data.length / 2}, (_, i) => table[view.getUint16(2 * i, true)]!);
}

const bias: FileTensor = {dtype: 'F32', shape: [5], data: randomBytes(20, 9)};

describe('dense', () => {
  it('keeps every number and byte of F32, F16 and BF16, also with an odd row', () => {
    for (const dtype of ['F32', 'F16', 'BF16']) {
      for (const shape of [
        [5, 8],
        [5, 7],
        [5, 1],
      ]) {
        const module = moduleOf(dtype, shape, 3, {bias});
        const context = `${dtype} [${shape}]`;
        const lowered = dense.lower(module);
        const expected = floats(module.tensors.get('weight')!);
        // toEqual: random bytes hold NaNs, and -0 stays -0 here.
        expect(dense.reference(module)).withContext(context).toEqual(expected);
        expect(unpack(lowered)).withContext(context).toEqual(expected);
        expect(compareTensors(dense.raise(lowered), module.tensors))
          .withContext(context)
          .toBe('equal');
      }
    }
  });

  it('costs no more memory than the file', () => {
    for (const [dtype, inDim] of [
      ['F32', 9],
      ['F16', 64],
      ['BF16', 17],
    ] as const) {
      const module = moduleOf(dtype, [32, inDim], 1);
      expect(residentRatio(module, dense.lower(module)))
        .withContext(dtype)
        .toBeLessThanOrEqual(1.06);
    }
  });

  it('knows only floats', () => {
    expect(dense.recognise(moduleOf('BF16', [5, 8], 1))).toBeTrue();
    for (const dtype of ['I8', 'F8_E4M3', 'Q4_0', 'F64'])
      expect(dense.recognise(moduleOf(dtype, [5, 8], 1)))
        .withContext(dtype)
        .toBeFalse();
  });

  it('refuses a tensor that it does not read, a bias that does not fit and a weight that is no matrix', () => {
    expect(() => dense.lower(moduleOf('F16', [5, 8], 1, {weight_scale: bias}))).toThrowError(/model.fc: .*Received: weight_scale\./);
    expect(() => dense.lower(moduleOf('F16', [6, 8], 1, {bias}))).toThrowError(/model.fc.bias: expected \[6\].*Received: \[5\]/);
    expect(() => dense.lower(moduleOf('F16', [5, 8], 1, {bias: {...bias, dtype: 'I32'}}))).toThrowError(/F32, F16 or BF16. Received: I32/);
    expect(() => dense.lower(moduleOf('F16', [2, 4, 4], 1))).toThrowError(/Received: \[2,4,4\]/);
    expect(() => dense.lower(moduleOf('F16', [8], 1))).toThrowError(/Received: \[8\]/);
  });

  it('refuses data of another length', () => {
    const module = moduleOf('F16', [5, 8], 1);
    const weight = module.tensors.get('weight')!;
    const cut = {...module, tensors: new Map([['weight', {...weight, data: weight.data.subarray(2)}]])};
    expect(() => dense.lower(cut)).toThrowError(/expected 80 bytes.*Received: 78 bytes/);
  });
});
