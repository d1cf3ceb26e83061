/** What every packed format must hold, checked on one module. */
import {RowReader} from '../../kernels/cpu/row.js';
import {sectionsOf} from '../../kernels/layout.js';
import {partsOf} from '../../kernels/words.js';
import type {FileTensor, Format, Lowered, Module} from '../../src/formats/format.js';
import {FORMATS} from '../../src/formats/index.js';

/** The record as float32 [N, K], by the cpu oracle. */
export function unpack({layout, words}: Lowered): Float32Array {
  const reader = new RowReader(layout, partsOf(layout, words));
  const out = new Float32Array(layout.outDim * layout.inDim);
  for (let n = 0; n < layout.outDim; n++) reader.read(n, out.subarray(n * layout.inDim, (n + 1) * layout.inDim));
  return out;
}

/** 'equal', or the first place where the floats differ (-0 and 0 are equal, NaN is never). */
export function compareFloats(actual: Float32Array, expected: Float32Array): string {
  if (actual.length !== expected.length) return `${actual.length} numbers, not ${expected.length}`;
  for (let i = 0; i < actual.length; i++) if (actual[i] !== expected[i]) return `[${i}]: ${actual[i]}, not ${expected[i]}`;
  return 'equal';
}

/** 'equal', or how the tensors differ in name, dtype, shape or bytes. */
export function compareTensors(actual: ReadonlyMap<string, FileTensor>, expected: ReadonlyMap<string, FileTensor>): string {
  const names = [...expected.keys()].sort().join();
  if ([...actual.keys()].sort().join() !== names) return `names ${[...actual.keys()].sort()}, not ${names}`;
  for (const [name, want] of expected) {
    const got = actual.get(name)!;
    if (got.dtype !== want.dtype || `${got.shape}` !== `${want.shape}`) {
      return `${name}: ${got.dtype} [${got.shape}], not ${want.dtype} [${want.shape}]`;
    }
    if (got.data.length !== want.data.length) return `${name}: ${got.data.length} bytes, not ${want.data.length}`;
    const at = got.data.findIndex((byte, i) => byte !== want.data[i]);
    if (at !== -1) return `${name}: byte ${at} is ${got.data[at]}, not ${want.data[at]}`;
  }
  return 'equal';
}

/** Resident bytes over the bytes of all the module's tensors in the file. */
export function residentRatio(module: Module, lowered: Lowered): number {
  let fileBytes = 0;
  for (const {data} of module.tensors.values()) fileBytes += data.byteLength;
  return (sectionsOf(lowered.layout).length * 4 + (lowered.bias?.data.byteLength ?? 0)) / fileBytes;
}

/**
 * Exactly `format` recognises the module; its record and its plain loops both give `weight`; raise gives the tensors
 * back; and the record takes at most `maxRatio` times the file's bytes.
 */
export function expectExact(format: Format, module: Module, weight: Float32Array | null, label: string, maxRatio = 1.06): Lowered {
  const before = new Map([...module.tensors].map(([name, t]) => [name, {...t, data: t.data.slice()}]));
  expect(FORMATS.filter((f) => f.recognise(module)).map((f) => f.name))
    .withContext(`${label}: recognised by`)
    .toEqual([format.name]);
  const reference = format.reference(module);
  if (weight !== null) expect(compareFloats(reference, weight)).withContext(`${label}: plain loops`).toBe('equal');
  const lowered = format.lower(module);
  expect(compareFloats(unpack(lowered), reference))
    .withContext(`${label}: record`)
    .toBe('equal');
  expect(compareTensors(format.raise(lowered), before))
    .withContext(`${label}: raised`)
    .toBe('equal');
  expect(compareTensors(module.tensors, before)).withContext(`${label}: the file's tensors after lowering`).toBe('equal');
  expect(JSON.parse(JSON.stringify(lowered.origin)))
    .withContext(`${label}: origin is serialisable`)
    .toEqual(lowered.origin);
  expect(residentRatio(module, lowered)).withContext(`${label}: resident bytes over the file's`).toBeLessThanOrEqual(maxRatio);
  return lowered;
}
