/** In which order a model's tensors are likely read: layer by layer. Files often have layer 10 after layer 1. */
import type {StoredTensor} from './tensor_table.js';

/** The number of the layer, null where the name has none. */
function layerOf({name}: StoredTensor): number | null {
  const match = /\.(\d+)\./.exec(name);
  return match === null ? null : Number(match[1]);
}

/** By tensor, up to where its file holds layers that are likely read from there on: each has the number of the one before or the next. */
export function runEnds(tensors: Iterable<StoredTensor>): Map<StoredTensor, number> {
  const backwards = [...tensors].sort((a, b) => b.begin - a.begin);
  const ends = new Map<StoredTensor, number>();
  const behind = new Map<StoredTensor['source'], StoredTensor>();
  for (const tensor of backwards) {
    const next = behind.get(tensor.source);
    const [layer, following] = [layerOf(tensor), next === undefined ? null : layerOf(next)];
    const goesOn = following !== null && (following === layer || following === (layer ?? -1) + 1);
    ends.set(tensor, next !== undefined && goesOn ? (ends.get(next) as number) : tensor.begin + tensor.byteLength);
    behind.set(tensor.source, tensor);
  }
  return ends;
}
