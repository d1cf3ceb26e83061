/** What the peers' benchmark loads of us: the package, the chat model, and packed weights of random codes. */
import {QuantizedWeight} from '../src/index.js';
import {buildWeight, type Structure} from '../test/grid/layouts.js';

export {loadLlama} from '../examples/chat/load.js';
export * from '../src/index.js';

/** A weight of this structure with random codes, seeded. */
export function randomWeight(structure: Structure): QuantizedWeight {
  const {layout, words} = buildWeight('bench', structure, 1);
  return QuantizedWeight.fromWords(layout, words);
}
