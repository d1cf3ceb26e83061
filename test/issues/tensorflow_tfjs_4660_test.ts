/** P014, tensorflow/tfjs#4660: int32 values damaged by a round trip through a float texture. */
import {ops, QuantizedWeight} from '../../src/index.js';
import {layoutWords} from '../support/plain_words.js';
import {describeWebgl} from '../support/webgl.js';

describeWebgl('tensorflow/tfjs#4660', () => {
  it('packed words are sliced and read back bit by bit', async () => {
    // Rows of one word each, eight codes of four bits.
    const hard = [-1, 0x7fffffff, 0x01000001, -0x80000000, 0x7f800001];
    const layout = {...layoutWords(1), outDim: 400};
    const words = Int32Array.from({length: 400}, (_, i) => hard[i % hard.length] as number);
    const weight = QuantizedWeight.fromWords(layout, words.slice());
    const onDevice = ops.unpackWeight(weight);
    onDevice.dispose();
    const some = weight.slice({rows: [201, 206]});
    expect(await some.words.data()).toEqual(words.slice(201, 206));
    const unpacked = ops.unpackWeight(some);
    expect([...(await unpacked.data())].slice(0, 8)).toEqual([15, 15, 15, 15, 15, 15, 15, 7]);
    expect(await some.words.data()).toEqual(words.slice(201, 206));
    expect(await weight.words.data()).toEqual(words);
    unpacked.dispose();
    some.dispose();
    weight.dispose();
  });
});
