/** Programs compiled and weights uploaded before they are needed: each product runs once on zeros. */
import type {KernelFunc, NamedAttrMap, TensorInfo} from '@tensorflow/tfjs';
import type {QuantizedWeight} from '../quantized_weight.js';
import type {WarmUpOptions} from '../webgpu/warm_up.js';
import type {WebglBackend} from './backend.js';
import {quantizedMatMul} from './matmul.js';
import {unpackWeight} from './unpack.js';

/** A turn of the page's own: a program compiles in one piece, but not all of them must. */
const turn = () => new Promise<void>((resolve) => setTimeout(resolve));

/** As `warmUp`. Weights on other backends stay there. */
export async function warmUpWebgl(backend: WebglBackend, weights: readonly QuantizedWeight[], options: WarmUpOptions): Promise<void> {
  for (const weight of weights) {
    const {layout, rowStart, rowEnd, words} = weight;
    if (!backend.texData.has(words.dataId)) continue;
    const run = (kernel: KernelFunc, inputs: Record<string, TensorInfo>, attrs: object) => {
      const made = Object.values(inputs);
      made.push(kernel({inputs: {...inputs, words}, backend, attrs: attrs as NamedAttrMap}) as TensorInfo);
      for (const info of made) backend.disposeIntermediateTensorInfo(info);
      return turn();
    };
    const zeros = (...shape: number[]) => backend.makeTensorInfo(shape, 'float32', new Float32Array(shape.reduce((a, b) => a * b)));
    for (const rows of options.rows ?? [1]) {
      for (const activation of options.activations ?? [null]) {
        const inputs = {x: zeros(rows, layout.inDim), ...(options.bias ? {bias: zeros(rowEnd - rowStart)} : {})};
        await run(quantizedMatMul, inputs, {layout, rowStart, rowEnd, activation, inputPrecision: 'auto'});
      }
    }
    if (!options.unpack) continue;
    // One row is enough: the programs are those of all rows.
    await run(unpackWeight, {}, {layout, rowStart, rowEnd: rowStart + 1});
    await run(unpackWeight, {rows: backend.makeTensorInfo([1], 'int32', Int32Array.of(0))}, {layout, rowStart, rowEnd});
  }
}
