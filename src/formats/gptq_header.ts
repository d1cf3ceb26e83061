/** What the headers and the config say about a GPTQ module, checked against each other. */

import type {LevelType} from '../../kernels/layout.js';
import {moduleSettings} from '../config/module_settings.js';
import {methodOf} from '../config/quantization.js';
import {ArgumentError, MissingError, ShapeError, UnsupportedError} from '../errors.js';
import {checkBias} from './dense.js';
import {type ModuleHeader, refuseOthers, type TensorHeader} from './format.js';
import {PLANES} from './packing.js';
import {levelTypeOf, needDtype, needShape} from './tensors.js';

/** 'gptq' (v1): stored zero points are one less. 'gptq_v2', 'gptq_p': as they are. 'gptq_p' also packs in planes. */
export type CheckpointFormat = 'gptq' | 'gptq_v2' | 'gptq_p';

export interface GptqHeader {
  readonly outDim: number;
  readonly inDim: number;
  readonly bits: number;
  /** K where the file says -1. */
  readonly groupSize: number;
  readonly groups: number;
  /** undefined: the config does not say. */
  readonly sym: boolean | undefined;
  /** null: no config at all. */
  readonly checkpointFormat: CheckpointFormat | null;
  /** Codes and zero points lie in planes. */
  readonly planar: boolean;
  readonly scaleType: LevelType;
  readonly hasGroupIndex: boolean;
  /** How zero points are stored: 'words' of packed fields, one an element, or not at all. */
  readonly zeros: 'words' | 'elements' | 'absent';
  /** `dynamic` patterns of the config that fit the module, in file order. */
  readonly matched: readonly string[];
}

const TENSORS = ['qweight', 'qzeros', 'scales', 'g_idx', 'bias'];

/** 2, 4 and 8 bits have one plane, so that 'gptq_p' is the dense layout for them. */
export function isPlanar(format: CheckpointFormat | null, bits: number): boolean {
  return format === 'gptq_p' && (PLANES[bits] as readonly number[]).length > 1;
}

/** Whether the tensors are GPTQ's: qweight [K * bits / 32, N] has the columns of scales [groups, N]. */
export function looksLikeGptq(module: ModuleHeader): boolean {
  const {tensors, quantization} = module;
  const qweight = tensors.get('qweight');
  const scales = tensors.get('scales');
  if (module.container !== 'safetensors' || qweight === undefined || scales === undefined) return false;
  const method = methodOf(quantization);
  if (method === 'gptq' || method === 'awq') return method === 'gptq';
  return tensors.has('g_idx') || qweight.shape[1] === scales.shape[1];
}

/** Reads and checks everything that needs no bytes. Throws typed errors naming module, tensor and axis. */
export function gptqHeader(module: ModuleHeader): GptqHeader {
  const {module: name, quantization} = module;
  const settings = quantization === null ? null : moduleSettings(quantization, name);
  if (settings !== null && settings.excludedBy !== null) {
    throw new UnsupportedError({
      where: name,
      expected: `a plain weight: the config leaves this module unquantised (${settings.excludedBy})`,
      received: 'packed tensors',
    });
  }
  refuseOthers(module, 'gptq', TENSORS);
  const qweight = needDtype(module, 'qweight', ['I32']);
  const scales = needDtype(module, 'scales', ['F16', 'BF16', 'F32']);
  const gIdx = module.tensors.has('g_idx') ? needDtype(module, 'g_idx', ['I32']) : null;
  const checkpointFormat = checkpointFormatOf(name, settings?.checkpointFormat, quantization === null);
  const outDim = matrix(name, 'qweight', qweight)[1];
  const {bits, inDim} = widthOf(name, qweight, gIdx, settings?.bits);
  checkBits(name, bits, checkpointFormat);
  const planar = isPlanar(checkpointFormat, bits);
  if (planar && (inDim % 32 !== 0 || outDim % 32 !== 0)) {
    throw new ShapeError({
      where: `${name}.qweight`,
      expected: `inputs and outputs in whole runs of 32, as ${checkpointFormat} packs ${bits} bits`,
      received: `${inDim} inputs, ${outDim} outputs`,
    });
  }
  const groups = matrix(name, 'scales', scales)[0];
  if (gIdx === null && groups > 1 && settings?.descAct === true && quantization?.static_groups !== true) {
    throw new MissingError({
      where: `${name}.g_idx`,
      expected: 'the group of each input: the config says desc_act',
      received: 'no g_idx',
      why: 'Columns in order of activation belong to groups in no order that can be guessed.',
      remedy: 'Take a file with g_idx, or set desc_act to false if its groups are in order.',
    });
  }
  const groupSize = groupSizeOf(name, inDim, groups, settings?.groupSize);
  needShape(name, 'scales', scales, [Math.ceil(inDim / groupSize), outDim], `[groups of ${groupSize} of ${inDim} inputs, outputs]`);
  checkBias(module, outDim);
  return {
    outDim,
    inDim,
    bits,
    groupSize,
    groups,
    sym: settings?.sym,
    checkpointFormat,
    planar,
    scaleType: levelTypeOf(name, 'scales', scales),
    hasGroupIndex: gIdx !== null,
    matched: settings?.matched ?? [],
    zeros: zerosOf(module, groups, outDim, bits, settings?.sym === true),
  };
}

