// https://github.com/sonos/tract/issues/2820: an element-wise shader of 64 threads broke past 4 194 240 elements on one axis.
import {QuantizedWeight} from '../../src/index.js';
import {buildWeight} from '../grid/layouts.js';
import {unpacked} from '../support/reference.js';
import {describeWebGPU} from '../support/webgpu.js';

describeWebGPU('sonos/tract#2820', () => {
  it('unpacks a 2200 x 2048 weight to its last row', async () => {
    const named = buildWeight('long', {n: 2200, k: 2048, planes: [4], zero: 8, scales: [['float16', 1, 128]]}, 3);
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const all = weight.dequantize();
    expect((await all.data()).map((v) => v + 0)).toEqual(unpacked(named));
    all.dispose();
    weight.dispose();
  });
});
