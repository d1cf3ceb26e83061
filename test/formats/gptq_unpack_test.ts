import * as tf from '@tensorflow/tfjs';
import type {FileTensor} from '../../src/formats/format.js';
import {type GptqUnpackOptions, gptqUnpack, gptqUnpackAsync, registerGptqUnpack} from '../../src/formats/gptq_unpack.js';
import {levelNumbers} from '../../src/formats/tensors.js';
import {loadCase} from '../support/fixtures.js';
import {compareFloats} from './packed_support.js';

const CASES: Readonly<Record<string, GptqUnpackOptions>> = {
  gptq_b4_g128_sym_v1_bias: {bits: 4, groupSize: 128, sym: true},
  gptq_b4_g64_asym_act_v2: {bits: 4, groupSize: 64, sym: false, checkpointFormat: 'gptq_v2'},
  gptq_b3_g64_asym_v1_bias: {bits: 3, groupSize: 64, sym: false, checkpointFormat: 'gptq'},
  gptq_b6_g64_asym_planar_bias: {bits: 6, groupSize: 64, sym: false, checkpointFormat: 'gptq_p'},
  gptq_b8_gch_asym_act_v1: {bits: 8, groupSize: -1, sym: false},
};

const asInt32 = ({shape, data}: FileTensor) => tf.tensor(new Int32Array(data.buffer), [...shape], 'int32');

function tensorsOf(tensors: ReadonlyMap<string, FileTensor>) {
  const scales = tensors.get('scales')!;
  return {
    qweight: asInt32(tensors.get('qweight')!),
    qzeros: asInt32(tensors.get('qzeros')!),
    gIdx: asInt32(tensors.get('g_idx')!),
    scales: tf.tensor(levelNumbers('float16', scales), [...scales.shape]),
  };
}

describe('gptqUnpack', () => {
  beforeAll(() => {
    registerGptqUnpack('cpu');
  });

  beforeEach(async () => {
    await tf.setBackend('cpu');
  });

  for (const [name, options] of Object.entries(CASES)) {
    it(`${name}: bit-equal to the tool`, async () => {
      const {module, ref} = await loadCase(name);
      const before = tf.memory().numTensors;
      const inputs = tensorsOf(module.tensors);
      const weight = gptqUnpack(inputs, options);
      const later = await gptqUnpackAsync(inputs, options);
      expect(weight.shape).toEqual([later.shape[0], later.shape[1]]);
      expect(compareFloats((await weight.data()) as Float32Array, ref.weight!)).toBe('equal');
      expect(compareFloats((await later.data()) as Float32Array, ref.weight!)).toBe('equal');
      tf.dispose([weight, later, Object.values(inputs)]);
      expect(tf.memory().numTensors).toBe(before);
    });
  }

  it('leaves no tensor behind when it refuses', async () => {
    const {module} = await loadCase('gptq_b4_g128_sym_v1_bias');
    const inputs = tensorsOf(module.tensors);
    const before = tf.memory().numTensors;
    expect(() => gptqUnpack(inputs, {bits: 8, groupSize: 128, sym: true})).toThrowError(/qweight.*64 rows/);
    expect(() => gptqUnpack(inputs, {bits: 4, groupSize: 128, sym: true, groupsize: 1} as GptqUnpackOptions)).toThrowError(
      /'groupsize'.*Did you mean 'groupSize'/,
    );
    expect(() => gptqUnpack({...inputs, scales: inputs.qzeros}, {bits: 4, groupSize: 128, sym: true})).toThrowError(/scales.*float32/);
    expect(tf.memory().numTensors).toBe(before);
    tf.dispose(Object.values(inputs));
  });
});
