/** The backends that start in this browser. */
import * as tf from '@tensorflow/tfjs';
import {setWasmPaths} from '@tensorflow/tfjs-backend-wasm';
import '@tensorflow/tfjs-backend-webgpu';
import {listDevices} from 'tfjs-linear';
import {breathe, onBackend} from './queue.js';

export interface StartedBackend {
  readonly name: string;
  readonly runs: boolean;
  /** 'runs', or why it does not. */
  readonly state: string;
  readonly adapter: string;
}

/** Starts each in turn; cpu, which always starts, stays current. */
export async function startBackends(names: readonly string[]): Promise<StartedBackend[]> {
  setWasmPaths(new URL('tfjs-backend-wasm/', document.baseURI).href);
  const reasons: (string | null)[] = [];
  for (const name of names) {
    await breathe();
    reasons.push(await start(name));
  }
  await onBackend('cpu', () => undefined);
  const devices = listDevices();
  return names.map((name, i) => ({
    name,
    runs: reasons[i] === null,
    state: reasons[i] ?? 'runs',
    adapter: devices.find((device) => device.name === name)?.adapter?.description ?? '',
  }));
}

async function start(name: string): Promise<string | null> {
  try {
    return await onBackend(name, () => (tf.getBackend() === name ? null : 'does not start here'));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
