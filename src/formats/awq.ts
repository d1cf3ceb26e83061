/**
 * AWQ in the GEMM packing, as AutoAWQ and GPTQModel write it, 4 bits:
 *   qweight I32 [K, N / 8], qzeros I32 [groups, N / 8], scales F16, BF16 or F32 [groups, N], bias [N]
 *   W[o, i] = scales[i / groupSize, o] * (q[i, o] - z[i / groupSize, o])
 * Codes and zero points are packed along the OUTPUTS, interleaved (awq_codes.ts). Zero points are stored as they are.
 */
import {grid, type LevelType, sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import {allocateWords, packZeros, partsOf, unpackZeros} from '../../kernels/words.js';
import {moduleSettings} from '../config/module_settings.js';
import {methodOf} from '../config/quantization.js';
import {ShapeError, UnsupportedError} from '../errors.js';
import {lowerInterleaved, ORDER, packInterleaved, raiseInterleaved, unpackInterleaved} from './awq_codes.js';
import {checkBias, matrixShape} from './dense.js';
import {type FileTensor, type Format, type Lowered, type Module, type ModuleHeader, need, refuseOthers} from './format.js';
import {transpose} from './packing.js';
import {
  dtypeOfLevel,
  fileTensor,
  levelEntries,
  levelNumbers,
  levelTypeOf,
  needBytes,
  needDtype,
  needShape,
  refuseBadScales,
  wordsOf,
} from './tensors.js';

const fround = Math.fround;
const MIDDLE = 8;

interface Header {
  readonly outDim: number;
  readonly inDim: number;
  readonly groupSize: number;
  readonly groups: number;
  readonly sym: boolean;
  readonly scaleType: LevelType;
  readonly hasZeros: boolean;
}

function looksLikeAwq({container, tensors, quantization}: ModuleHeader): boolean {
  const qweight = tensors.get('qweight');
  const scales = tensors.get('scales');
  if (container !== 'safetensors' || qweight === undefined || scales === undefined) return false;
  const method = methodOf(quantization);
  if (method === 'awq' || method === 'gptq') return method === 'awq';
  return !tensors.has('g_idx') && (qweight.shape[1] ?? 0) * 8 === scales.shape[1];
}

function headerOf(module: ModuleHeader): Header {
  const {module: name, quantization} = module;
  const settings = quantization === null ? null : moduleSettings(quantization, name);
  const unsupported = (what: string, expected: string, received: string): UnsupportedError =>
    new UnsupportedError({where: `${name}${what}`, expected, received});
  if (settings !== null && settings.excludedBy !== null) {
    throw unsupported('', `a plain weight: the config leaves this module unquantised (${settings.excludedBy})`, 'packed tensors');
  }
  refuseOthers(module, 'awq', ['qweight', 'qzeros', 'scales', 'bias']);
  for (const layout of [quantization?.version, settings?.checkpointFormat]) {
    if (layout === undefined || layout === null || String(layout).toLowerCase() === 'gemm') continue;
    throw unsupported(': version', "'gemm', the one packing we read", `'${layout}'`);
  }
  if (settings !== null && settings.bits !== undefined && settings.bits !== 4) throw unsupported(': bits', '4', String(settings.bits));
  const qweight = needDtype(module, 'qweight', ['I32']);
  const scales = needDtype(module, 'scales', ['F16', 'BF16', 'F32']);
  const [inDim, columns] = matrixShape(qweight, `${name}.qweight`);
  const [groups, outDim] = matrixShape(scales, `${name}.scales`);
  if (columns * 8 !== outDim) {
    throw new ShapeError({
      where: `${name}.qweight`,
      expected: `[inputs, outputs / 8] = [${inDim}, ${outDim / 8}] for ${outDim} outputs (scales)`,
      received: `[${qweight.shape}]`,
      why: 'AWQ packs 8 codes a word along the output axis.',
      remedy: columns === outDim ? 'Packed along the inputs it is GPTQ: the config names the wrong method.' : '',
    });
  }
  const groupSize = groupSizeOf(name, inDim, groups, settings?.groupSize);
  needShape(name, 'scales', scales, [Math.ceil(inDim / groupSize), outDim], `[groups of ${groupSize} of ${inDim} inputs, outputs]`);
  const sym = settings?.sym === true;
  const hasZeros = module.tensors.has('qzeros') || !sym;
  if (hasZeros) {
    needShape(name, 'qzeros', needDtype(module, 'qzeros', ['I32']), [groups, columns], '[groups, outputs / 8]');
  }
  checkBias(module, outDim);
  return {outDim, inDim, groupSize, groups, sym, scaleType: levelTypeOf(name, 'scales', scales), hasZeros};
}

function groupSizeOf(module: string, inDim: number, groups: number, configured: number | undefined): number {
  if (configured === -1) return inDim;
  if (configured !== undefined) return configured;
  if (inDim % groups === 0) return inDim / groups;
  throw new UnsupportedError({
    where: `${module}: group_size`,
    expected: 'a config',
    received: `none, and ${inDim} inputs in ${groups} groups`,
  });
}

/** True zero points [groups, N], or one number where all are equal. */
function zerosOf(module: Module, header: Header): Uint8Array | number {
  if (!header.hasZeros) return MIDDLE;
  const zeros = new Uint8Array(header.groups * header.outDim);
  unpackInterleaved(wordsOf(need(module, 'qzeros')), zeros);
  const constant = zeros.every((z) => z === zeros[0]) ? (zeros[0] as number) : null;
  if (header.sym && constant !== MIDDLE) {
    throw new UnsupportedError({
      where: `${module.module}.qzeros`,
      expected: `zero points of ${MIDDLE} everywhere: the config says zero_point false`,
      received: constant === null ? 'several values' : String(constant),
      why: 'Either the config or the stored zero points are wrong.',
      remedy: 'Set zero_point to true in the config to use the stored zero points.',
    });
  }
  return constant ?? zeros;
}

/** `raise` returns the file's tensors byte for byte. */
export const awq: Format = {
  name: 'awq',
  recognise: looksLikeAwq,

  validate(module) {
    headerOf(module);
  },

  lower(module): Lowered {
    const header = headerOf(module);
    const {outDim, inDim, groups, scaleType} = header;
    for (const [name, tensor] of module.tensors) needBytes(module.module, name, tensor);
    const scales = need(module, 'scales');
    refuseBadScales(module, 'scales', scaleType, scales);
    const zeros = zerosOf(module, header);
    const scaleGrid = {...grid(outDim, inDim, 1, header.groupSize), shape: [outDim, groups] as const};
    const layout: WeightLayout = {
      outDim,
      inDim,
      planes: [4],
      decode: {kind: 'integer'},
      zero: typeof zeros === 'number' ? {kind: 'constant', value: zeros} : {kind: 'codes', grid: scaleGrid},
      scales: [{grid: scaleGrid, type: scaleType, divide: false}],
      offsets: [],
      ordered: false,
      indexed: false,
    };
    const words = allocateWords(layout);
    const parts = partsOf(layout, words);
    lowerInterleaved(wordsOf(need(module, 'qweight')), inDim, outDim, parts.codes, sectionsOf(layout).rowWords);
    transpose(levelEntries(scaleType, scales), groups, outDim, parts.scales[0]!);
    if (typeof zeros !== 'number') {
      const byRow = new Uint8Array(zeros.length);
      transpose(zeros, groups, outDim, byRow);
      packZeros(layout, parts, byRow);
    }
    const origin = {format: awq.name, details: {qzeros: header.hasZeros}};
    return {layout, words, bias: module.tensors.get('bias') ?? null, inputScheme: null, origin};
  },

  raise({layout, words, bias, origin}) {
    const {outDim, inDim} = layout;
    const parts = partsOf(layout, words);
    const level = layout.scales[0]!;
    const groups = level.grid.shape[1];
    const stored = parts.scales[0]!;
    const scales = stored.slice();
    transpose(stored, outDim, groups, scales);
    const tensors = new Map<string, FileTensor>();
    const qweight = raiseInterleaved(parts.codes, inDim, outDim, sectionsOf(layout).rowWords);
    tensors.set('qweight', fileTensor('I32', [inDim, outDim / 8], qweight));
    if (origin.details.qzeros === true) {
      const zeros = new Uint8Array(groups * outDim);
      if (layout.zero.kind === 'constant') zeros.fill(layout.zero.value);
      else transpose(unpackZeros(layout, parts), outDim, groups, zeros);
      tensors.set('qzeros', fileTensor('I32', [groups, outDim / 8], packInterleaved(zeros)));
    }
    tensors.set('scales', fileTensor(dtypeOfLevel(level.type), [groups, outDim], scales));
    if (bias !== null) tensors.set('bias', bias);
    return tensors;
  },

  reference(module) {
    const header = headerOf(module);
    const {outDim, inDim, groupSize} = header;
    const qweight = wordsOf(need(module, 'qweight'));
    const scales = levelNumbers(header.scaleType, need(module, 'scales'));
    const zeros = zerosOf(module, header);
    const weight = new Float32Array(outDim * inDim);
    for (let o = 0; o < outDim; o++) {
      const shift = 4 * ORDER.indexOf((o % 8) as 0);
      for (let i = 0; i < inDim; i++) {
        const code = ((qweight[(i * outDim) / 8 + ((o / 8) | 0)] as number) >>> shift) & 15;
        const at = Math.floor(i / groupSize) * outDim + o;
        weight[o * inDim + i] = fround((scales[at] as number) * (code - (typeof zeros === 'number' ? zeros : (zeros[at] as number))));
      }
    }
    return weight;
  },
};
