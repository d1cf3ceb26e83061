/** QuantizedMatMul and UnpackWeight as compositions of stock TensorFlow ops: on any tfjs-node, and on a GPU. */
import * as tf from '@tensorflow/tfjs';
import type {Activation} from '../../activation.js';
import type {QuantizedMatMulAttrs, UnpackWeightAttrs} from '../../attributes.js';
import {activateTensor} from '../../gradients.js';
import {type NodeBackend, outputOf} from '../backend.js';
import {Ops} from './ops.js';
import {orderOf, rowsInOrder, slabRows, slabs, storedRows} from './unpack.js';
import {wordsAsFloats} from './words.js';

/** x [M, K], words [L], bias [R] or none -> act(x . W^T + bias) [M, R]. Error as float32's own. */
export function composedMatMul(
  backend: NodeBackend,
  {x, words, bias}: {x: tf.TensorInfo; words: tf.TensorInfo; bias?: tf.TensorInfo},
  {layout, rowStart, rowEnd, activation}: QuantizedMatMulAttrs,
  onDevice: boolean,
): tf.TensorInfo {
  const y = Ops.scope(backend, (ops) => {
    const bits = wordsAsFloats(ops, words, onDevice);
    const given = ops.tensor(x);
    const stored = layout.ordered ? ops.gather(given, orderOf(ops, layout, bits), 1) : given;
    const parts = slabs(rowStart, rowEnd, slabRows(layout.inDim, onDevice)).map((rows) =>
      ops.inner((inner) => inner.matMulTransposed(stored, storedRows(inner, layout, bits, rows))),
    );
    const product = ops.concat(parts, 1);
    return bias === undefined ? product : ops.binary('AddV2', product, ops.tensor(bias));
  });
  const linear = outputOf(backend, y);
  if (activation === null) return linear;
  return activated(activation, linear);
}

/** act(h) in tf.js ops; h is freed. A tensor that the engine counts and disposes like any. */
function activated(activation: Activation, h: tf.TensorInfo): tf.TensorInfo {
  const linear = tf.engine().makeTensorFromTensorInfo(h);
  const active = tf.tidy(() => activateTensor(activation, linear));
  linear.dispose();
  return active;
}

/** words [L] -> rows rowStart..rowEnd, or the `chosen` of them (counted from rowStart), float32 [R, K]. */
export function composedUnpack(
  backend: NodeBackend,
  words: tf.TensorInfo,
  chosen: readonly number[] | null,
  {layout, rowStart, rowEnd}: UnpackWeightAttrs,
  onDevice: boolean,
): tf.TensorInfo {
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
