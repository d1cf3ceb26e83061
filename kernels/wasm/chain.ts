/** Chain on wasm: every step reads and writes memory of the backend that is kept for it, and only the last one a tensor. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import {type ChainAttrs, lastUses} from '../chain.js';
import {attendAt} from './attention.js';
import {fusedAt, fusedBytes} from './fused_matmul.js';
import {heapOf, type WasmBackend} from './module.js';

export const chain: KernelFunc = ({inputs, backend, attrs}) => {
  const {links} = attrs as unknown as ChainAttrs;
  const heap = heapOf(backend);
  const x = inputs.x as TensorInfo;
  const rows = x.shape[0] as number;
  const last = links.length - 1;
  const out = (backend as unknown as WasmBackend).makeOutput([rows, (links[last] as {width: number}).width], 'float32');
  const widest = Math.max(0, ...links.slice(0, last).map(({width}) => width));
  const bytes = 4 * rows * widest;
  const uses = lastUses(links.map((link) => ('words' in link ? link.residual : 0)));
  const places = placesOf(uses);
  const own = Math.max(...links.map((link) => ('words' in link ? fusedBytes(rows, link.product, link.norm !== null) : 0)));
  const spare = heap.spare(own + bytes * Math.max(0, ...places));
  // Address of what each step is given.
  const given = [heap.address(x)];
  links.forEach((link, i) => {
    const from = given[i] as number;
    const to = i === last ? heap.address(out) : spare + own + bytes * ((places[i + 1] as number) - 1);
    if ('words' in link) {
      const {words, bias, norm, residual, product} = link;
      const added = residual === 0 ? 0 : (given[i + 1 - residual] as number);
      const scale = norm === null ? 0 : heap.address(norm);
      fusedAt({heap, x: from, rows, y: to, spare, norm: scale, residual: added}, bias === null ? {words} : {words, bias}, product);
    } else attendAt(heap, from, rows, link, to);
    given.push(to);
  });
  return out as unknown as TensorInfo;
};

/** Which place, from 1, what step i is given lies in; 0 for x. A place is free after its last use. */
function placesOf(lastUse: readonly number[]): number[] {
  const places = [0];
  /** By place: the last use of what lies there. */
  const until: number[] = [];
  for (let i = 1; i < lastUse.length; i++) {
    // What step i is given is written by the step before, whose own inputs are still there.
    let place = until.findIndex((use) => use < i - 1);
    if (place < 0) place = until.length;
    until[place] = lastUse[i] as number;
    places.push(place + 1);
  }
  return places;
}
