/**
 * Our WebAssembly module inside tf.js's wasm heap: it imports the backend's own memory, so tensors are read and written
 * in place and tf.js accounts for them. One instance and one scratch area a backend.
 */
import {remember} from '../memo.js';
import type {DotKind} from './choose.js';
import {PLAIN, RELAXED} from './generated/binary.js';

/** The part of tf.js's wasm backend that we use. */
export interface WasmBackend {
  wasm: {
    _malloc(bytes: number): number;
    _free(address: number): void;
    /** Threaded builds. */
    wasmMemory?: WebAssembly.Memory;
    /** Single-threaded builds: the module's exports, its memory among them. */
    asm?: Record<string, unknown>;
  };
  dataIdMap: {get(dataId: object): {memoryOffset: number}};
  disposeData(dataId: object): boolean;
  makeOutput(shape: number[], dtype: string): {dataId: object; shape: number[]; dtype: string};
}

/** Rows begin..end of W times one row of x. */
type OneRow = (
  w: number,
  d: number,
  a: number,
  steps: number,
  sums: number,
  block: number,
  blocks: number,
  begin: number,
  end: number,
  y: number,
  scratch: number,
) => void;

/** Addresses and counts are 32-bit integers; see assembly/*.ts for what each is. */
export interface WasmExports {
  unpackRows(
    w: number,
    d: number,
    rows: number,
    first: number,
    end: number,
    count: number,
    out: number,
    bytes: number,
    floats: number,
  ): number;
  packFloats(x: number, order: number, inDim: number, count: number, rows: number, out: number): void;
  prepareRow(
    x: number,
    order: number,
    inDim: number,
    block: number,
    lanes: number,
    a: number,
    steps: number,
    sums: number,
    gathered: number,
  ): number;
  gemv: OneRow;
  dotKind(low: number, high: number): number;
  prepareBytes(a: number, inDim: number, lanes: number, two: number, out: number): void;
  prepareCodes(
    codes: number,
    scales: number,
    columns: number,
    order: number,
    inDim: number,
    block: number,
    lanes: number,
    a: number,
    steps: number,
    sums: number,
  ): void;
  gemvDots(...args: [...Parameters<OneRow>, lanes: number, how: number]): void;
  gemvBytes: OneRow;
  packRows(
    a: number,
    steps: number,
    sums: number,
    inDim: number,
    blocks: number,
    count: number,
    kind: number,
    together: number,
    out: number,
    outSteps: number,
    outSums: number,
  ): void;
  gemm(
    w: number,
    d: number,
    a: number,
    steps: number,
    sums: number,
    rows: number,
    block: number,
    blocks: number,
    begin: number,
    end: number,
    y: number,
    yStride: number,
    scratch: number,
    kind: number,
    together: number,
  ): void;
  gemmFloats(w: number, d: number, x: number, rows: number, begin: number, end: number, y: number, yStride: number, scratch: number): void;
  prepareFloats(x: number, order: number, inDim: number, lanes: number, factor: number, out: number): number;
  gemvFloats(w: number, d: number, x: number, block: number, blocks: number, begin: number, end: number, y: number, scratch: number): void;
  quantize(d: number, x: number, given: number, m: number, k: number, count: number, out: number, scales: number, inverses: number): void;
  appendHeads(
    qkv: number,
    count: number,
    heads: number,
    keyHeads: number,
    dim: number,
    cos: number,
    sin: number,
    length: number,
    keys: number,
    values: number,
    capacity: number,
    q: number,
  ): void;
  attend(
    q: number,
    begin: number,
    end: number,
    count: number,
    heads: number,
    group: number,
    dim: number,
    length: number,
    keys: number,
    values: number,
    capacity: number,
    scores: number,
    out: number,
  ): void;
  gated(x: number, rows: number, n: number, kind: number, out: number): void;
  rmsNorm(x: number, weight: number, rows: number, k: number, epsilon: number, out: number): void;
  addTo(y: number, x: number, count: number): void;
  finish(y: number, bias: number, rows: number, n: number, kind: number): void;
  runChain(steps: number, count: number, control: number, own: number, thread: number, threads: number): number;
}

/** Memory of the backend that grows to what is asked for, and is kept. */
export class Area {
  private address = 0;
  private bytes = 0;

  /** @param alignment a power of two, in bytes */
  constructor(
    private readonly backend: WasmBackend,
    private readonly alignment: number,
  ) {}

  /** An aligned address of so many bytes, with 64 spare ones for loads past the end. What lay there is gone where it grows. */
  of(bytes: number): number {
    if (bytes > this.bytes) {
      this.free();
      this.bytes = Math.ceil((bytes * 5) / 4);
      this.address = this.backend.wasm._malloc(this.bytes + this.alignment + 64);
    }
    return (this.address + this.alignment - 1) & -this.alignment;
  }

  free(): void {
    // A backend that tf.js has removed holds nothing any more.
    if (this.address !== 0) (this.backend.wasm as WasmBackend['wasm'] | null)?._free(this.address);
    this.address = 0;
    this.bytes = 0;
  }
}

