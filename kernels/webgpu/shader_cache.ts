/** Shaders made once, by their labels. */
import {remember} from '../memo.js';
import {Params} from './params.js';
import type {Shader} from './record.js';

export interface SizedShader {
  readonly shader: Shader;
  readonly params: Params;
}

const made = new Map<string, SizedShader>();

/** The shader of this label: its text is all that the label has to tell apart. */
export function cachedShader(
  label: string,
  counts: {readonly outputs?: number; readonly inputs: number},
  make: (p: Params) => string,
): SizedShader {
  return remember(made, label, () => {
    const params = new Params();
    return {params, shader: {label, code: make(params), ...counts}};
  });
}
