/** What a run tells about itself when it is done. */
import {threadCount} from 'tfjs-linear';
import type {Generated} from './generate.js';
import type {WeightBytes} from './model.js';

/** Tokens a second; 0 for decode where the first token, which comes out of the prefill, was the last. */
export function speeds({promptTokens, prefillSeconds, decodeSteps, decodeSeconds}: Generated): {prefill: number; decode: number} {
  return {prefill: promptTokens / prefillSeconds, decode: decodeSteps === 0 ? 0 : decodeSteps / decodeSeconds};
}

export function closingLine({weightBytes, float32Bytes, devices = []}: WeightBytes, result: Generated, backend: string): string {
  const {prefill, decode} = speeds(result);
  const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  const ratio = (float32Bytes / weightBytes).toFixed(1);
  return [
    `weights ${mebibytes(weightBytes)} resident (float32: ${mebibytes(float32Bytes)}, ${ratio}x)`,
    ...devices.map(({name, bytes}) => `${name} holds ${mebibytes(bytes)}`),
    `prompt ${result.promptTokens} tokens at ${prefill.toFixed(0)}/s`,
    `${result.ids.length} new ones${decode === 0 ? '' : ` at ${decode.toFixed(1)}/s`} (${result.ended})`,
    `backend ${backend}${backend === 'wasm' && threadCount() > 1 ? `, ${threadCount()} threads` : ''}`,
  ].join('; ');
}
