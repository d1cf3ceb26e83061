/** Stock TensorFlow ops on handles, of dtypes that tf.js does not know, each freed at the end of the scope that made it. */
import type {TensorInfo} from '@tensorflow/tfjs';
import {ATTRIBUTE, type Attribute, DTYPE, type Handle, type NodeBackend} from '../backend.js';

const type = (name: string, dtype: number): Attribute => ({name, type: ATTRIBUTE.type, value: dtype});
const flag = (name: string, value: boolean): Attribute => ({name, type: ATTRIBUTE.bool, value});

export const sizeOf = (h: {shape: readonly number[]}) => h.shape.reduce((a, b) => a * b, 1);

type Binary =
  | 'AddV2'
  | 'Sub'
  | 'Mul'
  | 'RealDiv'
  | 'Maximum'
  | 'Minimum'
  | 'BitwiseAnd'
  | 'BitwiseOr'
  | 'LeftShift'
  | 'RightShift'
  | 'Equal'
  | 'Less'
  | 'Greater';

export class Ops {
  private readonly owned = new Set<number>();

  private constructor(readonly backend: NodeBackend) {}

  /** Runs `f`; frees every handle it made but the one it returns, which the caller owns. */
  static scope(backend: NodeBackend, f: (ops: Ops) => Handle): Handle {
    const ops = new Ops(backend);
    try {
      const made = f(ops);
      const result = ops.owned.has(made.id) ? made : ops.run('Identity', [type('T', made.dtype)], [made]);
      ops.owned.delete(result.id);
      return result;
    } finally {
      for (const id of ops.owned) backend.binding.deleteTensor(id);
    }
  }

  /** As `scope`, inside this one, which owns the result. */
  inner(f: (ops: Ops) => Handle): Handle {
    return this.own(Ops.scope(this.backend, f));
  }

  private own(handle: Handle): Handle {
    this.owned.add(handle.id);
    return handle;
  }

  private run(name: string, attributes: readonly Attribute[], inputs: readonly Handle[]): Handle {
    const ids = inputs.map((h) => h.id);
    return this.own(this.backend.binding.executeOp(name, attributes, ids, 1)[0] as Handle);
  }

  /** A tensor's own handle, which stays the tensor's. */
  tensor(t: TensorInfo): Handle {
    const [id] = this.backend.getInputTensorIds([t]) as [number];
    return {id, shape: t.shape, dtype: this.backend.tensorMap.get(t.dataId).dtype};
  }

  /** int32 that stays on the host: shapes, axes, indices. */
  integers(values: readonly number[] | Int32Array, shape: readonly number[] = [values.length]): Handle {
    const data = values instanceof Int32Array ? values : Int32Array.from(values);
    return this.own({id: this.backend.binding.createTensor(shape, DTYPE.int32, data), shape, dtype: DTYPE.int32});
  }

  floats(values: readonly number[] | Float32Array, shape: readonly number[] = [values.length]): Handle {
    const data = values instanceof Float32Array ? values : Float32Array.from(values);
    return this.own({id: this.backend.binding.createTensor(shape, DTYPE.float32, data), shape, dtype: DTYPE.float32});
  }

  /** A number as a scalar; exact where the dtype holds it. */
  scalar(value: number, dtype: number = DTYPE.float32): Handle {
    const near = Math.fround(value);
    const scalar = this.cast(this.floats([near], []), dtype);
    // What a float32 leaves of a float64; infinity and NaN leave nothing.
    const rest = dtype === DTYPE.float64 ? value - near : 0;
    return rest === 0 || Number.isNaN(rest) ? scalar : this.binary('AddV2', scalar, this.scalar(rest, dtype));
  }

  /** The same bits as another dtype; a width change adds or takes a last dimension. */
  bitcast(h: Handle, dtype: number): Handle {
    return h.dtype === dtype ? h : this.run('Bitcast', [type('T', h.dtype), type('type', dtype)], [h]);
  }

