/** Rows of codes of whole bytes between a file and the record, whose rows start on words. */
import {decodeTable} from '../../kernels/float_codes.js';
import {type FloatType, sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import type {Parts} from '../../kernels/words.js';
import {FileFormatError} from '../errors.js';
import {bytesOf} from './tensors.js';

/** Copies the rows of `rowBytes` bytes in `file` into the codes section from row `first` on, or back. */
export function copyByteRows(
  layout: WeightLayout,
  parts: Parts,
  file: Uint8Array,
  rowBytes: number,
  direction: 'lower' | 'raise',
  first = 0,
): void {
  const {rowWords} = sectionsOf(layout);
  const stride = rowWords * 4;
  const rows = rowBytes === 0 ? 0 : file.length / rowBytes;
  const codes = bytesOf(parts.codes).subarray(first * stride, (first + rows) * stride);
  if (stride === rowBytes) {
    if (direction === 'lower') codes.set(file);
    else file.set(codes);
    return;
  }
  for (let n = 0; n < rows; n++) {
    if (direction === 'lower') codes.set(file.subarray(n * rowBytes, (n + 1) * rowBytes), n * stride);
    else file.set(codes.subarray(n * stride, n * stride + rowBytes), n * rowBytes);
  }
}

/** A weight's small floats by the file's dtype, unless the config names the fnuz type. */
export const FLOAT8_DTYPES: Readonly<Record<string, Exclude<FloatType, 'float32'>>> = {
  F8_E4M3: 'float8_e4m3fn',
  F8_E5M2: 'float8_e5m2',
  F8_E4M3FNUZ: 'float8_e4m3fnuz',
  F8_E5M2FNUZ: 'float8_e5m2fnuz',
};

/** What, added to the low seven bits of a code, sets its top bit where the code is NaN; null: NaN is the code 0x80 alone. */
const NAN_CARRY: Readonly<Partial<Record<FloatType, number | null>>> = {
  float8_e4m3fn: 0x01010101,
  float8_e5m2: 0x03030303,
  float8_e4m3fnuz: null,
  float8_e5m2fnuz: null,
};

/** Whether any of these codes may be NaN, four at a time: whole models go through here. */
function mayHoldNaN(type: FloatType, data: Uint8Array): boolean {
  const carry = NAN_CARRY[type];
  if (carry === undefined || data.byteOffset % 4 !== 0) return true;
  const words = new Int32Array(data.buffer, data.byteOffset, data.length >>> 2);
  let found = 0;
  if (carry !== null) for (let i = 0; i < words.length; i++) found |= ((words[i] as number) & 0x7f7f7f7f) + carry;
  else {
    for (let i = 0; i < words.length; i++) {
      // A byte of `zeroed` is 0 where the code is 0x80; the borrow may also mark the byte above one, no more.
      const zeroed = (words[i] as number) ^ 0x80808080;
      found |= (zeroed - 0x01010101) & ~zeroed;
    }
  }
  return (found & 0x80808080) !== 0 || data.length % 4 !== 0;
}

/** Throws FileFormatError at the first NaN code of rows `first` on of an [N, K] weight. Infinities of e5m2 are numbers of the file's. */
export function refuseNaNCodes(where: string, type: Exclude<FloatType, 'float32'>, columns: number, data: Uint8Array, first = 0): void {
  if (!mayHoldNaN(type, data)) return;
  const nan = Uint8Array.from(decodeTable(type), (value) => (Number.isNaN(value) ? 1 : 0));
  for (let i = 0; i < data.length; i++) {
    if (nan[data[i] as number] === 0) continue;
    throw new FileFormatError({
      where: `${where}[${first + Math.floor(i / columns)}, ${i % columns}]`,
      expected: 'a number',
      received: `code 0x${(data[i] as number).toString(16)}, NaN in ${type}`,
      why: 'It would spread to every output that reads it.',
    });
  }
}
