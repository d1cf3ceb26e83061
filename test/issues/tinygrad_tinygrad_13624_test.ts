// https://github.com/tinygrad/tinygrad/issues/13624: results were wrong once an index passed 2^30.
import {checkIndexRange} from '../../kernels/webgpu/grid.js';
import {ShapeError} from '../../src/index.js';

describe('tinygrad/tinygrad#13624', () => {
  it('refuses shapes past the range of an index, with the shape', () => {
    expect(() => checkIndexRange('UnpackWeight', [2 ** 16, 2 ** 15 - 1])).not.toThrow();
    expect(() => checkIndexRange('UnpackWeight', [2 ** 16, 2 ** 15])).toThrowError(ShapeError, /shape \[65536, 32768\]/);
  });
});
