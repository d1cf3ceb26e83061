/** https://github.com/vllm-project/vllm/issues/52997: a shard smaller than the block that shares a scale. */
import * as tf from '@tensorflow/tfjs';
import {openCheckpoint, ShardedLinear, ShardingStrategy} from '../../src/index.js';
import {writeSafetensors} from '../../src/io/safetensors_writer.js';
import {randomX} from '../grid/layouts.js';
import {rowErrors} from '../support/errors.js';
import {jsonBytes} from '../support/files.js';

/** fp8 [n, k] with a scale for each 128 x 128 weights. */
function files(n: number, k: number): Record<string, Uint8Array> {
  const codes = Uint8Array.from({length: n * k}, (_, i) => (((i * 2654435761) >>> 9) % 0x60) | ((i & 5) === 5 ? 0x80 : 0));
  const shape = [Math.ceil(n / 128), Math.ceil(k / 128)] as [number, number];
  const scales = Float32Array.from({length: shape[0] * shape[1]}, (_, i) => 0.01 * (1 + (i % 7)));
  const config = {quantization_config: {quant_method: 'fp8', activation_scheme: 'dynamic', fmt: 'e4m3', weight_block_size: [128, 128]}};
  return {
    'model.safetensors': writeSafetensors([
      {name: 'up.weight', dtype: 'F8_E4M3', shape: [n, k], data: codes},
      {name: 'up.weight_scale_inv', dtype: 'F32', shape, data: new Uint8Array(scales.buffer)},
    ]),
    'config.json': jsonBytes(config),
  };
}

describe('vllm-project/vllm#52997', () => {
  beforeAll(async () => {
    await tf.setBackend('wasm');
    await tf.setBackend('cpu');
  });

  for (const rows of [64, 192]) {
    it(`shards of ${rows} rows and of ${rows} columns of blocks of 128 equal the whole`, async () => {
      const devices = ['cpu', 'wasm', 'cpu'];
      const size = rows * devices.length;
      const checkpoint = await openCheckpoint(files(size, size));
      const layer = await checkpoint.linear('up', {inputQuantization: 'none', inputPrecision: 'float32'});
      const x = tf.tensor2d(randomX(2, size), [2, size]);
      const expected = layer.forward(x);
      const whole = layer.weight.dequantize();
      for (const strategy of [ShardingStrategy.rowwise(3), ShardingStrategy.columnwise(3), ShardingStrategy.gateUp(3)]) {
        const spread = ShardedLinear.of(layer, {devices, strategy});
        const [y, back] = [spread.forward(x), spread.weight.dequantize()];
        expect(rowErrors(y.dataSync(), expected.dataSync(), size)).toBeLessThanOrEqual(1e-6);
        expect(rowErrors(back.dataSync(), whole.dataSync(), size)).toBe(0);
        tf.dispose([y, back]);
        spread.dispose();
      }
      tf.dispose([x, expected, whole]);
      layer.dispose();
      await checkpoint.close();
    });
  }
});
