/**
 * tfjs-linear/node: the whole package, with kernels for tf.js's backend 'tensorflow' (tfjs-node or tfjs-node-gpu). It takes the backend that is
 * registered already, else imports @tensorflow/tfjs-node-gpu or @tensorflow/tfjs-node, whichever is installed and built.
 */
import fs from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {registerTensorflowKernels} from '../kernels/tensorflow/index.js';
import type {AddOn, Native} from '../kernels/tensorflow/native.js';
import {registeredBackends} from './device.js';
import {DeviceError} from './errors.js';

export * from './index.js';

const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'];

/** The add-on's place: a path to use instead of the package's own build/native, or 'off' for stock TensorFlow ops. */
const NATIVE_VARIABLE = 'TFJS_LINEAR_NATIVE';

const require = createRequire(import.meta.url);

async function findBackend(): Promise<void> {
  const failures: string[] = [];
  for (const name of PACKAGES) {
    if (registeredBackends().includes('tensorflow')) return;
    try {
      await import(name);
    } catch (error) {
      failures.push(`${name}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  if (registeredBackends().includes('tensorflow')) return;
  throw new DeviceError({
    where: 'tfjs-linear/node',
    expected: "backend 'tensorflow'",
    received: failures.join('; '),
    remedy: `Install ${PACKAGES.join(' or ')}; where its download is out of reach, see docs/tensorflow.md.`,
  });
}

/** tfjs-node's own add-on, as this process has loaded it. */
function loadedBinding(): string | undefined {
  return Object.keys(require.cache).find((file) => path.basename(file) === 'tfjs_binding.node');
}

/** build/native of the package that this file lies in, from sources, from dist or from a bundle inside it. */
function builtAddOn(): string | undefined {
  for (let folder = path.dirname(fileURLToPath(import.meta.url)); ; folder = path.dirname(folder)) {
    const manifest = path.join(folder, 'package.json');
    if (fs.existsSync(manifest) && (JSON.parse(fs.readFileSync(manifest, 'utf8')) as {name?: string}).name === 'tfjs-linear') {
      const file = path.join(folder, 'build/native/tfjs_linear.node');
      return fs.existsSync(file) ? file : undefined;
    }
    if (folder === path.dirname(folder)) return undefined;
  }
}

function loadAddOn(): {native: Native | null; reason: string} {
  const wanted = process.env[NATIVE_VARIABLE];
  if (wanted === 'off') return {native: null, reason: `${NATIVE_VARIABLE} is off`};
  const file = wanted ?? builtAddOn();
  if (file === undefined) return {native: null, reason: "the add-on is not built: 'npm run build:native'"};
  const binding = loadedBinding();
  if (binding === undefined) return {native: null, reason: 'tfjs_binding.node is not among the modules of this process'};
  try {
    const addOn = require(path.resolve(file)) as AddOn;
    return {native: {addOn, instructionSets: addOn.register(binding)}, reason: `${file} is loaded`};
  } catch (error) {
    const reason = `${file} does not load: ${(error as Error).message}`;
    console.warn(`tfjs-linear: ${reason}. Stock TensorFlow ops answer instead.`);
    return {native: null, reason};
  }
}

await findBackend();
const {native, reason} = loadAddOn();
registerTensorflowKernels(native);

export interface TensorflowKernels {
  /** Whether our add-on answers (never on a GPU). */
  readonly addOn: boolean;
  /** Why it does or does not. */
  readonly reason: string;
  /** This processor's, best first; the first is used. */
  readonly instructionSets: readonly string[];
  readonly threads: number;
}

/** How the tensorflow kernels of this process run. @param threads the add-on's threads, the calling one among them; default: all processors */
export function tensorflowKernels(threads?: number): TensorflowKernels {
  const count = native === null ? 0 : threads === undefined ? native.addOn.threads() : native.addOn.threads(threads);
  return {addOn: native !== null, reason, instructionSets: native?.instructionSets ?? [], threads: count};
}
