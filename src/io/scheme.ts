/** What a checkpoint says of x, as an op's inputQuantization. */
import type {InputQuantization} from '../../kernels/input_quantization.js';
import {UnsupportedError} from '../errors.js';
import type {InputScheme} from '../formats/format.js';

/** The rounding of x that the checkpoint asks for; null: none. Throws UnsupportedError for scales rounded to powers of two. */
export function inputQuantizationFrom(scheme: InputScheme | null, where: string): InputQuantization | null {
  if (scheme === null) return null;
  const {dtype, origin, granularity, groupSize, scale, scaleUb, divisor, amaxFloor, globalScale, powersOfTwo, scaleType} = scheme;
  if (scaleType === 'float8_e8m0fnu') {
    throw new UnsupportedError({
      where: `${where}: input_activations`,
      expected: 'input scales that are float32 or e4m3',
      received: 'e8m0 (powers of two)',
      remedy: "Pass inputQuantization: 'none' to multiply x as it is.",
    });
  }
  return {
    dtype,
    origin,
    granularity: granularity === 'token' ? 'colwise' : granularity === 'group' ? 'block' : 'tensor',
    ...(granularity === 'group' ? {block: groupSize ?? 128} : {}),
    ...(scale === undefined ? {} : {scale}),
    ...(scaleUb === undefined ? {} : {scaleUb}),
    ...(divisor === undefined || origin === 'static' ? {} : {divisor}),
    ...(amaxFloor === undefined ? {} : {amaxFloor}),
    ...(globalScale === undefined ? {} : {globalScale}),
    ...(powersOfTwo === undefined ? {} : {powersOfTwo}),
  };
}
