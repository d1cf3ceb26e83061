/**
 * Known answers: a device whose compiler or driver computes wrongly says nothing by itself, so every kernel multiplies a
 * small weight at its first use on a device, and results are held back until that was right.
 */
import type {TensorInfo} from '@tensorflow/tfjs';
import {DeviceError} from '../../src/errors.js';
import type {WebGPUVariant} from '../choose.js';
import {quantizeRows} from '../cpu/quantize.js';
import {RowReader} from '../cpu/row.js';
import {quantizeAttrs} from '../input_quantization.js';
import {grid, type WeightLayout} from '../layout.js';
import {remember} from '../memo.js';
import {allocateWords, packCodes, packZeros, partsOf} from '../words.js';
import {profileOf, type WebGPUBackendLike} from './backend.js';
import {healthOf} from './health.js';
import {recordProduct} from './matmul.js';
import {planFor} from './plan.js';
import {recordQuantize} from './quantize.js';
import {bufferOf} from './record.js';
import {recordUnpack} from './unpack.js';

export type CheckedKernel = WebGPUVariant | 'unpack' | 'quantize';

const OUT = 12;
const IN = 96;
const ROWS = 2;

interface Question {
  readonly layout: WeightLayout;
  readonly words: Int32Array;
  readonly x: Float32Array;
  /** W [N, K] and x . W^T [M, N]: small integers, exact in float32 in any order of addition. */
  readonly unpacked: Float32Array;
  readonly product: Float32Array;
}

let question: Question | null = null;

/** 4-bit codes with zeros of their own and scales of 1, 2 and 4 in float16, groups of 32, columns in reverse. */
function ask(): Question {
  if (question !== null) return question;
  const groups = grid(OUT, IN, 1, 32);
  const layout: WeightLayout = {
    outDim: OUT,
    inDim: IN,
    planes: [4],
    decode: {kind: 'integer'},
    zero: {kind: 'codes', grid: groups},
    scales: [{grid: groups, type: 'float16', divide: false}],
    offsets: [],
    ordered: true,
    indexed: false,
  };
  const words = allocateWords(layout);
  const parts = partsOf(layout, words);
  const entries = groups.shape[0] * groups.shape[1];
  packCodes(
    layout,
    parts,
    Array.from({length: OUT * IN}, (_, i) => (i * 7 + (i >> 4)) & 15),
  );
  packZeros(
    layout,
    parts,
    Array.from({length: entries}, (_, i) => (i * 5 + 3) & 15),
  );
  parts.scales[0]?.set(Array.from({length: entries}, (_, i) => 0x3c00 + ((i % 3) << 10)));
  parts.order.set(Array.from({length: IN}, (_, j) => IN - 1 - j));
  const x = Float32Array.from({length: ROWS * IN}, (_, i) => ((i * 3) % 11) - 5);
  const reader = new RowReader(layout, parts);
  const unpacked = new Float32Array(OUT * IN);
  for (let n = 0; n < OUT; n++) reader.read(n, unpacked.subarray(n * IN, (n + 1) * IN));
  const product = new Float32Array(ROWS * OUT);
  for (let m = 0; m < ROWS; m++) {
    for (let n = 0; n < OUT; n++) {
      let sum = 0;
      for (let k = 0; k < IN; k++) sum += (x[m * IN + k] as number) * (unpacked[n * IN + k] as number);
      product[m * OUT + n] = sum;
    }
  }
  question = {layout, words, x, unpacked, product};
  return question;
}

const asked = new WeakMap<object, Set<string>>();

/** Asks at a kernel's first use on a device; a wrong answer fails the device. */
export function verifyOnce(backend: WebGPUBackendLike, kernel: CheckedKernel): void {
  askOnce(backend, kernel, () => verify(backend, kernel));
}

/** Holds reads back until the device has given the right answer to a question that it has not been asked yet. */
export function askOnce(backend: WebGPUBackendLike, kernel: string, ask: () => Promise<void>): void {
  const known = remember(asked, backend, () => new Set());
  if (known.has(kernel)) return;
  known.add(kernel);
  healthOf(backend).check(ask());
}

function verify(backend: WebGPUBackendLike, kernel: CheckedKernel): Promise<void> {
  if (kernel === 'quantize') return verifyRounding(backend);
  const {layout, words, x, unpacked, product} = ask();
  const expected = kernel === 'unpack' ? unpacked : product;
  const tensors: TensorInfo[] = [];
  const make = (shape: number[], dtype: string, values?: Int32Array | Float32Array) => {
    const info = backend.makeTensorInfo(shape, dtype, values);
    tensors.push(info);
    return info;
  };
  const wordsInfo = make([words.length], 'int32', words.slice());
  const out = make(kernel === 'unpack' ? [OUT, IN] : [ROWS, OUT], 'float32');
  if (kernel === 'unpack') recordUnpack(backend, layout, wordsInfo, out, 0, OUT);
  else {
    const plan = planFor(layout, kernel, profileOf(backend), ROWS, {});
    const product = {layout, x: make([ROWS, IN], 'float32', x.slice()), words: wordsInfo, bias: undefined, rowStart: 0, rowEnd: OUT};
    recordProduct(backend, plan, product, out);
  }
  // Submits what was recorded before it returns, so that the tensors can go.
  const answer = backend.getBufferData(bufferOf(backend, out));
  for (const t of tensors) backend.disposeData(t.dataId);
  return answer.then((bytes) => {
    const wrong = firstDifference(new Float32Array(bytes), expected);
    if (wrong !== null) throw wrongAnswer(kernel, wrong);
  });
}

/** Rows with a scale of 1, a third of the numbers ties. */
function verifyRounding(backend: WebGPUBackendLike): Promise<void> {
  const attrs = quantizeAttrs({dtype: 'float8_e4m3fn', origin: 'dynamic', granularity: 'colwise'}, false);
  const values = Float32Array.from({length: ROWS * IN}, (_, i) =>
    i % IN === 0 ? 448 : i % 3 === 0 ? (17 + 2 * (i % 8)) * 2 ** -(i % 7) : Math.sin(i),
  );
  const x = backend.makeTensorInfo([ROWS, IN], 'float32', values.slice());
  const outputs = recordQuantize(backend, x, undefined, attrs);
  const answer = backend.getBufferData(bufferOf(backend, outputs[0]));
  for (const t of [x, ...outputs]) backend.disposeData(t.dataId);
  return answer.then((bytes) => {
    const wrong = firstDifference(new Int32Array(bytes), quantizeRows(values, null, ROWS, IN, attrs).out);
    if (wrong !== null) throw wrongAnswer('quantize', wrong);
  });
}

interface Difference {
  readonly at: number;
  readonly got: number;
  readonly expected: number;
}

function firstDifference(got: ArrayLike<number>, expected: ArrayLike<number>): Difference | null {
  for (let i = 0; i < expected.length; i++) {
    if (got[i] !== expected[i]) return {at: i, got: got[i] as number, expected: expected[i] as number};
  }
  return null;
}

export function wrongAnswer(kernel: string, {at, got, expected}: Difference): DeviceError {
  return new DeviceError({
    where: `webgpu known-answer test of '${kernel}'`,
    expected: `${expected} at place ${at}`,
    received: `${got}`,
    why: 'This device or its driver computes wrongly, and its results cannot be used.',
    remedy: 'Update the browser or driver, or use another backend.',
  });
}
