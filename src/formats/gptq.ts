/**
 * GPTQ, as GPTQModel and AutoGPTQ write it:
 *   qweight I32 [K * bits / 32, N], qzeros I32 [groups, N * bits / 32], scales F16, BF16 or F32 [groups, N], g_idx I32 [K], bias [N]
 *   W[o, i] = scales[g_idx[i], o] * (q[i, o] - z[g_idx[i], o])
 * Codes are packed along the inputs, zero points along the outputs. g_idx is trusted, whatever desc_act says.
 */
import {grid, type WeightLayout} from '../../kernels/layout.js';
import {HOST} from '../../kernels/record_words.js';
import {packZeros, partsOf, unpackZeros} from '../../kernels/words.js';
import type {QuantizationConfig} from '../config/quantization.js';
import {FileFormatError, UnsupportedError} from '../errors.js';
import {type FileTensor, type Format, type Lowered, type Lowering, lowerWhole, type Module, need} from './format.js';
import {CodeRows, raiseCodes, rowsMove} from './gptq_codes.js';
import {type CheckpointFormat, type GptqHeader, gptqHeader, isPlanar, looksLikeGptq} from './gptq_header.js';
import {gptqZeros, isSymmetric, storeZeros} from './gptq_zeros.js';
import {groupingOf} from './grouping.js';
import {PLANES, transpose, unpackPlanar, unpackStream} from './packing.js';
import {
  bytesOf,
  dtypeOfLevel,
  fileTensor,
  int32sOf,
  levelEntries,
  levelNumbers,
  needBytes,
  refuseBadScales,
  wholeBytes,
  wordsOf,
} from './tensors.js';

const fround = Math.fround;

/** What raise needs beyond the record. */
interface Details {
  readonly bits: number;
  /** The convention that the stored zero points follow; `declared` is the config's where it was another. */
  readonly checkpointFormat: CheckpointFormat;
  readonly declared?: CheckpointFormat | null;
  readonly groupIndex: boolean;
  readonly zeros: GptqHeader['zeros'];
  /** dtype of qzeros */
  readonly zerosDtype: string;
  /** Other `dynamic` patterns that fit the module: the first in the config was used. */
  readonly alsoMatched?: readonly string[];
}

function groupsOfColumns(module: Module, header: GptqHeader): Int32Array | null {
  if (!header.hasGroupIndex) return null;
  const groups = int32sOf(need(module, 'g_idx'));
  const bad = groups.findIndex((g) => g < 0 || g >= header.groups);
  if (bad === -1) return groups;
  throw new FileFormatError({
    where: `${module.module}.g_idx[${bad}]`,
    expected: `a group from 0 to ${header.groups - 1}`,
    received: groups[bad],
  });
}

type Shape = Pick<GptqHeader, 'outDim' | 'inDim' | 'bits' | 'groupSize' | 'groups' | 'scaleType'>;

function layoutOf(header: Shape, ordered: boolean, indexed: boolean, zeros: number | null): WeightLayout {
  const {outDim, inDim, groupSize, groups} = header;
  const scaleGrid = {...grid(outDim, inDim, 1, groupSize), shape: [outDim, groups] as const, indexed};
  return {
    outDim,
    inDim,
    planes: PLANES[header.bits] as readonly number[],
    decode: {kind: 'integer'},
    zero: zeros !== null ? {kind: 'constant', value: zeros} : {kind: 'codes', grid: scaleGrid},
    scales: [{grid: scaleGrid, type: header.scaleType, divide: false}],
    offsets: [],
    ordered,
    indexed,
  };
}

/**
 * The layout of a GPTQ weight of this config with F16 scales, to allocate before its values are there.
 * `descAct` leaves room for an order, unless one group spans all inputs. Throws UnsupportedError for a width GPTQ does not have.
 */
export function gptqLayout(config: QuantizationConfig, outDim: number, inDim: number): WeightLayout {
  const {bits, sym, descAct} = config;
  if (config.quantMethod !== 'gptq' || bits < 2 || bits > 8) {
    throw new UnsupportedError({where: 'gptqLayout', expected: 'gptq of 2 to 8 bits', received: `${config.quantMethod} of ${bits} bits`});
  }
  const groupSize = config.groupSize === -1 ? inDim : config.groupSize;
  const groups = Math.ceil(inDim / groupSize);
  const shape: Shape = {outDim, inDim, bits, groupSize, groups, scaleType: 'float16'};
  return layoutOf(shape, descAct && groups > 1, false, sym ? 2 ** (bits - 1) : null);
}

/**
 * `raise` returns the file's tensors byte for byte, with one exception: bits of qweight and qzeros beyond the last code,
 * which mean nothing, become those of codes and zero points 0.
 */
