/** The part of tfjs-node's backend that we use, and TensorFlow's numbers for dtypes and attribute kinds. */
import type {Tensor, TensorInfo} from '@tensorflow/tfjs';

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
}

export interface NodeBackend {
  readonly isUsingGpuDevice: boolean;
  readonly tensorMap: {get(dataId: object): NodeEntry};
  readonly binding: {
    readonly TF_Version: string;
    executeOp(name: string, attributes: readonly Attribute[], inputs: readonly number[], outputs: number): Handle[];
    createTensor(shape: readonly number[], dtype: number, values: Float32Array | Int32Array): number;
    deleteTensor(id: number): void;
    tensorDataSync(id: number): Float32Array | Int32Array;
  };
  /** Uploads what is still on the host. */
  getInputTensorIds(tensors: readonly TensorInfo[]): number[];
  /** A tf.js tensor over a handle, which it owns from here on. */
  createOutputTensor(handle: Handle): Tensor;
  readSync(dataId: object): Float32Array | Int32Array;
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
