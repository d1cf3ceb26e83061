/** The support matrix of one backend, as scripts/support_matrix.mjs calls it in a process or a page of its own. */
import * as tf from '@tensorflow/tfjs';
import {createWebGPUBackend} from '../../src/index.js';
import {IN_BROWSER} from '../support/environment.js';
import {startBackend} from '../support/start.js';
import {webgpuClass} from '../support/webgpu.js';
import {CASES} from './cases.js';
import {type CheckRow, checkCase} from './check_case.js';

export interface SupportRow extends CheckRow {
  readonly where: 'node' | 'browser';
}

export interface SupportRequest {
  readonly backend: string;
  /** Over case names. */
  readonly filter: string | null;
  /** Every kernel by itself too, not only the backend's own choice. */
  readonly forced: boolean;
}

/** A device of ours in place of tf.js's, which asks for neither subgroups nor 16-bit arithmetic: some kernels need them. */
async function openDevice(): Promise<void> {
  await createWebGPUBackend({backendClass: await webgpuClass()});
  await tf.setBackend('webgpu');
}

export async function supportMatrix({backend, filter, forced}: SupportRequest): Promise<{rows: SupportRow[]; failure: string | null}> {
  const failure = await startBackend(backend);
  if (failure !== null) return {rows: [], failure};
  if (backend === 'webgpu') await openDevice();
  const where = IN_BROWSER ? 'browser' : 'node';
  const rows: SupportRow[] = [];
  for (const c of CASES) {
    if (filter !== null && !new RegExp(filter).test(c.name)) continue;
    const {rows: checked, leaked} = await checkCase(c, {forced});
    rows.push(...checked.map((row) => ({...row, where}) as SupportRow));
    if (leaked !== 0) throw new Error(`${c.name} on ${backend}: ${leaked} tensors left`);
  }
  return {rows, failure: null};
}

Object.assign(globalThis, {tflSupport: supportMatrix});
