/** WGSL that masks the codes of a word where they lie (fields.ts). */
import {maskFields} from '../fields.js';

/** `fn fieldsW_V(w: u32) -> vec4<f32>`: codes 4V..4V+3 of a word of width W, masked. i32 converts faster than u32. */
export function fieldsFunction(width: number, v: number): string {
  const {masks, flip} = maskFields(width, v);
  const word = flip ? 'w ^ 0x80000000u' : 'w';
  const masked = `vec4<u32>(${word}) & vec4<u32>(${masks.map((m) => `${m}u`).join(', ')})`;
  return `fn fields${width}_${v}(w: u32) -> vec4<f32> { return vec4<f32>(bitcast<vec4<i32>>(${masked})); }\n`;
}
