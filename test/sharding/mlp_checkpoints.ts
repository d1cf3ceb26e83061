import type {SafetensorsDtype} from '../../src/io/safetensors_types.js';
import {writeSafetensors} from '../../src/io/safetensors_writer.js';

export const PROJECTIONS = ['gate_proj', 'up_proj', 'down_proj'];

/** Small checkpoints with an MLP [64, 160]: fp8 with dynamic rounding of x, block scales of 32 rows, and bfloat16. */
export function checkpoints() {
  const tensors = (dtype: SafetensorsDtype, scale: ((n: number, k: number) => number[]) | null) => () =>
    writeSafetensors(
      PROJECTIONS.flatMap((name, i) => {
        const [n, k] = name === 'down_proj' ? [64, 160] : [160, 64];
        const size = dtype === 'F8_E4M3' ? 1 : 2;
        const codes = new Uint8Array(n * k * size);
        // Small numbers of either sign: no NaN, no subnormals alone.
        codes.forEach((_, at) => {
          const r = (at * 2654435761 + i * 40503) >>> 0;
          if (size === 1) codes[at] = ((r >>> 7) % 0x60) | (r & 0x80);
          else if (at % 2 === 1) codes[at] = 0x3d | (r & 0x80);
          else codes[at] = r >>> 9;
        });
        const list = [{name: `mlp.${name}.weight`, dtype, shape: [n, k], data: codes}];
        if (scale !== null) {
          const shape = scale(n, k);
          const scales = Float32Array.from({length: shape.reduce((a, b) => a * b, 1)}, (_, at) => 0.01 + ((at * 7) % 13) / 1000);
          const key = shape[1] === 1 ? 'weight_scale' : 'weight_scale_inv';
          list.push({name: `mlp.${name}.${key}`, dtype: 'F32', shape, data: new Uint8Array(scales.buffer)});
        }
        return list;
      }),
    );
  const perChannel = {
    quantization_config: {
      quant_method: 'compressed-tensors',
      format: 'float-quantized',
      config_groups: {
        group_0: {
          targets: ['Linear'],
          weights: {num_bits: 8, type: 'float', strategy: 'channel', symmetric: true, dynamic: false},
          input_activations: {num_bits: 8, type: 'float', strategy: 'token', symmetric: true, dynamic: true},
        },
      },
    },
  };
  const blocks = {quantization_config: {quant_method: 'fp8', activation_scheme: 'dynamic', fmt: 'e4m3', weight_block_size: [32, 32]}};
  return [
    {name: 'fp8 a channel, x rounded a token', file: tensors('F8_E4M3', (n) => [n, 1]), quantization: perChannel},
    {name: 'fp8 in blocks', file: tensors('F8_E4M3', (n, k) => [n / 32, k / 32]), quantization: blocks},
    {name: 'bfloat16', file: tensors('BF16', null), quantization: {}},
  ];
}
