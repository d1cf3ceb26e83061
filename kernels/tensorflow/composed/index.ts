/** The kernels as compositions of stock TensorFlow ops: on any tfjs-node, and on a GPU. */
import type {TensorInfo} from '@tensorflow/tfjs';
import type {QuantizedMatMulAttrs, UnpackWeightAttrs} from '../../attributes.js';
import type {QuantizeAttrs} from '../../input_quantization.js';
import {type NodeBackend, outputOf} from '../backend.js';
import {activate} from './fused.js';
import {Ops} from './ops.js';
import {quantized, rounded} from './quantize.js';
import {orderOf, rowsInOrder, slabRows, slabs, storedRows} from './unpack.js';
import {wordsAsFloats} from './words.js';

/** x [M, K], words [L], bias [R] or none -> act(x . W^T + bias) [M, R]. Error as float32's own. */
export function composedMatMul(
  backend: NodeBackend,
  {x, words, bias}: {x: TensorInfo; words: TensorInfo; bias?: TensorInfo},
  {layout, rowStart, rowEnd, activation}: QuantizedMatMulAttrs,
  onDevice: boolean,
): TensorInfo {
  const y = Ops.scope(backend, (ops) => {
    const bits = wordsAsFloats(ops, words, onDevice);
    const given = ops.tensor(x);
    const stored = layout.ordered ? ops.gather(given, orderOf(ops, layout, bits), 1) : given;
    const parts = slabs(rowStart, rowEnd, slabRows(layout.inDim, onDevice)).map((rows) =>
      ops.inner((inner) => inner.matMulTransposed(stored, storedRows(inner, layout, bits, rows))),
    );
    const product = ops.concat(parts, 1);
    const sum = bias === undefined ? product : ops.binary('AddV2', product, ops.tensor(bias));
    return activation === null ? sum : activate(ops, activation, sum);
  });
  return outputOf(backend, y);
}

/** words [L] -> rows rowStart..rowEnd, or the `chosen` of them (counted from rowStart), float32 [R, K]. */
export function composedUnpack(
  backend: NodeBackend,
  words: TensorInfo,
  chosen: readonly number[] | null,
  {layout, rowStart, rowEnd}: UnpackWeightAttrs,
  onDevice: boolean,
): TensorInfo {
  const out = Ops.scope(backend, (ops) => {
    const bits = wordsAsFloats(ops, words, onDevice);
    const step = slabRows(layout.inDim, onDevice);
    const count = chosen?.length ?? rowEnd - rowStart;
    const parts = slabs(0, count, step).map(({begin, end}) => {
      const rows =
        chosen === null ? {begin: rowStart + begin, end: rowStart + end} : {list: chosen.slice(begin, end).map((n) => rowStart + n)};
      return ops.inner((inner) => rowsInOrder(inner, layout, bits, rows));
    });
    return ops.concat(parts, 0);
  });
  return outputOf(backend, out);
}

/** x [M, K], scale [1] or one an entry, or none for dynamic ones -> codes int32 (or numbers float32) [M, K], or the scales. */
export function composedQuantize(
  backend: NodeBackend,
  x: TensorInfo,
  scale: TensorInfo | undefined,
  attrs: QuantizeAttrs,
  want: 'out' | 'scales',
): TensorInfo {
  return outputOf(
    backend,
    Ops.scope(backend, (ops) => quantized(ops, ops.tensor(x), scale === undefined ? null : ops.tensor(scale), attrs, want)),
  );
}

/** y rounded to bfloat16 and held as float32; what is too large saturates. */
export function roundToBfloat16(backend: NodeBackend, y: TensorInfo): TensorInfo {
  return outputOf(
    backend,
    Ops.scope(backend, (ops) => rounded(ops, 'bfloat16', ops.tensor(y))),
  );
}
