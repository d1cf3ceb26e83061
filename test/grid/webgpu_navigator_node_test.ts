/** Where a page has no WebGPU, a refused device must not leave its stand-in behind as navigator.gpu: every later device would be looked for there. */
import {createWebGPUBackend, DeviceError} from '../../src/index.js';

describe('createWebGPUBackend', () => {
  it('leaves navigator as it was where there is no adapter', async () => {
    const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
    Object.defineProperty(globalThis, 'navigator', {value: {}, configurable: true});
    try {
      const gpu = {requestAdapter: async () => null} as unknown as GPU;
      await expectAsync(createWebGPUBackend({name: 'webgpu:none', gpu})).toBeRejectedWithError(DeviceError, /Received: none/);
      expect((globalThis.navigator as Navigator).gpu).toBeUndefined();
    } finally {
      if (before === undefined) Reflect.deleteProperty(globalThis, 'navigator');
      else Object.defineProperty(globalThis, 'navigator', before);
    }
  });
});
