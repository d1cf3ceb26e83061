/** saveSafetensors of every class: the same weights again from the file, or a refusal that says why. */
import {
  ColumnParallelLinear,
  Linear,
  MLP,
  openCheckpoint,
  type QuantizedWeight,
  StackedLinear,
  saveSafetensorsAsync,
  UnsupportedError,
} from '../../src/index.js';
import {CASES, caseNamed} from '../grid/cases.js';
import {SAMPLES} from '../layers/every_class.js';
import {take} from '../layers/layers_support.js';
import {filesOf} from '../support/checkpoints.js';
import {jsonBytes} from '../support/files.js';

/** Samples that no layout holds, and why. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  'Linear, fp8 column, static columns': /'m': rounding of x: expected scales by tensor.*Received: static rowwise.*layer\.save/,
  'Linear, int8, scale of x a tensor': /'m': expected a record.*plain floats with a rounding of x/,
  'Linear, float16, scales of x by column': /'m': rounding of x.*Received: static rowwise/,
  'Linear, float16, scales of x by block': /'m': rounding of x.*Received: static block/,
};

/** Layers under their module names, as the file has them. */
function modulesOf(layer: Linear | MLP): Map<string, Linear> {
  if (layer instanceof MLP) {
    return new Map([
      ['m.gate_proj', layer.gateProj],
      ['m.up_proj', layer.upProj],
      ['m.down_proj', layer.downProj],
    ]);
  }
  return new Map([['m', layer]]);
}

async function stored(layer: Linear): Promise<{weight: number[]; bias: number[] | null}> {
  const bias = layer.hasBias ? await take((layer.bias as NonNullable<Linear['bias']>).clone()) : null;
  return {weight: await take(layer.weight.dequantize()), bias};
}

async function reopen(layers: Readonly<Record<string, Linear | MLP>>) {
  const {bytes, config} = await saveSafetensorsAsync(layers);
  return openCheckpoint({'model.safetensors': bytes, 'config.json': jsonBytes(config)});
}

describe('saveSafetensors, every class', () => {
  for (const {name, make} of SAMPLES) {
    const refusal = REFUSED[name];
    if (refusal !== undefined) {
      it(`${name}: refused with the reason`, async () => {
        const layer = await make();
        await expectAsync(saveSafetensorsAsync({m: layer})).toBeRejectedWithError(refusal);
        layer.dispose();
      });
      continue;
    }

    it(name, async () => {
      const layer = await make();
      const checkpoint = await reopen({m: layer});
      if (layer instanceof StackedLinear && !layer.stacked) {
        expect(checkpoint.names().sort()).toEqual(layer.names.flatMap((n) => [`m.${n}.bias`, `m.${n}.weight`]).sort());
        const again = (await checkpoint.stacked(layer.names.map((n) => `m.${n}`))) as Linear;
        expect(await stored(again)).toEqual(await stored(layer));
        again.dispose();
      } else {
        for (const [module, was] of modulesOf(layer)) {
          const again = await checkpoint.linear(module);
          expect(await stored(again))
            .withContext(module)
            .toEqual(await stored(was));
          const scheme = ({inputQuantization: q}: Linear) => q && [q.dtype, q.origin, q.granularity];
          expect(scheme(again)).withContext(module).toEqual(scheme(was));
          again.dispose();
        }
      }
      await checkpoint.close();
      layer.dispose();
    });
  }

  it('a tied head: the rows that its owner has', async () => {
    const owner = new Linear({inDim: 6, outDim: 5});
    const head = new ColumnParallelLinear({inDim: 6, outDim: 5, devices: ['cpu', 'cpu'], tiedWeight: owner});
    const checkpoint = await reopen({head});
    const again = await checkpoint.linear('head');
    expect((await stored(again)).weight).toEqual((await stored(owner)).weight);
    await checkpoint.close();
    for (const l of [again, head, owner]) l.dispose();
  });
});

/** Records that no file held: some rows of a checkpoint's layer. */
describe('saveSafetensors, rows of a layer', () => {
  const BLOCKS = /^(deepseek_fp8_block128|ct_fp8_block128)/;
  const NO_LAYOUT = /^gguf_(q4_1|q5_1|q2_k|q3_k|q4_k|q5_k|q6_k|iq4|nvfp4)/;

  for (const c of CASES.filter(({name}) => !BLOCKS.test(name))) {
    it(`${c.name}${NO_LAYOUT.test(c.name) ? ': refused with the reason' : ''}`, async () => {
      const first = await openCheckpoint((await filesOf(c)).files);
      const layer = await first.linear(c.module, {rows: [5, 2, 7]});
      if (NO_LAYOUT.test(c.name)) {
        await expectAsync(saveSafetensorsAsync({m: layer})).toBeRejectedWithError(
          /'m': expected a record that a safetensors layout can hold/,
        );
      } else {
        const checkpoint = await reopen({m: layer});
        const again = await checkpoint.linear('m');
        expect(await (again.weight as QuantizedWeight).words.data()).toEqual(await (layer.weight as QuantizedWeight).words.data());
        expect(await stored(again)).toEqual(await stored(layer));
        expect(again.inputQuantization).toEqual(layer.inputQuantization);
        await checkpoint.close();
        again.dispose();
      }
      await first.close();
      layer.dispose();
    });
  }
});

describe('saveSafetensors, rounding of x', () => {
  const rows = {origin: 'dynamic', granularity: 'colwise'} as const;
  const refused = {
    // The only layout with a bound is of e4m3fn.
    'an upper bound for another type than the file would say': {...rows, dtype: 'float8_e5m2', scaleUb: 4},
    'an upper bound of int8': {...rows, dtype: 'int8', scaleUb: 4},
  } as const;
  for (const [name, inputQuantization] of Object.entries(refused)) {
    it(`refuses ${name}`, async () => {
      const c = caseNamed('ct_fp8_dynamic_channel');
      const checkpoint = await openCheckpoint((await filesOf(c)).files);
      const layer = await checkpoint.linear(c.module, {inputQuantization, rows: [1, 0]});
      await expectAsync(saveSafetensorsAsync({m: layer})).toBeRejectedWithError(UnsupportedError);
      await checkpoint.close();
      layer.dispose();
    });
  }
});
