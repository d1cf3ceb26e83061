/** https://github.com/mlc-ai/web-llm/issues/609: always the integrated GPU, and no word of it. */
import {withTwoGPUs} from '../support/two_gpus.js';

describe('mlc-ai/web-llm#609', () => {
  it('passes the power preference on, and reports the adapter', async () => {
    const asked: (GPURequestAdapterOptions | undefined)[] = [];
    let request: GPU['requestAdapter'] | null = null;
    const {registerWebGPU} = await import('../support/webgpu.js');
    await registerWebGPU();
    const {gpu} = navigator;
    request = gpu.requestAdapter.bind(gpu);
    const spy = async (options?: GPURequestAdapterOptions) => {
      asked.push(options);
      return (request as GPU['requestAdapter'])(options);
    };
    Object.defineProperty(gpu, 'requestAdapter', {value: spy, configurable: true, writable: true});
    try {
      await withTwoGPUs({powerPreference: 'high-performance'}, async (manager) => {
        expect(asked.map((options) => options?.powerPreference)).toEqual(['high-performance', 'high-performance']);
        const info = manager.listDevices().find(({name}) => name === 'webgpu:0');
        expect(info?.adapter).not.toBeNull();
        expect(info?.limits.maxBufferSize).toBeGreaterThan(0);
        expect(manager.report().notes.filter((note) => /^webgpu:[01] runs on ./.test(note)).length).toBe(2);
      });
    } finally {
      Object.defineProperty(gpu, 'requestAdapter', {value: request, configurable: true, writable: true});
    }
  });
});
