/** What the peers' benchmark loads of us: the package, the chat model, and packed weights of random codes. */
import {QuantizedWeight} from '../src/index.js';
import {randomWords} from '../test/grid/bench_weights.js';
import {buildWeight, type Structure} from '../test/grid/layouts.js';

export {loadLlama} from '../examples/chat/load.js';
export * from '../src/index.js';

/** A weight of this structure with random codes, as the bench has them: 8-bit floats of ordinary size. */
export function randomWeight(structure: Structure): QuantizedWeight {
  const {layout} = buildWeight('bench', structure, 1);
  return QuantizedWeight.fromWords(layout, randomWords(layout));
}
