/** What a device must be able to do to hold shards. tf.js backends of this process do; a device on another machine can. */
import * as tf from '@tensorflow/tfjs';
import type {Activation} from '../../kernels/activation.js';
import {gatedActivation} from '../../kernels/fused.js';
import {activateTensor} from '../../kernels/gradients.js';
import {DeviceRef, onDevice} from '../device.js';
import {DeviceError, DeviceLostError, TfjsLinearError} from '../errors.js';
import type {CoreConfig} from '../layers/linear_core.js';
import {LocalShard} from './local_shard.js';
import {checkReadable, copyTo, copyToAsync, isStarted} from './transfer.js';

/** A value that lives on a device; only its device knows what is inside. */
export type Held = object;

/** A weight and bias that lie on a device. */
export interface PlacedShard {
  /** Bytes on the device. */
  readonly byteLength: number;
}

/** What follows the products of a run: an activation, or the gating of gate and up. */
export interface After {
  readonly activation?: Activation | null;
  /** act(first half) * second half; the halves are two shards' results, or those of one shard's rows. */
  readonly gated?: Activation;
}

/** Calls on one device happen in order; calls on several may overlap. `Async` variants never throw synchronously. */
export interface ShardDevice<Shard extends PlacedShard = PlacedShard> {
  readonly name: string;
  /** Does `run` return when the work is done (cpu, wasm), not when it is submitted? Such devices are given theirs last. */
  readonly blocks: boolean;
  /** Puts a weight and bias there. */
  place(config: CoreConfig): Shard;
  /** x of this process to the device. Throws DeviceError where only `sendAsync` can. */
  send(x: tf.Tensor): Held;
  sendAsync(x: tf.Tensor): Promise<Held>;
  /** x . W^T + b of each shard with its x [M, columns], side by side, and what follows. Throws DeviceLostError. */
  run(shards: readonly Shard[], xs: readonly Held[], after: After): Held;
  /** A result as a tensor on `home`, a backend of this process. Throws DeviceError where only `gatherAsync` can. */
  gather(y: Held, home: string): tf.Tensor;
  gatherAsync(y: Held, home: string): Promise<tf.Tensor>;
  /** Frees a shard. */
  release(shard: Shard): void;
}

/** A registered tf.js backend. */
export class LocalDevice implements ShardDevice<LocalShard> {
  readonly ref: DeviceRef;

  constructor(readonly name: string) {
    this.ref = new DeviceRef(name);
  }

  get blocks(): boolean {
    return this.name === 'cpu' || this.name === 'wasm' || this.name === 'tensorflow';
  }

  place(config: CoreConfig): LocalShard {
    return this.guarded(() => new LocalShard({...config, device: this.ref}));
  }

  send(x: tf.Tensor): tf.Tensor {
    checkReadable(x, this.name);
    return this.guarded(() => copyTo(x, this.name));
  }

  sendAsync(x: tf.Tensor): Promise<tf.Tensor> {
    return this.guardedAsync(copyToAsync(x, this.name));
  }

  run(shards: readonly LocalShard[], xs: readonly Held[], {activation = null, gated}: After): tf.Tensor {
    return this.guarded(() =>
      onDevice(this.ref, () =>
        tf.tidy(() => {
          const ys = shards.map((shard, i) => shard.product(xs[i] as tf.Tensor, activation));
          if (gated === undefined) return ys.length === 1 ? (ys[0] as tf.Tensor) : tf.concat(ys, -1);
          if (ys.length === 1) return gatedActivation(ys[0] as tf.Tensor, gated);
          return tf.mul(activateTensor(gated, ys[0] as tf.Tensor), ys[1] as tf.Tensor);
        }),
      ),
    );
  }

  gather(y: Held, home: string): tf.Tensor {
    checkReadable(y as tf.Tensor, home);
    return this.guarded(() => copyTo(y as tf.Tensor, home));
  }

  gatherAsync(y: Held, home: string): Promise<tf.Tensor> {
    return this.guardedAsync(copyToAsync(y as tf.Tensor, home));
  }

  release(shard: LocalShard): void {
    shard.free();
  }

  toString(): string {
    return this.name;
  }

  private guarded<T>(f: () => T): T {
    try {
      return f();
    } catch (error) {
      throw this.blamed(error);
    }
  }

  private async guardedAsync<T>(promise: Promise<T>): Promise<T> {
    try {
      return await promise;
    } catch (error) {
      throw this.blamed(error);
    }
  }

  /** What the backend throws, by itself or as DeviceError, is the device's fault; our other errors are the caller's. */
  private blamed(error: unknown): unknown {
    const callers = error instanceof TfjsLinearError && !(error instanceof DeviceError);
    return callers || error instanceof DeviceLostError || !isStarted(this.name) ? error : new DeviceLostError(this.name, error);
  }
}

/** The device of a backend name. */
export function localDevice(device: DeviceRef | string): LocalDevice {
  return new LocalDevice(typeof device === 'string' ? device : device.backendName);
}
