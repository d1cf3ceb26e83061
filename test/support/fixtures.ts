/** Cases of test/fixtures/quant as modules with their reference tensors. */
import type {FileTensor, Module} from '../../src/formats/format.js';
import {readFixture, readFixtureJson} from './files.js';

export interface CaseEntry {
  readonly name: string;
  readonly file: string;
  readonly kind: string;
  readonly module: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly quantization_config: Readonly<Record<string, unknown>> | null;
}

export interface FixtureCase {
  readonly entry: CaseEntry;
  readonly module: Module;
  /** float32 numbers under 'weight', 'x', 'y', 'y_actquant' ... (without 'ref.'), for those stored as F32. */
  readonly ref: Readonly<Record<string, Float32Array>>;
}

/** The tensors of a safetensors file, each in memory of its own so that typed arrays can view it. */
export async function readTensors(path: string): Promise<Map<string, FileTensor>> {
  const bytes = await readFixture(path);
  const headerBytes = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes))) as Record<
    string,
    {dtype: string; shape: number[]; data_offsets: [number, number]}
  >;
  const tensors = new Map<string, FileTensor>();
  for (const [name, {dtype, shape, data_offsets}] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [begin, end] = data_offsets;
    tensors.set(name, {dtype, shape, data: bytes.slice(8 + headerBytes + begin, 8 + headerBytes + end)});
  }
  return tensors;
}

export async function listCases(...kinds: readonly string[]): Promise<CaseEntry[]> {
  const {cases} = await readFixtureJson<{cases: CaseEntry[]}>('quant/index.json');
  return cases.filter(({kind}) => kinds.includes(kind));
}

export async function loadCase(name: string): Promise<FixtureCase> {
  const {cases} = await readFixtureJson<{cases: CaseEntry[]}>('quant/index.json');
  const entry = cases.find((c) => c.name === name);
  if (entry === undefined) throw new Error(`no fixture case '${name}'`);
  const tensors = new Map<string, FileTensor>();
  const ref: Record<string, Float32Array> = {};
  for (const [key, tensor] of await readTensors(`quant/${entry.file}`)) {
    if (key.startsWith(`${entry.module}.`)) tensors.set(key.slice(entry.module.length + 1), tensor);
    else if (tensor.dtype === 'F32') ref[key.replace('ref.', '')] = new Float32Array(tensor.data.buffer, 0, tensor.data.length / 4);
  }
  return {entry, module: {module: entry.module, container: 'safetensors', tensors, quantization: entry.quantization_config}, ref};
}
