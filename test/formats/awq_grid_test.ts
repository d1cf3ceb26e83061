import {awq} from '../../src/formats/awq.js';
import {affineWeight, awqTensors, moduleOf, randomParts, tensor} from './packed_build.js';
import {expectExact} from './packed_support.js';

const config = (groupSize: number, zeroPoint: boolean, more: object = {}) => ({
  quant_method: 'awq',
  bits: 4,
  group_size: groupSize,
  zero_point: zeroPoint,
  version: 'gemm',
  ...more,
});

describe('awq by hand-packed words', () => {
  it('reads any group size, inputs and outputs', () => {
    const shapes = [
      [64, 128, 32],
      [24, 100, 32],
      [8, 36, 36],
      [264, 72, -1],
      [40, 13, 4],
    ] as const;
    for (const [outDim, inDim, groupSize] of shapes) {
      for (const zeroPoint of [true, false]) {
        const parts = randomParts({outDim, inDim, bits: 4, groupSize, ...(zeroPoint ? {} : {zero: 8})}, outDim);
        const module = moduleOf(awqTensors(parts), config(groupSize, zeroPoint));
        const label = `[${outDim}, ${inDim}] groups of ${groupSize}, zero_point ${zeroPoint}`;
        const {layout} = expectExact(awq, module, affineWeight(parts), label, 1.4);
        expect(layout.zero.kind)
          .withContext(label)
          .toBe(zeroPoint ? 'codes' : 'constant');
      }
    }
  });

  it('keeps a larger layer at the size of its file', () => {
    const parts = randomParts({outDim: 256, inDim: 512, bits: 4, groupSize: 64}, 1);
    expectExact(awq, moduleOf(awqTensors(parts), config(64, true)), affineWeight(parts), 'large');
  });

  it('is told from GPTQ by shape where there is no config', () => {
    const parts = randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32}, 2);
    expectExact(awq, moduleOf(awqTensors(parts), null), affineWeight(parts), 'no config', 1.2);
  });

  it('takes the keys of old files, and refuses other packings and widths by name', () => {
    const parts = randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32}, 3);
    const tensors = awqTensors(parts);
    const old = {zero_point: true, q_group_size: 32, w_bit: 4, version: 'GEMM'};
    expectExact(awq, moduleOf(tensors, old), affineWeight(parts), 'AutoAWQ quant_config.json', 1.2);
    expect(() => awq.validate(moduleOf(tensors, config(32, true, {version: 'gemv'})))).toThrowError(/version.*'gemm'.*'gemv'/);
    expect(() => awq.validate(moduleOf(tensors, config(32, true, {bits: 3})))).toThrowError(/bits.*4.*3/);
    expect(() => awq.validate(moduleOf(tensors, config(32, true, {modules_to_not_convert: ['mlp']})))).toThrowError(
      /unquantised \(modules_to_not_convert 'mlp'\)/,
    );
  });

  it('refuses zero points that contradict zero_point false, and scales that are not finite', () => {
    const parts = randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32}, 4);
    const tensors = awqTensors(parts);
    expect(() => awq.lower(moduleOf(tensors, config(32, false)))).toThrowError(/qzeros.*zero_point/);
    const scales = tensor(
      'F16',
      [2, 32],
      Uint16Array.from({length: 64}, (_, i) => (i === 40 ? 0xfc00 : 0x3c00)),
    );
    expect(() => awq.lower(moduleOf({...tensors, scales}, config(32, true)))).toThrowError(/scales\[1, 8\].*fc00/);
  });
});
