/** Turns a count of workgroups into a grid that the device accepts, and guards the range of indices. */
import {ShapeError} from '../../src/errors.js';

/** Shaders get a workgroup's number back as y * columns + x; see WORKGROUP_INDEX. */
export const WORKGROUP_INDEX = 'let group = wid.y * counts.x + wid.x;';

/**
 * [x, y, 1] with x * y >= count and neither above `limit`. Workgroups numbered count and above have nothing to do.
 * Throws ShapeError where no such grid exists.
 */
export function fold(count: number, limit: number): [number, number, number] {
  if (count <= limit) return [count, 1, 1];
  const y = Math.ceil(count / limit);
  if (y > limit) {
    throw new ShapeError({
      where: 'webgpu grid',
      expected: `at most ${limit} x ${limit} workgroups`,
      received: `${count}`,
      remedy: 'Call it on fewer rows at a time.',
    });
  }
  return [Math.ceil(count / y), y, 1];
}

/** tf.js's own kernels count elements in signed 32-bit integers. */
const MAX_ELEMENTS = 2 ** 31 - 1;

/** Throws ShapeError where an index into a tensor of this shape would not fit. */
export function checkIndexRange(where: string, shape: readonly number[]): void {
  const size = shape.reduce((a, b) => a * b, 1);
  if (size <= MAX_ELEMENTS) return;
  throw new ShapeError({
    where,
    expected: `at most ${MAX_ELEMENTS} elements, the range of a shader's index`,
    received: `${size} elements in a tensor of shape [${shape.join(', ')}]`,
    remedy: 'Call it on fewer rows at a time.',
  });
}
