/**
 * Finds tf.js's backend 'tensorflow' and our add-on, and registers the kernels. Node only: its modules are imported when it is called, so that
 * a page's bundle may hold this file.
 */
import {findBackendFactory} from '@tensorflow/tfjs';
import {DeviceError} from '../../src/errors.js';
import {registerTensorflowKernels} from './index.js';
import type {AddOn, Native} from './native.js';

export interface TensorflowKernels {
  /** Whether our add-on answers (never on a GPU). */
  readonly addOn: boolean;
  /** Why it does or does not. */
  readonly reason: string;
  /** The add-on's instruction sets that this processor has, best first; the first is used. */
  readonly instructionSets: readonly string[];
  /** Threads of the add-on, the calling one among them; 0 without it. */
  readonly threads: number;
}

const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'];

/** The add-on's place, instead of the package's own build/native; 'off' for stock TensorFlow ops. */
const NATIVE_VARIABLE = 'TFJS_LINEAR_NATIVE';

let loaded: Promise<{native: Native | null; reason: string}> | null = null;

/**
 * Registers the kernels of backend 'tensorflow', once a process. Takes the backend that is registered, else imports the first of tfjs-node-gpu
 * and tfjs-node that is installed and built. Throws DeviceError where neither is.
 * @param threads of the add-on; default: TFJS_LINEAR_THREADS, else all processors of this process
 */
export async function loadTensorflow(threads?: number): Promise<TensorflowKernels> {
  loaded ??= load();
  const {native, reason} = await loaded;
  const count = native === null ? 0 : threads === undefined ? native.addOn.threads() : native.addOn.threads(threads);
  return {addOn: native !== null, reason, instructionSets: native?.instructionSets ?? [], threads: count};
}

async function load(): Promise<{native: Native | null; reason: string}> {
  await findBackend();
  const found = await findAddOn();
  registerTensorflowKernels(found.native);
  return found;
}

const isRegistered = () => (findBackendFactory('tensorflow') ?? null) !== null;

async function findBackend(): Promise<void> {
  const failures: string[] = [];
  for (const name of PACKAGES) {
    if (isRegistered()) return;
    try {
      await import(name);
    } catch (error) {
      failures.push(`${name}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  if (isRegistered()) return;
  throw new DeviceError({
    where: 'tfjs-linear/node',
    expected: "backend 'tensorflow'",
    received: failures.join('; '),
    remedy: `Install ${PACKAGES.join(' or ')}; where its own download is out of reach, see docs/tensorflow.md.`,
  });
}

async function findAddOn(): Promise<{native: Native | null; reason: string}> {
  const [{createRequire}, path] = await Promise.all([import('node:module'), import('node:path')]);
  const require = createRequire(import.meta.url);
  const wanted = process.env[NATIVE_VARIABLE];
  if (wanted === 'off') return {native: null, reason: `${NATIVE_VARIABLE} is off`};
  const file = wanted ?? (await builtAddOn());
  if (file === undefined) return {native: null, reason: 'the add-on is not built (docs/tensorflow.md says how)'};
  const binding = Object.keys(require.cache).find((name) => path.basename(name) === 'tfjs_binding.node');
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

/** build/native of the package that this file lies in, from its sources, its dist or a bundle inside it. */
async function builtAddOn(): Promise<string | undefined> {
  const [fs, path, {fileURLToPath}] = await Promise.all([import('node:fs'), import('node:path'), import('node:url')]);
  for (let folder = path.dirname(fileURLToPath(import.meta.url)); ; folder = path.dirname(folder)) {
    const manifest = path.join(folder, 'package.json');
    if (fs.existsSync(manifest) && (JSON.parse(fs.readFileSync(manifest, 'utf8')) as {name?: string}).name === 'tfjs-linear') {
      const file = path.join(folder, 'build/native/tfjs_linear.node');
      return fs.existsSync(file) ? file : undefined;
    }
    if (folder === path.dirname(folder)) return undefined;
  }
}
