/** P016, tensorflow/tfjs#7768: the first inference froze the page while shaders compiled. After warmUp() it compiles none of ours. */
import * as tf from '@tensorflow/tfjs';
import {forgetPrograms} from '../../kernels/webgl/program.js';
import {Linear, type QuantizedWeight, warmUp} from '../../src/index.js';
import {GPU_BACKENDS, onBackends} from '../support/gpu_cases.js';
import {webglBackend} from '../support/webgl.js';
import {webgpuBackend} from '../support/webgpu.js';

/** How often the current backend has compiled a program of ours since the call. */
function compilations(backend: string): () => number {
  if (backend === 'webgpu') {
    const compile = spyOn(webgpuBackend().device, 'createComputePipeline').and.callThrough();
    return () => compile.calls.allArgs().filter(([{label}]) => /gem|plain|prepare|unpack|quantize/.test(label ?? '')).length;
  }
  const {gpgpu} = webglBackend();
  const link = spyOn(gpgpu, 'createProgram').and.callThrough();
  // Ours read integer textures; tf.js compiles its own, to fill x for one.
  return () => link.calls.allArgs().filter(([shader]) => /usampler2D/.test(gpgpu.gl.getShaderSource(shader) ?? '')).length;
}

let used = 0;

describe('tensorflow/tfjs#7768', () => {
  onBackends(GPU_BACKENDS, (backend) => {
    for (const warm of [false, true]) {
      it(warm ? 'the first product after warmUp() compiles nothing' : 'the first product compiles', async () => {
        // Other specs may have compiled these programs: webgl's serve every shape, and webgpu's are of one that no other spec has.
        if (backend === 'webgl') forgetPrograms(webglBackend());
        const layer = new Linear({inDim: 256 * (3 + used++), outDim: 8, hasBias: true, quantizationEncoding: warm ? 'Q6_K' : 'Q5_K'});
        if (warm) await warmUp(layer.weight as QuantizedWeight, {rows: [1, 5], bias: true, activations: [null], unpack: true});
        const count = compilations(backend);
        const outputs = [1, 5].map((rows) => tf.tidy(() => layer.forward(tf.ones([rows, layer.inDim]))));
        outputs.push(layer.weight.dequantizeRows([3]) as tf.Tensor2D);
        await Promise.all(outputs.map((y) => y.data()));
        if (warm) expect(count()).toBe(0);
        else expect(count()).toBeGreaterThan(0);
        tf.dispose(outputs);
        layer.dispose();
      });
    }
  });
});
