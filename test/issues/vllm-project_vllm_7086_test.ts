// https://github.com/vllm-project/vllm/pull/7086: a model with settings per module was loaded with the global ones.
import {UnsupportedError} from '../../src/errors.js';
import {gptq} from '../../src/formats/gptq.js';
import {affineWeight, gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('vllm-project/vllm#7086', () => {
  const dynamic = {'-:model\\.layers\\.1\\.': {}, '+:.*up_proj': {group_size: 16, sym: true}};
  const config = gptqConfig(4, 64, false, 'gptq', {dynamic});

  it('each layer has the group size of its own settings', () => {
    for (const [name, groupSize, sym] of [
      ['model.layers.0.mlp.up_proj', 16, true],
      ['model.layers.0.mlp.down_proj', 64, false],
    ] as const) {
      const parts = randomParts({outDim: 32, inDim: 128, bits: 4, groupSize, ...(sym ? {zero: 8} : {})}, groupSize);
      const {layout} = expectExact(gptq, moduleOf(gptqTensors(parts, 'gptq'), config, name), affineWeight(parts), name, 1.2);
      expect(layout.scales[0]!.grid.columns).withContext(name).toBe(groupSize);
    }
  });

  it('the global group size for such a layer is refused by its scales', () => {
    const parts = randomParts({outDim: 32, inDim: 128, bits: 4, groupSize: 64, zero: 8}, 1);
    expect(() => gptq.validate(moduleOf(gptqTensors(parts, 'gptq'), config, 'a.up_proj'))).toThrowError(
      /a\.up_proj\.scales.*\[8,32\].*\[2,32\]/,
    );
  });

  it('packed tensors under a negative match, and unknown keys, are refused by name', () => {
    const parts = randomParts({outDim: 32, inDim: 128, bits: 4, groupSize: 16, zero: 8}, 2);
    const tensors = gptqTensors(parts, 'gptq');
    expect(() => gptq.validate(moduleOf(tensors, config, 'model.layers.1.mlp.up_proj'))).toThrowError(
      UnsupportedError,
      /unquantised.*'-:model/,
    );
    const unknown = gptqConfig(4, 64, false, 'gptq', {dynamic: {'.*': {groupsize: 16}}});
    expect(() => gptq.validate(moduleOf(tensors, unknown))).toThrowError(UnsupportedError, /groupsize.*Did you mean 'group_size'/);
  });
});