function matrix(module: string, name: string, tensor: TensorHeader): [number, number] {
  const [rows, columns] = tensor.shape;
  if (tensor.shape.length === 2 && rows !== undefined && columns !== undefined && rows > 0 && columns > 0) return [rows, columns];
  throw new ShapeError({where: `${module}.${name}`, expected: 'a matrix', received: `[${tensor.shape}]`});
}

function checkpointFormatOf(module: string, named: string | undefined, unknown: boolean): CheckpointFormat | null {
  if (named === undefined) return unknown ? null : 'gptq';
  if (named === 'gptq' || named === 'gptq_v2' || named === 'gptq_p') return named;
  throw new UnsupportedError({
    where: `${module}: checkpoint_format`,
    expected: 'gptq, gptq_v2 or gptq_p',
    received: `'${named}'`,
    why: 'Other layouts (marlin, bitblas, exllama) reorder the packed words for one kernel.',
    remedy: 'Save the model again in the gptq layout.',
  });
}

/** K from g_idx where it is there, else from the words; bits from the config, else from both. */
function widthOf(
  module: string,
  qweight: TensorHeader,
  gIdx: TensorHeader | null,
  bits: number | undefined,
): {bits: number; inDim: number} {
  const rows = qweight.shape[0] as number;
  const known = gIdx?.shape.length === 1 ? (gIdx.shape[0] as number) : null;
  if (bits === undefined) {
    const found = known === null ? [] : Object.keys(PLANES).filter((b) => Math.ceil((known * Number(b)) / 32) === rows);
    if (found.length === 1) return {bits: Number(found[0]), inDim: known as number};
    throw new UnsupportedError({
      where: module,
      expected: 'a config that says how many bits a code has',
      received: `no config, and qweight [${qweight.shape}]${known === null ? ' without g_idx' : ` with g_idx [${known}]`} does not tell`,
      remedy: 'Open the folder with config.json or quantize_config.json.',
    });
  }
  const inDim = known ?? (rows * 32) / bits;
  if (Number.isInteger(inDim) && Math.ceil((inDim * bits) / 32) === rows) return {bits, inDim};
  throw new ShapeError({
    where: `${module}.qweight`,
    expected:
      known === null ? `whole codes of ${bits} bits` : `${Math.ceil((known * bits) / 32)} rows: ${known} inputs (g_idx) of ${bits} bits`,
    received: `[${qweight.shape}]`,
    remedy: 'Bits in the config and the tensors contradict each other.',
  });
}

function checkBits(module: string, bits: number, format: CheckpointFormat | null): void {
  const widths = format === 'gptq_p' ? [2, 3, 4, 5, 6, 7, 8] : [2, 3, 4, 8];
  if (widths.includes(bits)) return;
  throw new UnsupportedError({
    where: `${module}: bits`,
    expected: `${widths.join(', ')} with checkpoint_format ${format ?? 'gptq'}`,
    received: bits,
    why: '5, 6 and 7 bits are written in planes only (gptq_p).',
  });
}

function groupSizeOf(module: string, inDim: number, groups: number, configured: number | undefined): number {
  if (configured === -1 || (configured === undefined && groups === 1)) return inDim;
  if (configured !== undefined) return configured;
  const even = inDim / groups;
  if (Number.isInteger(even)) return even;
  throw new ArgumentError({
    where: `${module}: group_size`,
    expected: 'a config',
    received: `none, and ${inDim} inputs in ${groups} groups`,
  });
}

/** P042: packed words or one element a zero point, by shape and dtype. */
function zerosOf(module: ModuleHeader, groups: number, outDim: number, bits: number, sym: boolean): GptqHeader['zeros'] {
  if (!module.tensors.has('qzeros')) {
    if (sym) return 'absent';
    throw new UnsupportedError({
      where: `${module.module}.qzeros`,
      expected: 'zero points',
      received: 'none, and the config does not say sym',
    });
  }
  const qzeros = needDtype(module, 'qzeros', ['I32', 'I8', 'U8']);
  const words = [groups, Math.ceil((outDim * bits) / 32)];
  // A single output fits both shapes; int32 then is a word.
  if (qzeros.dtype === 'I32' && qzeros.shape[0] === words[0] && qzeros.shape[1] === words[1]) return 'words';
  if (qzeros.shape.length === 2 && qzeros.shape[0] === groups && qzeros.shape[1] === outDim) return 'elements';
  throw new ShapeError({
    where: `${module.module}.qzeros`,
    expected: `int32 [${words}] (zero points of ${bits} bits packed along the ${outDim} outputs) or [${groups}, ${outDim}] (one an element)`,
    received: `${qzeros.dtype} [${qzeros.shape}]`,
  });
}
