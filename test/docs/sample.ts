/** The checkpoints that the code on the docs' pages opens, by the names it gives them. */
import type {FileTensor} from '../../src/formats/format.js';
import type {SafetensorsDtype} from '../../src/io/safetensors_types.js';
import {type SafetensorsTensor, writeSafetensors} from '../../src/io/safetensors_writer.js';
import {randomX} from '../grid/layouts.js';
import {jsonBytes, readFixture, readFixtureJson} from '../support/files.js';
import {loadCase} from '../support/fixtures.js';

export type Files = Readonly<Record<string, Uint8Array>>;

function under(prefix: string, tensors: ReadonlyMap<string, FileTensor>): SafetensorsTensor[] {
  return [...tensors].map(([name, t]) => ({name: `${prefix}.${name}`, dtype: t.dtype as SafetensorsDtype, shape: t.shape, data: t.data}));
}

function floats(name: string, shape: readonly number[], seed: number): SafetensorsTensor {
  const values = randomX(
    1,
    shape.reduce((a, b) => a * b, 1),
    seed,
  );
  return {name, dtype: 'F32', shape, data: new Uint8Array(values.buffer)};
}

/** A block of a GPTQ model: k_proj [96, 256] with bias, an MLP of 256 and 96, a norm. */
async function gptqModel(): Promise<Files> {
  const attention = await loadCase('gptq_b4_g128_sym_v1_bias');
  const plain = await loadCase('gptq_b4_g32_sym_v1');
  const config = {
    hidden_size: 256,
    quantization_config: {...attention.module.quantization, dynamic: {'.*mlp.*': {group_size: 32}}},
  };
  const layer = 'model.layers.0';
  const bytes = writeSafetensors([
    ...under(`${layer}.self_attn.k_proj`, attention.module.tensors),
    ...under(`${layer}.mlp.gate_proj`, plain.module.tensors),
    ...under(`${layer}.mlp.up_proj`, plain.module.tensors),
    floats(`${layer}.mlp.down_proj.weight`, [256, 96], 1),
    floats('model.norm.weight', [256], 2),
  ]);
  return {'model.safetensors': bytes, 'config.json': jsonBytes(config)};
}

/** One layer of a fixture with the config that its tool wrote. */
async function fixtureModel(name: string): Promise<Files> {
  const {cases} = await readFixtureJson<{cases: {name: string; file?: string; quantization_config: unknown}[]}>('quant/index.json');
  const entry = cases.find((c) => c.name === name);
  if (entry?.file === undefined) throw new Error(`no fixture '${name}'`);
  const config = jsonBytes({quantization_config: entry.quantization_config});
  return {'model.safetensors': await readFixture(`quant/${entry.file}`), 'config.json': config};
}

/** What `openCheckpoint` of this name stands for on the pages. */
export async function samples(): Promise<Readonly<Record<string, Files>>> {
  const model = await gptqModel();
  return {
    'my-model': model,
    'my-model.gguf': {'model.gguf': await readFixture('quant/gguf_all_types.gguf')},
    'my-fp8-model': await fixtureModel('ct_fp8_dynamic_channel'),
  };
}
