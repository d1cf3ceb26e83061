/** tf.js backends of this process as devices, and devices by name. */
import * as tf from '@tensorflow/tfjs';
import {gatedActivation, gateTensors} from '../../kernels/fused.js';
import {DeviceRef, nameOf, onDevice} from '../device.js';
import {DeviceError, DeviceLostError, TfjsLinearError} from '../errors.js';
import type {CoreConfig} from '../layers/core_config.js';
import {LocalShard} from './local_shard.js';
import type {After, Held, ShardDevice} from './shard_device.js';
import {checkReadable, copyTo, copyToAsync, isStarted} from './transfer.js';

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

  run(shards: readonly LocalShard[], xs: readonly Held[], {activation = null, gated, limit = null}: After): tf.Tensor {
    return this.guarded(() =>
      onDevice(this.ref, () =>
        tf.tidy(() => {
          const ys = shards.map((shard, i) => shard.product(xs[i] as tf.Tensor, activation));
          if (gated === undefined) return ys.length === 1 ? (ys[0] as tf.Tensor) : tf.concat(ys, -1);
          if (ys.length === 1) return gatedActivation(ys[0] as tf.Tensor, gated, limit);
          return gateTensors(gated, ys[0] as tf.Tensor, ys[1] as tf.Tensor, limit);
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

  window(of: LocalShard, begin: number, outDim: number, name: string): LocalShard {
    const {words: _words, bias: _bias, ...config} = of.config;
    return this.guarded(() => new LocalShard({...config, name, outDim, view: {of, begin}}));
  }

  rows(shard: LocalShard, rows: readonly number[] | null): tf.Tensor {
    return this.guarded(() => (rows === null ? shard.unpack() : shard.unpackRows(rows)));
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
  return new LocalDevice(nameOf(device));
}

/** Devices that are no backends of this process. */
const others = new Map<string, ShardDevice>();

/** From now on layers may lie on it, by its name. */
export function registerDevice(device: ShardDevice): void {
  others.set(device.name, device);
}

/** Forgets a device that `registerDevice` got. */
export function removeDevice(name: string): void {
  others.delete(name);
}

/** A registered device, or the backend of that name. */
export function deviceNamed(device: DeviceRef | string): ShardDevice {
  return others.get(String(device)) ?? localDevice(device);
}