export const gptq: Format = {
  name: 'gptq',
  recognise: looksLikeGptq,

  validate(module) {
    gptqHeader(module);
  },

  pieces(module) {
    const {bits, planar, outDim} = gptqHeader(module);
    return rowsMove(bits) && !planar ? {tensor: 'qweight', rowBytes: outDim * 4} : null;
  },

  late(module) {
    return ['scales', 'bias', ...(isSymmetric(gptqHeader(module)) ? ['qzeros'] : [])];
  },

  lower(module): Lowered {
    return lowerWhole(gptq.begin!(module), wholeBytes(module, 'qweight'));
  },

  begin(module, memory = HOST): Lowering {
    const header = gptqHeader(module);
    const check = (...names: string[]): void => {
      for (const [name, tensor] of module.tensors) if (names.includes(name)) needBytes(module.module, name, tensor);
    };
    check('g_idx', ...(isSymmetric(header) ? [] : ['qzeros']));
    const early = isSymmetric(header) ? null : gptqZeros(module, header);
    const columns = groupsOfColumns(module, header);
    const grouping = columns === null ? {order: null, groupIndex: null} : groupingOf(columns, header.groups, header.groupSize);
    const constant = early === null ? 2 ** (header.bits - 1) : typeof early.zeros === 'number' ? early.zeros : null;
    const layout = layoutOf(header, grouping.order !== null, grouping.groupIndex !== null, constant);
    const record = memory.record(layout, grouping.order === null && rowsMove(header.bits) && !header.planar);
    if (grouping.order !== null) record.parts.order.set(grouping.order);
    if (grouping.groupIndex !== null) record.parts.groupIndex.set(grouping.groupIndex);
    const codes = new CodeRows(record, layout, header, grouping.order);
    return {
      add: (bytes) => codes.add(new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2)),
      finish() {
        check(...gptq.late!(module));
        const scales = need(module, 'scales');
        refuseBadScales(module, 'scales', header.scaleType, scales);
        const {checkpointFormat, zeros} = early ?? gptqZeros(module, header);
        const {words, parts} = record;
        transpose(levelEntries(header.scaleType, scales), header.groups, header.outDim, parts.scales[0]!);
        if (typeof zeros !== 'number') {
          const byRow = new Uint8Array(zeros.length);
          transpose(zeros, header.groups, header.outDim, byRow);
          packZeros(layout, parts, byRow);
        }
        const details: Details = {
          bits: header.bits,
          checkpointFormat,
          ...(checkpointFormat === header.checkpointFormat ? {} : {declared: header.checkpointFormat}),
          groupIndex: header.hasGroupIndex,
          zeros: header.zeros,
          zerosDtype: module.tensors.get('qzeros')?.dtype ?? 'I32',
          ...(header.matched.length > 1 ? {alsoMatched: header.matched.slice(1)} : {}),
        };
        const origin = {format: gptq.name, details: {...details}};
        return {layout, words, bias: module.tensors.get('bias') ?? null, inputScheme: null, origin};
      },
    };
  },

  raise({layout, words, bias, origin}) {
    const details = origin.details as unknown as Details;
    const {bits, checkpointFormat} = details;
    const {outDim, inDim} = layout;
    const parts = partsOf(layout, words);
    const level = layout.scales[0]!;
    const groups = level.grid.shape[1];
    const order = layout.ordered ? parts.order : null;
    const qweight = raiseCodes(layout, bits, isPlanar(checkpointFormat, bits), order, parts.codes);
    const stored = parts.scales[0]!;
    const scales = stored.slice();
    transpose(stored, outDim, groups, scales);
    const tensors = new Map<string, FileTensor>();
    tensors.set('qweight', fileTensor('I32', [qweight.length / outDim, outDim], qweight));
    if (details.zeros !== 'absent') tensors.set('qzeros', raiseZeros(layout, words, details, groups));
    tensors.set('scales', fileTensor(dtypeOfLevel(level.type), [groups, outDim], scales));
    if (details.groupIndex) {
      const columns = new Int32Array(inDim);
      for (let j = 0; j < inDim; j++) {
        const group = layout.indexed ? (parts.groupIndex[j] as number) : Math.floor(j / level.grid.columns);
        columns[order === null ? j : (order[j] as number)] = group;
      }
      tensors.set('g_idx', fileTensor('I32', [inDim], columns));
    }
    if (bias !== null) tensors.set('bias', bias);
    return tensors;
  },

  reference(module) {
    const header = gptqHeader(module);
    const {outDim, inDim, bits} = header;
    const qweight = wordsOf(need(module, 'qweight'));
    const scales = levelNumbers(header.scaleType, need(module, 'scales'));
    const {zeros} = gptqZeros(module, header);
    const columns = groupsOfColumns(module, header);
    const weight = new Float32Array(outDim * inDim);
    const codes = new Uint8Array(inDim);
    for (let o = 0; o < outDim; o++) {
      if (header.planar) unpackPlanar(qweight, o, outDim, PLANES[bits] as readonly number[], inDim, codes, 0);
      else unpackStream(qweight, o, outDim, bits, inDim, codes, 0);
      for (let i = 0; i < inDim; i++) {
        const at = (columns === null ? Math.floor(i / header.groupSize) : (columns[i] as number)) * outDim + o;
        const zero = typeof zeros === 'number' ? zeros : (zeros[at] as number);
        weight[o * inDim + i] = fround((scales[at] as number) * ((codes[i] as number) - zero));
      }
    }
    return weight;
  },
};

function raiseZeros(layout: WeightLayout, words: Int32Array, details: Details, groups: number): FileTensor {
  const {outDim} = layout;
  const {bits, checkpointFormat} = details;
  const zeros = new Uint8Array(groups * outDim);
  if (layout.zero.kind === 'constant') zeros.fill(layout.zero.value);
  else transpose(unpackZeros(layout, partsOf(layout, words)), outDim, groups, zeros);
  if (details.zeros === 'words') {
    const packed = storeZeros(zeros, groups, outDim, bits, checkpointFormat);
    return fileTensor('I32', [groups, packed.length / groups], packed);
  }
  const stored = checkpointFormat === 'gptq' ? zeros.map((z) => (z - 1) & (2 ** bits - 1)) : zeros;
  return {
    dtype: details.zerosDtype,
    shape: [groups, outDim],
    data: bytesOf(details.zerosDtype === 'I32' ? Int32Array.from(stored) : stored),
  };
}
