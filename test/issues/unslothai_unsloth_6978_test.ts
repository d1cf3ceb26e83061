// https://github.com/unslothai/unsloth/issues/6978: the scale was dropped, and raw fp8 codes used as weights.

import {fp8} from '../../src/formats/fp8.js';
import {MissingError, openCheckpoint} from '../../src/index.js';
import {checkpointFiles} from '../formats/checkpoint_build.js';
import {f32, moduleOf, tensor} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('unslothai/unsloth#6978', () => {
  const weight = tensor('F8_E4M3', [4, 64], new Uint8Array(256).fill(0x40));

  it('an fp8 weight without a scale is refused', async () => {
    for (const config of [null, {quant_method: 'fp8', weight_block_size: [128, 128]}]) {
      const module = moduleOf({weight}, config);
      const ckpt = await openCheckpoint(checkpointFiles(module));
      let error: unknown;
      await ckpt.linear(module.module).catch((e: unknown) => {
        error = e;
      });
      expect(error).toBeInstanceOf(MissingError);
      expect((error as Error).message).toMatch(/up_proj\.weight_scale.*without their scale.*weight_scale: 1/);
      await ckpt.close();
    }
  });

  it('unless the config declares scale 1, and then a scale is refused', () => {
    const config = {quant_method: 'fp8', weight_scale: 1};
    expectExact(fp8, moduleOf({weight}, config), new Float32Array(256).fill(2), 'scale 1');
    expect(() => fp8.validate(moduleOf({weight, weight_scale: f32([], [1])}, config))).toThrowError(MissingError, /no scale tensor/);
  });
});