  cast(h: Handle, dtype: number): Handle {
    return h.dtype === dtype ? h : this.run('Cast', [type('SrcT', h.dtype), type('DstT', dtype)], [h]);
  }

  reshape(h: Handle, shape: readonly number[]): Handle {
    if (shape.length === h.shape.length && shape.every((d, i) => d === h.shape[i])) return h;
    return this.run('Reshape', [type('T', h.dtype), type('Tshape', DTYPE.int32)], [h, this.integers(shape)]);
  }

  slice(h: Handle, begin: readonly number[], size: readonly number[]): Handle {
    if (size.every((d, i) => d === h.shape[i])) return h;
    return this.run('Slice', [type('T', h.dtype), type('Index', DTYPE.int32)], [h, this.integers(begin), this.integers(size)]);
  }

  /** Entries of `h` along an axis. */
  gather(h: Handle, indices: Handle, axis: number): Handle {
    const attributes = [type('Tparams', h.dtype), type('Tindices', DTYPE.int32), type('Taxis', DTYPE.int32)];
    return this.run('GatherV2', attributes, [h, indices, this.integers([axis], [])]);
  }

  /** An element-wise op with broadcasting. */
  binary(name: Binary, a: Handle, b: Handle): Handle {
    return this.run(name, [type('T', a.dtype)], [a, b]);
  }

  unary(name: 'Abs' | 'Round' | 'IsNan' | 'Relu' | 'Tanh' | 'Sigmoid' | 'Erf' | 'Rsqrt', h: Handle): Handle {
    return this.run(name, [type('T', h.dtype)], [h]);
  }

  /** a where `condition` is true, b elsewhere. */
  select(condition: Handle, a: Handle, b: Handle): Handle {
    return this.run('SelectV2', [type('T', b.dtype)], [condition, a, b]);
  }

  /** The largest entry along an axis, which stays with length 1. */
  max(h: Handle, axis: number): Handle {
    return this.reduce('Max', h, axis);
  }

  mean(h: Handle, axis: number): Handle {
    return this.reduce('Mean', h, axis);
  }

  private reduce(name: string, h: Handle, axis: number): Handle {
    return this.run(name, [type('T', h.dtype), type('Tidx', DTYPE.int32), flag('keep_dims', true)], [h, this.integers([axis])]);
  }

  broadcast(h: Handle, shape: readonly number[]): Handle {
    return this.run('BroadcastTo', [type('T', h.dtype), type('Tidx', DTYPE.int32)], [h, this.integers(shape)]);
  }

  /** A matrix with columns of zeros after its last. */
  padColumns(h: Handle, columns: number): Handle {
    const more = this.integers([0, 0, 0, columns - (h.shape[1] as number)], [2, 2]);
    return this.run('Pad', [type('T', h.dtype), type('Tpaddings', DTYPE.int32)], [h, more]);
  }

  /** Position of each entry in a permutation. */
  invert(order: Handle): Handle {
    return this.run('InvertPermutation', [type('T', order.dtype)], [order]);
  }

  /** a [M, K] . b [N, K]^T -> [M, N]. The op itself: tf.matMul's batched one takes twice as long at M = 1. */
  matMulTransposed(a: Handle, b: Handle): Handle {
    return this.run('MatMul', [type('T', a.dtype), flag('transpose_a', false), flag('transpose_b', true)], [a, b]);
  }

  transpose(h: Handle): Handle {
    return this.run('Transpose', [type('T', h.dtype), type('Tperm', DTYPE.int32)], [h, this.integers([1, 0])]);
  }

  concat(parts: readonly Handle[], axis: number): Handle {
    const first = parts[0] as Handle;
    if (parts.length === 1) return first;
    const attributes = [type('T', first.dtype), type('Tidx', DTYPE.int32), {name: 'N', type: ATTRIBUTE.int, value: parts.length}];
    return this.run('ConcatV2', attributes, [...parts, this.integers([axis], [])]);
  }
}
