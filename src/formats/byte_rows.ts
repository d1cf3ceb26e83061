/** Rows of codes of whole bytes between a file and the record, whose rows start on words. */
import {decodeTable} from '../../kernels/float_codes.js';
import {type FloatType, sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import type {Parts} from '../../kernels/words.js';
import {FileFormatError} from '../errors.js';
import type {FileTensor} from './format.js';
import {bytesOf} from './tensors.js';

/** Copies rows of `rowBytes` bytes into the codes section, or back. */
export function copyByteRows(layout: WeightLayout, parts: Parts, file: Uint8Array, rowBytes: number, direction: 'lower' | 'raise'): void {
  const {rowWords} = sectionsOf(layout);
  const codes = bytesOf(parts.codes);
  const stride = rowWords * 4;
  if (stride === rowBytes) {
    if (direction === 'lower') codes.set(file);
    else file.set(codes);
    return;
  }
  for (let n = 0; n < layout.outDim; n++) {
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

/** Throws FileFormatError at the first NaN code of an [N, K] weight. Infinities of e5m2 are numbers of the file's. */
export function refuseNaNCodes(where: string, type: Exclude<FloatType, 'float32'>, tensor: FileTensor): void {
  const nan = Uint8Array.from(decodeTable(type), (value) => (Number.isNaN(value) ? 1 : 0));
  const {data} = tensor;
  for (let i = 0; i < data.length; i++) {
    if (nan[data[i] as number] === 0) continue;
    const columns = tensor.shape[1] as number;
    throw new FileFormatError({
      where: `${where}[${Math.floor(i / columns)}, ${i % columns}]`,
      expected: 'a number',
      received: `code 0x${(data[i] as number).toString(16)}, NaN in ${type}`,
      why: 'It would spread to every output that reads it.',
    });
  }
}
