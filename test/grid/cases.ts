/**
 * The one list of weights that correctness, the support matrix and the bench share: a format as a real tool wrote it, a shape, with or without bias,
 * and an activation to fuse. A case added to the fixtures' index is a case here.
 */
import type {Activation} from '../../kernels/activation.js';
import index from '../fixtures/quant/index.json' with {type: 'json'};

export interface Case {
  readonly name: string;
  /** As a reader would call it: 'GPTQ 4 bit', 'GGUF Q4_K'. Several cases may share one. */
  readonly format: string;
  /** N */
  readonly outDim: number;
  /** K */
  readonly inDim: number;
  readonly bias: boolean;
  /** Fused in one of the products. */
  readonly activation: Activation;
  /** Prefix of the module in its checkpoint. */
  readonly module: string;
  /** File of test/fixtures/quant with the reference tensors; null: seeded numbers, written to a file by the test. */
  readonly file: string | null;
  /** Where the module itself lies, if not in `file`. */
  readonly container: 'safetensors' | 'gguf';
  /** ggml's name of the block type, or the safetensors dtype of a case without a file. */
  readonly type: string | null;
  readonly quantization: Readonly<Record<string, unknown>> | null;
  /** The same as a quantize_config.json, where the tool wrote one. */
  readonly quantizeConfig: Readonly<Record<string, unknown>> | null;
  /** Resident bytes over the bytes of all the module's tensors in the file, at most. */
  readonly residentBound: number;
}

interface IndexEntry {
  readonly name: string;
  readonly file: string;
  readonly kind: string;
  readonly module?: string;
  readonly tensors: Readonly<Record<string, {readonly shape: readonly number[]}>>;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly quantization_config?: Readonly<Record<string, unknown>> | null;
  readonly quantize_config_json?: Readonly<Record<string, unknown>> | null;
}

/** Kinds that are no weight: a container whose tensors other cases stand for, and tables of codes. */
const NO_WEIGHT: readonly string[] = ['gguf-file', 'tables'];

const ACTIVATIONS: readonly Activation[] = ['silu', 'gelu', 'gelu_tanh', 'relu', 'tanh', 'sigmoid'];

/** Q2_K: the file splits a byte between a scale and a minimum. TQ1_0: five codes share a byte. Kernels want each on its own. */
const RESIDENT_BOUNDS: Readonly<Record<string, number>> = {Q2_K: 1.2, TQ1_0: 1.23};

/** Blocks that gguf_all_types.gguf lacks are in a container of their own, made by the test from the stored rows. */
function fixtureCase(entry: IndexEntry, i: number): Case {
  const x = entry.tensors['ref.x']?.shape ?? [];
  const y = entry.tensors['ref.y']?.shape ?? [];
  const module = entry.module ?? `fixture.${String(entry.attributes.ggml_type)}`;
  const type = entry.kind === 'gguf' ? String(entry.attributes.ggml_type) : null;
  return {
    name: entry.name,
    format: formatOf(entry),
    outDim: y[1] as number,
    inDim: x[1] as number,
    bias: `${module}.bias` in entry.tensors,
    activation: ACTIVATIONS[i % ACTIVATIONS.length] as Activation,
    module,
    file: entry.file,
    container: entry.kind === 'gguf' ? 'gguf' : 'safetensors',
    type,
    quantization: entry.quantization_config ?? null,
    quantizeConfig: entry.quantize_config_json ?? null,
    residentBound: RESIDENT_BOUNDS[type ?? ''] ?? 1.06,
  };
}

function formatOf({kind, attributes, quantization_config: config}: IndexEntry): string {
  switch (kind) {
    case 'gptq':
      return `GPTQ ${attributes.bits} bit${attributes.checkpoint_format === 'gptq_p' ? ', planar' : ''}`;
    case 'awq':
      return `AWQ ${config?.bits ?? 4} bit`;
    case 'gguf':
      return `GGUF ${attributes.ggml_type}`;
    case 'compressed-tensors':
      return `compressed-tensors ${String(config?.format)}${bitsOf(config)}`;
    case 'fp8-deepseek':
      return 'fp8, DeepSeek';
    case 'fp8-fbgemm':
      return 'fp8, FBGEMM';
    case 'fp8-gptqmodel':
      return `fp8, GPTQModel ${String(config?.format).replace('float8_', '')}`;
    default:
      return kind;
  }
}

/** ' 4 bit' for the formats whose name does not say it. */
function bitsOf(config: IndexEntry['quantization_config']): string {
  if (config?.format !== 'pack-quantized') return '';
  const groups = Object.values((config.config_groups ?? {}) as Record<string, {weights?: {num_bits?: number}}>);
  return `, ${groups[0]?.weights?.num_bits} bit`;
}

/** Plain floats have no fixture: any numbers do. */
function denseCase(type: 'F32' | 'F16' | 'BF16', outDim: number, inDim: number, bias: boolean): Case {
  return {
    name: `dense_${type.toLowerCase()}${bias ? '_bias' : ''}`,
    format: `safetensors ${type}`,
    outDim,
    inDim,
    bias,
    activation: bias ? 'silu' : 'gelu',
    module: 'model.layers.0.mlp.up_proj',
    file: null,
    container: 'safetensors',
    type,
    quantization: null,
    quantizeConfig: null,
    residentBound: 1.06,
  };
}

const fixtures = (index as unknown as {cases: readonly IndexEntry[]}).cases.filter(({kind}) => !NO_WEIGHT.includes(kind)).map(fixtureCase);

/** The stored rows over and over, to a number of rows that no tile divides, with a bias. */
function taller(name: string, outDim: number): Case {
  const from = fixtures.find((c) => c.name === name) as Case;
  return {...from, name: `${name}_n${outDim}_bias`, outDim, bias: true};
}

export const CASES: readonly Case[] = [
  denseCase('F32', 40, 96, true),
  denseCase('F16', 40, 96, false),
  denseCase('F16', 33, 70, true),
  denseCase('BF16', 33, 70, false),
  denseCase('BF16', 40, 96, true),
  ...fixtures,
  ...['gguf_q4_k', 'gguf_q5_k', 'gguf_q6_k'].map((name) => taller(name, 44)),
];

/** The case of this name. Throws where there is none. */
export function caseNamed(name: string): Case {
  const found = CASES.find((c) => c.name === name);
  if (found === undefined) throw new Error(`There is no case '${name}'.`);
  return found;
}
