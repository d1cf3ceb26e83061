/** What this thread and a thread with a device of its own say to each other. Ids name tensors: those of this thread from 1, the other's from -1. */
import type * as tf from '@tensorflow/tfjs';

export interface RemoteTensor {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: tf.DataType;
}

export type RemoteInputs = readonly RemoteTensor[] | Readonly<Record<string, RemoteTensor | readonly RemoteTensor[] | undefined>>;

/** `seq` 0: no answer is waited for, and a failure is told by the next one. */
export type Request = {readonly seq: number} & (
  | {readonly op: 'write'; readonly tensor: RemoteTensor; readonly values: tf.TypedArray}
  /** `output`: the one result's id, where this thread knows its shape; else the answer has the results. */
  | {readonly op: 'run'; readonly kernel: string; readonly inputs: RemoteInputs; readonly attrs: object; readonly output: number | null}
  | {readonly op: 'read'; readonly id: number}
  | {readonly op: 'free'; readonly id: number}
);

export interface Failure {
  readonly name: string;
  readonly message: string;
}

export interface Answer {
  readonly seq: number;
  readonly results?: RemoteTensor | RemoteTensor[];
  readonly values?: tf.TypedArray;
  readonly failure?: Failure;
}

/** What the other thread says first. */
export interface Ready {
  readonly kernels: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  readonly adapterInfo: Readonly<Record<string, string | boolean>>;
  readonly failure?: Failure;
}

/** What the other thread is started with. */
export interface RemoteSetup {
  readonly port: import('node:worker_threads').MessagePort;
  /** [0] grows with every answer; [1] is 1 once the thread has ended. */
  readonly signal: Int32Array;
  /** Of `createWebGPUBackend`. */
  readonly options: object;
}
