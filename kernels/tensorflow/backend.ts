/** The part of tfjs-node's backend that we use, and TensorFlow's numbers for dtypes and attribute kinds. */
import type {TensorInfo} from '@tensorflow/tfjs';

/** What an op returns: a handle of any TensorFlow dtype, owned by the caller until `deleteTensor`. */
export interface Handle {
  readonly id: number;
  readonly shape: readonly number[];
  readonly dtype: number;
}

export interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly value: number | boolean | readonly number[];
}

/** A tensor's entry: `values` waits on the host until first used, then `id` is TensorFlow's handle. */
export interface NodeEntry {
  shape: readonly number[];
  dtype: number;
  id: number;
  values: Float32Array | Int32Array | null;
  refCount: number;
}

export interface NodeBackend {
  readonly isUsingGpuDevice: boolean;
  readonly tensorMap: {get(dataId: object): NodeEntry; set(dataId: object, entry: NodeEntry): void};
  readonly binding: {
    readonly TF_Version: string;
    executeOp(name: string, attributes: readonly Attribute[], inputs: readonly number[], outputs: number): Handle[];
    createTensor(shape: readonly number[], dtype: number, values: Float32Array | Int32Array): number;
    deleteTensor(id: number): void;
    tensorDataSync(id: number): Float32Array | Int32Array;
  };
  /** Uploads what is still on the host. */
  getInputTensorIds(tensors: readonly TensorInfo[]): number[];
  readSync(dataId: object): Float32Array | Int32Array;
  disposeData(dataId: object): boolean;
}

/** TF_DataType of tensorflow/c/tf_datatype.h. */
export const DTYPE = {
  float32: 1,
  float64: 2,
  int32: 3,
  uint8: 4,
  int16: 5,
  int8: 6,
  bfloat16: 14,
  uint16: 17,
  float16: 19,
  uint32: 22,
} as const;

/** TF_AttrType of tensorflow/c/c_api.h. */
export const ATTRIBUTE = {int: 1, float: 2, bool: 3, type: 4} as const;

/** A kernel's output over a float32 or int32 handle, which it owns from here on. */
export function outputOf(backend: NodeBackend, {id, shape, dtype}: Handle): TensorInfo {
  const dataId = {};
  backend.tensorMap.set(dataId, {shape, dtype, id, values: null, refCount: 1});
  return {dataId, shape: [...shape], dtype: dtype === DTYPE.int32 ? 'int32' : 'float32'};
}
