/** Chain on wasm: every step reads and writes memory of the backend that is kept for it, and only the last one a tensor. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import {type ChainAttrs, type ChainLink, lastUses} from '../chain.js';
import {attendAt} from './attention.js';
import {type ChainPlan, type Places, planOf, stepsOf} from './chain_steps.js';
import {fusedAt, fusedBytes} from './fused_matmul.js';
import {heapOf, type WasmBackend, type WasmHeap} from './module.js';

export const chain: KernelFunc = ({inputs, backend, attrs}) => {
  const {links} = attrs as unknown as ChainAttrs;
  const heap = heapOf(backend);
  const x = inputs.x as TensorInfo;
  const rows = x.shape[0] as number;
  const out = (backend as unknown as WasmBackend).makeOutput([rows, (links[links.length - 1] as ChainLink).width], 'float32');
  const plan = rows === 1 ? planOf(heap, links) : null;
  if (plan === null) stepByStep(heap, links, rows, x, out);
  else atOnce(heap, links, plan, x, out);
  return out as unknown as TensorInfo;
};

/** A call of the module for each kernel. */
function stepByStep(heap: WasmHeap, links: readonly ChainLink[], rows: number, x: TensorInfo, out: {dataId: object}): void {
  const own = Math.max(...links.map((link) => ('words' in link ? fusedBytes(rows, link.product, link.norm !== null) : 0)));
  const between = betweenOf(links, rows);
  const spare = heap.spare(own + between.bytes);
  const places = placesIn(between, spare + own, links, heap.address(x), heap.address(out));
  links.forEach((link, i) => {
    const {x: from, out: to, residual} = places[i] as Places;
    if ('words' in link) {
      const {words, bias, norm, product} = link;
      const scale = norm === null ? 0 : heap.address(norm);
      fusedAt({heap, x: from, rows, y: to, spare, norm: scale, residual}, bias === null ? {words} : {words, bias}, product);
    } else attendAt(heap, from, rows, link, to);
  });
}

/** One call for all. */
function atOnce(heap: WasmHeap, links: readonly ChainLink[], plan: ChainPlan, x: TensorInfo, out: {dataId: object}): void {
  const between = betweenOf(links, 1);
  const base = heap.spare(plan.stepBytes + plan.ungatedBytes + between.bytes);
  const ungated = base + plan.stepBytes;
  const places = placesIn(between, ungated + plan.ungatedBytes, links, heap.address(x), heap.address(out));
  heap.write(base, stepsOf(heap, links, plan, places, base, ungated));
  heap.runChain(base, links.length, plan.ownBytes, plan.cost);
}

interface Between {
  /** Of a result. */
  readonly each: number;
  readonly bytes: number;
  /** Which place, from 1, what step i is given lies in; 0 for x. */
  readonly places: readonly number[];
}

/** Memory for what goes from step to step: a place is free after its last use. */
function betweenOf(links: readonly ChainLink[], rows: number): Between {
  const last = lastUses(links.map((link) => ('words' in link ? link.residual : 0)));
  const places = [0];
  /** By place: the last use of what lies there. */
  const until: number[] = [];
  for (let i = 1; i < last.length; i++) {
    // What step i is given is written by the step before, whose own inputs are still there.
    let place = until.findIndex((use) => use < i - 1);
    if (place < 0) place = until.length;
    until[place] = last[i] as number;
    places.push(place + 1);
  }
  const each = ((4 * rows * Math.max(0, ...links.slice(0, -1).map(({width}) => width)) + 63) & -64) as number;
  return {each, places, bytes: each * until.length};
}

/** Addresses of every step, with those places from `start` on. */
function placesIn({each, places}: Between, start: number, links: readonly ChainLink[], x: number, out: number): Places[] {
  const given = places.map((place) => (place === 0 ? x : start + each * (place - 1)));
  return links.map((link, i) => {
    const back = 'words' in link ? link.residual : 0;
    return {x: given[i] as number, out: given[i + 1] ?? out, residual: back === 0 ? 0 : (given[i + 1 - back] as number)};
  });
}
