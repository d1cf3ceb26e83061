/** Modules as the files of a checkpoint in memory, and products to compare with. */
import type {Module} from '../../src/formats/format.js';
import type {SafetensorsDtype} from '../../src/io/safetensors_types.js';
import {writeSafetensors} from '../../src/io/safetensors_writer.js';
import {seeded} from './packed_build.js';

/** model.safetensors with every module's tensors, and a config.json with the first one's quantisation config. */
export function checkpointFiles(...modules: readonly Module[]): Record<string, Uint8Array> {
  const tensors = modules.flatMap(({module, tensors}) =>
    [...tensors].map(([name, t]) => ({name: `${module}.${name}`, dtype: t.dtype as SafetensorsDtype, shape: t.shape, data: t.data})),
  );
  const config = JSON.stringify({model_type: 'llama', quantization_config: modules[0]?.quantization ?? undefined});
  return {'model.safetensors': writeSafetensors(tensors), 'config.json': new TextEncoder().encode(config)};
}

/** x [rows, K] with numbers in [-1, 1). */
export function inputs(rows: number, inDim: number, seed = 1): Float32Array {
  const random = seeded(seed);
  return Float32Array.from({length: rows * inDim}, () => 2 * random() - 1);
}

/** x . W^T in float64, [rows, N]. */
export function product(x: Float32Array, weight: Float32Array, inDim: number): Float64Array {
  const outDim = weight.length / inDim;
  return Float64Array.from({length: (x.length / inDim) * outDim}, (_, i) => {
    const [m, n] = [Math.floor(i / outDim), i % outDim];
    let sum = 0;
    for (let k = 0; k < inDim; k++) sum += x[m * inDim + k]! * weight[n * inDim + k]!;
    return sum;
  });
}
