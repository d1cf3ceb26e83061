/** Parts of a tensor along one axis: taken by ranges, and put together again. Each on the backend where its input lies. */
import * as tf from '@tensorflow/tfjs';
import type {Range} from '../../kernels/slice.js';
import {DeviceRef, onDevice} from '../device.js';
import {lengthOf} from './split.js';
import {backendNameOf} from './transfer.js';

/** The ranges of an axis, one after the other. The tensor itself where that is all of it. */
export function takeRanges(t: tf.Tensor, ranges: readonly Range[], axis: number): tf.Tensor {
  const size = t.shape[axis] as number;
  const [first] = ranges;
  if (ranges.length === 1 && first?.[0] === 0 && first[1] === size) return t;
  return onDevice(new DeviceRef(backendNameOf(t)), () => {
    if (lengthOf(ranges) === 0)
      return tf.zeros(
        t.shape.map((d, i) => (i === axis ? 0 : d)),
        t.dtype,
      );
    const parts = ranges.map((range) => sliceAxis(t, range, axis));
    return parts.length === 1 ? (parts[0] as tf.Tensor) : tf.concat(parts, axis);
  });
}

/** The whole from its parts: part i holds the ranges[i] of it, one after the other. On the current backend. */
export function putTogether(parts: readonly tf.Tensor[], ranges: readonly (readonly Range[])[], axis: number): tf.Tensor {
  const pieces: {begin: number; piece: () => tf.Tensor}[] = [];
  parts.forEach((part, i) => {
    const own = ranges[i] as readonly Range[];
    let at = 0;
    for (const [begin, end] of own) {
      const from: Range = [at, at + end - begin];
      at = from[1];
      if (begin === end) continue;
      pieces.push({begin, piece: () => (own.length === 1 ? part : sliceAxis(part, from, axis))});
    }
  });
  pieces.sort((a, b) => a.begin - b.begin);
  const tensors = pieces.map(({piece}) => piece());
  if (tensors.length === 0) return parts[0] as tf.Tensor;
  return tensors.length === 1 ? (tensors[0] as tf.Tensor) : tf.concat(tensors, axis);
}

function sliceAxis(t: tf.Tensor, [begin, end]: Range, axis: number): tf.Tensor {
  const start = t.shape.map((_, i) => (i === axis ? begin : 0));
  const size = t.shape.map((d, i) => (i === axis ? end - begin : d));
  return tf.slice(t, start, size);
}