export class WasmHeap {
  exports: WasmExports;
  /** The engine has relaxed SIMD: float32 products and sums are fused. */
  readonly relaxed: boolean;
  /** How the engine multiplies bytes. */
  readonly dots: DotKind;
  protected readonly memory: WebAssembly.Memory;
  private view = new Int32Array(0);
  private readonly scratchArea: Area;
  private readonly spareArea: Area;
  private readonly tables = new Map<string, number>();

  constructor(protected readonly backend: WasmBackend) {
    this.scratchArea = new Area(backend, 64);
    this.spareArea = new Area(backend, 64);
    this.memory = findMemory(backend);
    const {module, relaxed} = compiled(isShared(this.memory));
    this.relaxed = relaxed;
    this.exports = new WebAssembly.Instance(module, {env: {memory: this.memory}}).exports as unknown as WasmExports;
    this.dots = this.exports.dotKind(127, 255) as DotKind;
  }

  /** Address of a tensor's data. */
  address(t: {dataId: object}): number {
    return this.backend.dataIdMap.get(t.dataId).memoryOffset;
  }

  /** Bytes that stay valid until the next call of `scratch`; 16-byte aligned, with 64 spare bytes for loads past the end. */
  scratch(bytes: number): number {
    return this.scratchArea.of(bytes);
  }

  /** As `scratch`, for what has to outlive calls of that: valid until the next call of `spare`. */
  spare(bytes: number): number {
    return this.spareArea.of(bytes);
  }

  /** Threads that share calls. */
  get threads(): number {
    return 1;
  }

  /**
   * Walks `count` steps at an address (assembly/chain.ts). ownBytes: what a thread needs for itself; the memory of `scratch` is used.
   * @param _cost of all, in 4-bit multiplications
   */
  runChain(steps: number, count: number, ownBytes: number, _cost: number): void {
    this.exports.runChain(steps, count, 0, this.scratch(ownBytes), 0, 1);
  }

  /** Address of a decode table, uploaded once a key and kept: at most 1 KiB each, a few in all. */
  table(key: string, make: () => Float32Array | Int8Array): number {
    return remember(this.tables, key, () => {
      const values = make();
      const address = this.backend.wasm._malloc(values.byteLength + 16);
      new Uint8Array(this.memory.buffer, address, values.byteLength).set(
        new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
      );
      return address;
    });
  }

  /** Gives back what it took of the backend's memory. */
  dispose(): void {
    this.scratchArea.free();
    this.spareArea.free();
    const {wasm} = this.backend as {wasm: WasmBackend['wasm'] | null};
    for (const address of this.tables.values()) wasm?._free(address);
    this.tables.clear();
  }

  /** Copies 32-bit fields into the heap. */
  write(address: number, fields: Int32Array): void {
    this.words.set(fields, address >>> 2);
  }

  /** The memory in 32-bit words; made anew where it has grown, which detaches old views. */
  protected get words(): Int32Array {
    const {buffer} = this.memory;
    if (this.view.buffer !== buffer) this.view = new Int32Array(buffer);
    return this.view;
  }
}

const modules = new Map<boolean, {module: WebAssembly.Module; relaxed: boolean}>();

/** Our module, for a shared memory or an unshared one; with relaxed SIMD where the engine has it. Compiled once. */
export function compiled(shared: boolean): {module: WebAssembly.Module; relaxed: boolean} {
  return remember(modules, shared, () => {
    const fused = binary(RELAXED, shared);
    const relaxed = WebAssembly.validate(fused);
    return {module: new WebAssembly.Module(relaxed ? fused : binary(PLAIN, shared)), relaxed};
  });
}

/** Bits of what a module says of a memory. Source: WebAssembly core specification 5.3.7, and the threads proposal. */
export const HAS_MAXIMUM = 1;
export const IS_SHARED = 2;

/** Bytes of a module that imports a shared memory, or an unshared one. */
export function binary({hex, memoryFlagsAt}: {hex: string; memoryFlagsAt: number}, shared: boolean): Uint8Array<ArrayBuffer> {
  const bytes = decodeHex(hex);
  if (shared) bytes[memoryFlagsAt] = HAS_MAXIMUM | IS_SHARED;
  return bytes;
}

const heaps = new WeakMap<object, WasmHeap>();

/** Gives a backend a heap of another kind than its own; null: its own again. What the one before took is free. */
export function replaceHeap(backend: object, heap: WasmHeap | null): void {
  heaps.get(backend)?.dispose();
  if (heap === null) heaps.delete(backend);
  else heaps.set(backend, heap);
}

/** The heap of a backend instance, made at first use. */
export function heapOf(backend: object): WasmHeap {
  return remember(heaps, backend, () => new WasmHeap(backend as WasmBackend));
}

/** Whether threads can share a memory. */
export function isShared(memory: WebAssembly.Memory): boolean {
  return typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer;
}

/** The memory that a backend's tensors lie in. */
export function findMemory(backend: WasmBackend): WebAssembly.Memory {
  const {wasmMemory, asm} = backend.wasm;
  if (wasmMemory !== undefined) return wasmMemory;
  const found = Object.values(asm ?? {}).find((v) => v instanceof WebAssembly.Memory);
  if (found === undefined) throw new Error("tfjs-linear: this build of tf.js's wasm backend exposes no memory; 4.22 does.");
  return found as WebAssembly.Memory;
}

export function decodeHex(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}
