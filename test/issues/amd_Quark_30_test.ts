// https://github.com/amd/Quark/pull/30: nibbles in sequence under a config that names AWQ's order. The bytes alone cannot tell, so that what
// the config says is acted on or refused, and the order itself is pinned by a known answer.
import {UnsupportedError} from '../../src/errors.js';
import {awq} from '../../src/formats/awq.js';
import {affineWeight, awqTensors, f16, i32, moduleOf, randomParts} from '../formats/packed_build.js';
import {compareFloats, expectExact, unpack} from '../formats/packed_support.js';

describe('amd/Quark#30', () => {
  const config = (more: object = {}) => ({quant_method: 'awq', bits: 4, group_size: 1, zero_point: true, version: 'gemm', ...more});

  it('known answer: field k of a word is output [0, 2, 4, 6, 1, 3, 5, 7][k]', () => {
    const tensors = {qweight: i32([1, 1], [0x76543210]), qzeros: i32([1, 1], [0]), scales: f16([1, 8], Array(8).fill(1))};
    expect([...unpack(awq.lower(moduleOf(tensors, config())))]).toEqual([0, 4, 1, 5, 2, 6, 3, 7]);
  });

  it("a config that names the order is believed where it is AWQ's, else refused", () => {
    const parts = randomParts({outDim: 16, inDim: 32, bits: 4, groupSize: 16}, 30);
    const reorder = config({group_size: 16, pack_method: 'reorder'});
    expectExact(awq, moduleOf(awqTensors(parts), reorder), affineWeight(parts), 'reorder', 1.2);
    const sequential = moduleOf(awqTensors(parts, [0, 1, 2, 3, 4, 5, 6, 7]), config({group_size: 16, pack_method: 'order'}));
    expect(() => awq.lower(sequential)).toThrowError(UnsupportedError, /pack_method.*"reorder".*"order"/);
    // Under the wrong name they would be another weight: this is what must not pass unseen.
    const scrambled = unpack(awq.lower({...sequential, quantization: reorder}));
    expect(compareFloats(scrambled, affineWeight(parts))).not.toBe('equal');
  });

  it("Quark's own method is refused by name", () => {
    const parts = randomParts({outDim: 16, inDim: 32, bits: 4, groupSize: 16}, 31);
    expect(() => awq.lower(moduleOf(awqTensors(parts), {quant_method: 'quark', pack_method: 'reorder'}))).toThrowError(
      UnsupportedError,
      /'quark'/,
    );
  });
});
