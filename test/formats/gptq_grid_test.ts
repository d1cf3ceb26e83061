import {gptq} from '../../src/formats/gptq.js';
import {affineWeight, f16, gptqConfig, gptqTensors, moduleOf, randomParts, seeded, tensor} from './packed_build.js';
import {expectExact} from './packed_support.js';

/** Weights here are small enough for the 16-byte starts of sections to count. */
const SMALL = 1.2;

/** Any map of K inputs to groups of these sizes, shuffled. */
function shuffled(sizes: readonly number[], seed: number): number[] {
  const groups = sizes.flatMap((size, g) => Array<number>(size).fill(g));
  const random = seeded(seed);
  for (let i = groups.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [groups[i], groups[j]] = [groups[j]!, groups[i]!];
  }
  return groups;
}

interface Shape {
  readonly outDim: number;
  readonly inDim: number;
  readonly groupSize: number;
  readonly groupOf?: readonly number[];
  readonly ordered?: boolean;
  readonly indexed?: boolean;
}

const SHAPES: Readonly<Record<string, Shape>> = {
  'even groups': {outDim: 32, inDim: 128, groupSize: 32},
  'a short last group': {outDim: 32, inDim: 160, groupSize: 64},
  'one group': {outDim: 32, inDim: 96, groupSize: -1},
  'an order': {outDim: 32, inDim: 128, groupSize: 32, groupOf: shuffled([32, 32, 32, 32], 1), ordered: true},
  'an order with a short last group': {outDim: 32, inDim: 160, groupSize: 64, groupOf: shuffled([64, 64, 32], 2), ordered: true},
  'an order with uneven groups': {
    outDim: 64,
    inDim: 128,
    groupSize: 32,
    groupOf: shuffled([40, 24, 63, 1], 3),
    ordered: true,
    indexed: true,
  },
  'uneven groups in sequence': {
    outDim: 64,
    inDim: 128,
    groupSize: 32,
    groupOf: shuffled([20, 44, 60, 4], 0).sort((a, b) => a - b),
    indexed: true,
  },
  'an order that leaves a group empty': {
    outDim: 64,
    inDim: 96,
    groupSize: 32,
    groupOf: shuffled([50, 0, 46], 5),
    ordered: true,
    indexed: true,
  },
};

const FORMATS = {gptq: [2, 3, 4, 8], gptq_v2: [2, 3, 4, 8], gptq_p: [2, 3, 4, 5, 6, 7, 8]} as const;

