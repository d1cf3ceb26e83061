/** Where the words of a record are written: on the host, or in place in the memory of tf.js's wasm backend. */
import * as tf from '@tensorflow/tfjs';
import {backendOf} from './holder.js';
import {sectionsOf, type WeightLayout} from './layout.js';
import {AREA_BYTES, LoweringModule, loweringModule} from './lowering.js';
import type {SpareWords} from './spare_words.js';
import {findMemory, type WasmBackend} from './wasm/module.js';
import {allocateWords, type Parts, partsOf} from './words.js';

/** The words of a record, zeroed. Both views are asked for anew after every wait: memory that grows takes old ones away. */
export interface RecordWords {
  readonly words: Int32Array;
  readonly parts: Parts;
  /** What brings codes there fastest; null: plain loops. */
  readonly lowering: LoweringModule | null;
  /** Whether the views stay. */
  readonly onHost: boolean;
}

/** What gives memory for a record. overwritten: as of allocateWords. */
export interface RecordMemory {
  record(layout: WeightLayout, overwritten?: boolean): RecordWords;
}

/** On the host, in spare memory where there is some. */
export function hostRecord(layout: WeightLayout, spare?: SpareWords, overwritten = false): RecordWords {
  const words = allocateWords(layout, spare, overwritten);
  return {words, parts: partsOf(layout, words), lowering: loweringModule(), onHost: true};
}

type Backend = WasmBackend & {write(values: null, shape: number[], dtype: 'int32'): object};

/** Memory of the host, none of it used before. */
export const HOST: RecordMemory = {record: (layout) => hostRecord(layout)};

/** Records in the memory of tf.js's wasm backend, one place each, and what they are lowered with. */
export class WasmRecords {
  private readonly memory: WebAssembly.Memory;
  private lowering: LoweringModule | null = null;
  private places = 0;
  private closed = false;

  constructor(readonly backend: Backend) {
    this.memory = findMemory(backend);
    const at = backend.wasm._malloc(AREA_BYTES) >>> 0;
    try {
      if (at !== 0) this.lowering = new LoweringModule(this.memory, at);
    } catch {
      backend.wasm._free(at);
    }
  }

  /** For one record; to be ended. */
  place(spare: SpareWords): WasmPlace {
    this.places++;
    return new WasmPlace(this, this.memory, spare);
  }

  /** null: nothing can be made here. */
  get module(): LoweringModule | null {
    return this.lowering;
  }

  /** A place is no longer written to. */
  ended(): void {
    this.places--;
    if (this.closed && this.places === 0) this.free();
  }

  /** Gives back what it took, once every place is ended; records stay. */
  close(): void {
    this.closed = true;
    if (this.places === 0) this.free();
  }

  private free(): void {
    // A backend that tf.js has removed holds nothing any more.
    if (this.lowering !== null) (this.backend.wasm as WasmBackend['wasm'] | null)?._free(this.lowering.at);
    this.lowering = null;
  }
}

/** Gives one record memory of the backend, which a tensor takes over. */
export class WasmPlace implements RecordMemory {
  private held: {readonly dataId: object; readonly length: number} | null = null;
  private made: tf.Tensor | null = null;

  constructor(
    private readonly records: WasmRecords,
    private readonly memory: WebAssembly.Memory,
    private readonly spare: SpareWords,
  ) {}

  record(layout: WeightLayout, overwritten = false): RecordWords {
    const {length, codes} = sectionsOf(layout);
    const {backend, module: lowering} = this.records;
    if (lowering === null || length === 0) return hostRecord(layout, this.spare, overwritten);
    const dataId = backend.write(null, [length], 'int32');
    this.held = {dataId, length};
    const address = backend.dataIdMap.get(dataId).memoryOffset;
    // No memory: the backend says so itself when it is given the words.
    if (address === 0) {
      this.drop();
      return hostRecord(layout, this.spare, overwritten);
    }
    const {memory} = this;
    let words = new Int32Array(memory.buffer, address, length);
    let parts = partsOf(layout, words);
    words.fill(0, overwritten ? codes.length : 0);
    const renew = (): void => {
      if (words.buffer === memory.buffer) return;
      words = new Int32Array(memory.buffer, address, length);
      parts = partsOf(layout, words);
    };
    return {
      lowering,
      onHost: false,
      get words() {
        renew();
        return words;
      },
      get parts() {
        renew();
        return parts;
      },
    };
  }

  /** The record as a tensor, the caller's; null where it lies on the host. */
  tensor(): tf.Tensor | null {
    if (this.held === null) return null;
    const {dataId, length} = this.held;
    this.held = null;
    const backend = this.records.backend as unknown as Parameters<ReturnType<typeof tf.engine>['makeTensorFromTensorInfo']>[1];
    this.made = tf.engine().makeTensorFromTensorInfo({dataId, shape: [length], dtype: 'int32'}, backend);
    return this.made;
  }

  /** Frees the record, unless somebody has taken it over. */
  end(): void {
    this.drop();
    this.made?.dispose();
    this.records.ended();
  }

  private drop(): void {
    if (this.held !== null) this.records.backend.disposeData(this.held.dataId);
    this.held = null;
  }
}

/** Places on whichever wasm backend is asked for. */
export class WasmPlaces {
  private records: WasmRecords | null = null;

  constructor(private readonly spare: SpareWords) {}

  /** For one record, to be ended; null where that is no wasm backend. */
  placeOn(backendName: string): WasmPlace | null {
    const backend = wasmBackend(backendName);
    if (backend === null) return null;
    if (this.records?.backend !== backend) {
      this.close();
      this.records = new WasmRecords(backend);
    }
    return this.records.place(this.spare);
  }

  close(): void {
    this.records?.close();
    this.records = null;
  }
}

/** The wasm backend of this name; null for another, and before it has started. */
export function wasmBackend(name: string): Backend | null {
  const backend = name === 'wasm' ? backendOf(name) : undefined;
  return backend !== undefined && 'dataIdMap' in backend ? (backend as Backend) : null;
}
