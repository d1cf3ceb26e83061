/** https://github.com/mlc-ai/web-llm/issues/192: which adapters are used, where two exist or seem to. */
import {withTwoGPUs} from '../support/two_gpus.js';

describe('mlc-ai/web-llm#192', () => {
  it('says plainly that two devices of one adapter are the same physical GPU', async () => {
    await withTwoGPUs({}, async (manager) => {
      const info = manager.listDevices().find(({name}) => name === 'webgpu:0');
      expect(info?.samePhysicalDeviceAs).toContain('webgpu:1');
      expect(manager.report().notes).toContain(
        'webgpu:0 and webgpu:1 are the same physical GPU: two of them hold more, but are not faster.',
      );
    });
  });
});