describe('gptq by hand-packed words', () => {
  for (const [shapeName, shape] of Object.entries(SHAPES)) {
    for (const [format, widths] of Object.entries(FORMATS) as [keyof typeof FORMATS, readonly number[]][]) {
      it(`${format}, ${shapeName}: every width, symmetric and not`, () => {
        for (const bits of widths) {
          for (const sym of [true, false]) {
            const label = `${bits} bits, sym ${sym}`;
            const parts = randomParts({...shape, bits, ...(sym ? {zero: 2 ** (bits - 1)} : {})}, bits);
            const module = moduleOf(gptqTensors(parts, format), gptqConfig(bits, shape.groupSize, sym, format));
            const {layout} = expectExact(gptq, module, affineWeight(parts), label, SMALL);
            expect(layout.ordered)
              .withContext(label)
              .toBe(shape.ordered ?? false);
            expect(layout.indexed)
              .withContext(label)
              .toBe(shape.indexed ?? false);
            expect(layout.zero.kind)
              .withContext(label)
              .toBe(sym ? 'constant' : 'codes');
          }
        }
      });
    }
  }

  it('takes inputs and outputs that do not fill words', () => {
    for (const [outDim, inDim, bits] of [
      [48, 40, 4],
      [3, 104, 4],
      [33, 36, 4],
      [5, 20, 8],
      [7, 24, 2],
      [1, 32, 3],
    ] as const) {
      for (const format of ['gptq', 'gptq_v2'] as const) {
        const parts = randomParts({outDim, inDim, bits, groupSize: 16}, outDim);
        const module = moduleOf(gptqTensors(parts, format), gptqConfig(bits, 16, false, format));
        expectExact(gptq, module, affineWeight(parts), `${format} [${outDim}, ${inDim}] ${bits} bits`, 1.6);
      }
    }
  });

  it('keeps large layers at the size of their file', () => {
    for (const bits of [2, 3, 4, 8]) {
      const groupOf = shuffled(Array<number>(16).fill(32), bits);
      const parts = randomParts({outDim: 256, inDim: 512, bits, groupSize: 32, groupOf}, bits);
      expectExact(gptq, moduleOf(gptqTensors(parts, 'gptq'), gptqConfig(bits, 32, false)), affineWeight(parts), `${bits} bits`);
    }
  });

  it('reads files without g_idx, without qzeros where sym, and with a bias', () => {
    const parts = randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32, zero: 8}, 7);
    const {g_idx: _, qzeros: __, ...tensors} = gptqTensors(parts, 'gptq');
    const bias = f16(
      [32],
      Array.from({length: 32}, (_, n) => n / 4),
    );
    const lowered = expectExact(gptq, moduleOf({...tensors, bias}, gptqConfig(4, 32, true)), affineWeight(parts), 'bare', SMALL);
    expect(lowered.bias).toBe(bias);
  });

  it('reads a symmetric layer without any config, and only a symmetric one', () => {
    const symmetric = randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32, zero: 8}, 8);
    for (const format of ['gptq', 'gptq_v2'] as const) {
      expectExact(gptq, moduleOf(gptqTensors(symmetric, format), null), affineWeight(symmetric), format, SMALL);
    }
    const asymmetric = randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32}, 9);
    expect(() => gptq.lower(moduleOf(gptqTensors(asymmetric, 'gptq'), null))).toThrowError(/qzeros.*config/);
  });

  it('drops bits beyond the last code, in the record and raised', () => {
    const parts = randomParts({outDim: 8, inDim: 20, bits: 4, groupSize: 20, zero: 8}, 10);
    const clean = gptqTensors(parts, 'gptq');
    const dirty = gptqTensors(parts, 'gptq');
    const words = new Int32Array(dirty.qweight!.data.buffer);
    for (let n = 0; n < 8; n++) words[2 * 8 + n]! |= 0xabcd0000;
    const a = gptq.lower(moduleOf(dirty, gptqConfig(4, 20, true)));
    const b = gptq.lower(moduleOf(clean, gptqConfig(4, 20, true)));
    expect([...a.words]).toEqual([...b.words]);
    expect([...gptq.raise(a).get('qweight')!.data]).toEqual([...clean.qweight!.data]);
  });

  it('refuses a group that is not there, a scale that is not finite, and tensors it does not read', () => {
    const parts = randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32, zero: 8}, 11);
    const tensors = gptqTensors(parts, 'gptq');
    const config = gptqConfig(4, 32, true);
    const outside = {
      ...tensors,
      g_idx: tensor(
        'I32',
        [64],
        Int32Array.from({length: 64}, (_, k) => (k === 5 ? 2 : 0)),
      ),
    };
    expect(() => gptq.lower(moduleOf(outside, config))).toThrowError(/up_proj\.g_idx\[5\].*0 to 1.*2/);
    const scales = Uint16Array.from({length: 64}, (_, i) => (i === 33 ? 0x7e00 : 0x3c00));
    expect(() => gptq.lower(moduleOf({...tensors, scales: tensor('F16', [2, 32], scales)}, config))).toThrowError(
      /scales\[1, 1\].*finite.*7e00/,
    );
    expect(() => gptq.validate(moduleOf({...tensors, weight_scale: f16([1], [1])}, config))).toThrowError(/weight_scale/);
    expect(() => gptq.validate(moduleOf(tensors, gptqConfig(5, 32, true)))).toThrowError(/qweight.*5 bits|bits/);
    expect(() => gptq.validate(moduleOf(tensors, gptqConfig(4, 32, true, 'marlin')))).toThrowError(/marlin/);
  });
});
