import {decodeTable} from '../../kernels/float_codes.js';

/** The float16 at byte `at`, as a number. */
export function half(view: DataView, at: number): number {
  return decodeTable('float16')[view.getUint16(at, true)] as number;
}
