/** The known answer of attention, for each width of heads: a rotation, a past of three positions and two heads of q over one of k. */
import type {TensorInfo} from '@tensorflow/tfjs';
import {type AttentionKernel, FEW, recordAttend} from './attention.js';
import type {WebGPUBackendLike} from './backend.js';
import {askOnce, wrongAnswer} from './known_answer.js';
import {bufferOf} from './record.js';

const HEADS = 2;
const PAST = 3;
/** Positions of a run where the past is split. */
const RUN = 2;
/** Of the largest number: exponentials are no more exact than 3 + 2 |x| last places, and scores are small. */
const BOUND = 1e-4;

interface Question {
  readonly count: number;
  readonly capacity: number;
  readonly qkv: Float32Array;
  readonly keys: Float32Array;
  readonly values: Float32Array;
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

const wave = (size: number, step: number) => Float32Array.from({length: size}, (_, i) => Math.sin(1 + step * i));

function ask(dim: number, count: number): Question {
  const capacity = PAST + count;
  const past = (step: number) => wave(capacity * dim, step).fill(0, PAST * dim);
  const angles = Array.from({length: (count * dim) / 2}, (_, i) => 1 + 0.7 * i);
  const scale = dim ** -0.25;
  return {
    count,
    capacity,
    qkv: wave(count * (HEADS + 2) * dim, 0.9),
    keys: past(0.37).map((v) => v * scale),
    values: past(0.53),
    cos: Float32Array.from(angles, (a) => Math.cos(a) * scale),
    sin: Float32Array.from(angles, (a) => Math.sin(a) * scale),
  };
}

/** The result, and keys and values with the new positions, by plain loops. */
function answer(
  dim: number,
  {count, qkv, keys, values, cos, sin}: Question,
): {out: Float64Array; keys: Float64Array; values: Float64Array} {
  const half = dim / 2;
  const at = (m: number, head: number) => (m * (HEADS + 2) + head) * dim;
  const turned = (m: number, head: number) =>
    Float64Array.from({length: dim}, (_, i) => {
      const pair = i % half;
      const [a, b] = [qkv[at(m, head) + pair], qkv[at(m, head) + half + pair]] as [number, number];
      const [c, s] = [cos[m * half + pair], sin[m * half + pair]] as [number, number];
      return i < half ? a * c - b * s : b * c + a * s;
    });
  const [allKeys, allValues] = [Float64Array.from(keys), Float64Array.from(values)];
  const out = new Float64Array(count * HEADS * dim);
  for (let m = 0; m < count; m++) {
    allKeys.set(turned(m, HEADS), (PAST + m) * dim);
    allValues.set(qkv.subarray(at(m, HEADS + 1), at(m, HEADS + 2)), (PAST + m) * dim);
  }
  for (let row = 0; row < count * HEADS; row++) {
    const m = Math.floor(row / HEADS);
    const q = turned(m, row % HEADS);
    const weights = Array.from({length: PAST + m + 1}, (_, t) =>
      Math.exp(q.reduce((sum, v, i) => sum + v * (allKeys[t * dim + i] as number), 0)),
    );
    const total = weights.reduce((sum, w) => sum + w);
    for (let i = 0; i < dim; i++) {
      out[row * dim + i] = weights.reduce((sum, w, t) => sum + (w / total) * (allValues[t * dim + i] as number), 0);
    }
  }
  return {out, keys: allKeys, values: allValues};
}

/** Asks at a kernel's first use on a device; a wrong answer fails the device. `split`: several workgroups share the past, and are combined. */
export function verifyAttention(backend: WebGPUBackendLike, kernel: AttentionKernel, split: boolean): void {
  const name = `${kernel.shader.label}${split ? ', combined' : ''}`;
  askOnce(backend, name, () => verify(backend, kernel, split, name));
}

function verify(backend: WebGPUBackendLike, kernel: AttentionKernel, split: boolean, name: string): Promise<void> {
  const {dim} = kernel;
  const question = ask(dim, kernel.few ? 2 : FEW + 1);
  const {count, capacity, qkv, keys, values, cos, sin} = question;
  const made: TensorInfo[] = [];
  const make = (shape: number[], data?: Float32Array) => {
    const info = backend.makeTensorInfo(shape, 'float32', data?.slice());
    made.push(info);
    return info;
  };
  const inputs = {
    qkv: make([count, (HEADS + 2) * dim], qkv),
    keys: make([1, capacity, dim], keys),
    values: make([1, capacity, dim], values),
    cos: make([count, dim / 2], cos),
    sin: make([count, dim / 2], sin),
  };
  const out = make([count, HEADS * dim]);
  const splits = split ? Math.ceil(capacity / RUN) : 1;
  recordAttend(backend, kernel, inputs, {length: PAST, splits, run: split ? RUN : capacity}, out);
  // Submits what was recorded before it returns, so that the tensors can go.
  const reads = [out, inputs.keys, inputs.values].map((t) => backend.getBufferData(bufferOf(backend, t)));
  for (const t of made) backend.disposeData(t.dataId);
  const right = answer(dim, question);
  return Promise.all(reads).then((buffers) => {
    [right.out, right.keys, right.values].forEach((expected, b) => {
      const got = new Float32Array(buffers[b] as ArrayBuffer);
      const most = BOUND * expected.reduce((top, v) => Math.max(top, Math.abs(v)), 0);
      // NaN is not near either.
      const at = expected.findIndex((v, i) => !(Math.abs((got[i] as number) - v) <= most));
      if (at !== -1) throw wrongAnswer(name, {at, got: got[at] as number, expected: expected[at] as number});
    });
  });
}
