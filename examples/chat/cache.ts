/** Keys and values of the past positions of all layers. */
import {PastPositions} from 'tfjs-linear';
import type {LlamaConfig} from './config.js';

export class KeyValueCache {
  private readonly layers: readonly PastPositions[];

  constructor({layerCount, keyHeadCount, headDim}: LlamaConfig) {
    this.layers = Array.from({length: layerCount}, () => new PastPositions({keyHeads: keyHeadCount, headDim}));
  }

  /** Positions held in every layer. */
  get length(): number {
    return Math.min(...this.layers.map(({length}) => length));
  }

  layer(index: number): PastPositions {
    return this.layers[index] as PastPositions;
  }

  dispose(): void {
    for (const layer of this.layers) layer.dispose();
  }
}
