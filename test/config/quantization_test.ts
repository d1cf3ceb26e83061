import {type CompressedScheme, compressedScheme} from '../../src/config/compressed_groups.js';
import {encodingInfo, QuantizationEncoding} from '../../src/config/encoding.js';
import {moduleSettings} from '../../src/config/module_settings.js';
import {matchesPattern} from '../../src/config/patterns.js';
import {parseQuantizationConfig, QuantizationConfig, type QuantizationOptions} from '../../src/config/quantization.js';
import {UnsupportedError} from '../../src/errors.js';
import {BLOCK_TYPES} from '../../src/formats/gguf_types.js';
import {listCases} from '../support/fixtures.js';

const GPTQ = {quant_method: 'gptq', bits: 4, group_size: 128, desc_act: false, sym: true};

describe('QuantizationConfig', () => {
  it("is frozen, with MAX's fields and defaults", () => {
    const config = new QuantizationConfig({quantMethod: 'gptq', bits: 4, groupSize: 128});
    expect({...config}).toEqual({quantMethod: 'gptq', bits: 4, groupSize: 128, descAct: false, sym: false});
    expect(Object.isFrozen(config)).toBeTrue();
  });

  it('names what is wrong', () => {
    const make = (more: object) => () =>
      new QuantizationConfig({quantMethod: 'gptq', bits: 4, groupSize: 128, ...more} as QuantizationOptions);
    expect(make({groupsize: 1})).toThrowError(/'groupsize'.*Did you mean 'groupSize'/);
    expect(make({bits: 0})).toThrowError(/bits.*1 to 16.*0/);
    expect(make({groupSize: 0})).toThrowError(/groupSize.*positive.*0/);
    expect(make({quantMethod: 'gptqq'})).toThrowError(/'gptqq'.*Did you mean 'gptq'/);
  });

  it('is parsed from every fixture', async () => {
    const kinds = ['gptq', 'awq', 'compressed-tensors', 'fp8-deepseek', 'fp8-fbgemm', 'fp8-gptqmodel'];
    for (const {name, quantization_config} of await listCases(...kinds)) {
      expect(() => parseQuantizationConfig(quantization_config!))
        .withContext(name)
        .not.toThrow();
    }
    const parsed = (raw: Record<string, unknown>) => ({...parseQuantizationConfig(raw)});
    expect(parsed({bits: 3, group_size: -1, desc_act: true, sym: false, damp_percent: 0.01})).toEqual({
      quantMethod: 'gptq',
      bits: 3,
      groupSize: -1,
      descAct: true,
      sym: false,
    });
    expect(parsed({zero_point: true, q_group_size: 64, w_bit: 4, version: 'GEMM'})).toEqual({
      quantMethod: 'awq',
      bits: 4,
      groupSize: 64,
      descAct: false,
      sym: false,
    });
    expect(parsed({quant_method: 'fp8', weight_block_size: [128, 64]})).toEqual({
      quantMethod: 'fp8',
      bits: 8,
      groupSize: 64,
      descAct: false,
      sym: true,
    });
  });

  it('refuses by name what changes numbers and what it does not know', () => {
    const parse = (more: object) => () => parseQuantizationConfig({...GPTQ, ...more});
    expect(parse({is_marlin_format: false, damp_percent: 0.1, meta: {anything: 1}, rotation: null})).not.toThrow();
    expect(parse({is_marlin_format: true})).toThrowError(UnsupportedError, /is_marlin_format/);
    expect(parse({rotation: 'hadamard'})).toThrowError(UnsupportedError, /rotation.*hadamard/);
    expect(parse({adapter: {rank: 8}})).toThrowError(UnsupportedError, /adapter/);
    expect(parse({grup_size: 32})).toThrowError(UnsupportedError, /'grup_size'.*Did you mean 'group_size'/);
    expect(parse({quant_method: 'bitsandbytes'})).toThrowError(UnsupportedError, /one of gptq.*'bitsandbytes'/);
    expect(parse({bits: '4'})).toThrowError(/bits.*an integer.*"4"/);
    expect(() => parseQuantizationConfig({})).toThrowError(UnsupportedError, /quant_method/);
  });
});

describe('module settings', () => {
  it('take the first dynamic pattern in file order, from the start of the name', () => {
    const dynamic = {
      '-:.*o_proj': {},
      '+:.*\\.layers\\.[0-3]\\.mlp': {bits: 8, group_size: 32},
      '.*mlp\\.down_proj': {bits: 3},
      layers: {bits: 2},
    };
    const of = (module: string) => moduleSettings({...GPTQ, dynamic}, module);
    expect(of('model.layers.2.mlp.down_proj')).toEqual(jasmine.objectContaining({bits: 8, groupSize: 32, sym: true, excludedBy: null}));
    expect(of('model.layers.2.mlp.down_proj').matched).toEqual(['+:.*\\.layers\\.[0-3]\\.mlp', '.*mlp\\.down_proj']);
    expect(of('model.layers.7.mlp.down_proj')).toEqual(jasmine.objectContaining({bits: 3, groupSize: 128}));
    expect(of('model.layers.7.self_attn.o_proj').excludedBy).toBe("dynamic '-:.*o_proj'");
    expect(of('model.layers.7.self_attn.q_proj')).toEqual(jasmine.objectContaining({bits: 4, groupSize: 128, matched: []}));
    expect(of('layers.1').bits).toBe(2);
  });

  it('refuse an override they do not know', () => {
    const dynamic = {'.*down_proj': {bit: 8}};
    expect(() => moduleSettings({...GPTQ, dynamic}, 'a')).toThrowError(
      UnsupportedError,
      /dynamic\['\.\*down_proj'\]\.bit.*Did you mean 'bits'/,
    );
  });

  it('leave out modules named by themselves, a parent or a part of the path', () => {
    const excluded = (entry: string, module: string) =>
      moduleSettings({...GPTQ, modules_to_not_convert: [entry]}, module).excludedBy !== null;
    expect(excluded('lm_head', 'lm_head')).toBeTrue();
    expect(excluded('visual', 'model.visual.blocks.0.fc1')).toBeTrue();
    expect(excluded('model.layers.1', 'model.layers.1.mlp.up_proj')).toBeTrue();
    expect(excluded('model.layers.1', 'model.layers.11.mlp.up_proj')).toBeFalse();
  });

  it('read Python patterns, and refuse what JavaScript would read differently', () => {
    expect(matchesPattern('model\\.layers', 'model.layers.0', 'p')).toBeTrue();
    expect(matchesPattern('layers', 'model.layers.0', 'p')).toBeFalse();
    expect(matchesPattern('.*gate\\_up\\-proj', 'a.gate_up-proj', 'p')).toBeTrue();
    expect(() => matchesPattern('.*proj\\Z', 'a', 'p')).toThrowError(UnsupportedError, /proj\\Z/);
    expect(() => matchesPattern('(?P<n>a)', 'a', 'p')).toThrowError(UnsupportedError);
  });
});

describe('config groups', () => {
  const weights = (num_bits: number) => ({num_bits, type: 'int', strategy: 'group', group_size: 32, symmetric: true});
  const config = (targets: string[][], ignore: string[] = []) => ({
    quant_method: 'compressed-tensors',
    format: 'pack-quantized',
    ignore,
    config_groups: Object.fromEntries(targets.map((t, i) => [`group_${i}`, {targets: t, weights: weights(i + 1)}])),
  });

  it('prefer a name, then a pattern, then a class, each in file order', () => {
    const groups = config([['Linear'], ['re:.*proj'], ['re:.*up.*', 're:.*down.*'], ['a.up_proj']]);
    const bits = (module: string) => (compressedScheme(groups, module) as CompressedScheme).weights.bits;
    expect([bits('a.up_proj'), bits('b.up_proj'), bits('b.down'), bits('b.fc1')]).toEqual([4, 2, 3, 1]);
    const scheme = compressedScheme(groups, 'a.up_proj');
    expect((scheme as CompressedScheme).matched).toEqual(['a.up_proj', 're:.*proj', 're:.*up.*', 'Linear']);
  });

  it("take older files' description of a weight that is not sparse, and refuse a sparse one", () => {
    const sparsity = (format: string) => ({
      ...config([['Linear']]),
      sparsity_config: {format, global_sparsity: 0.1, ignore: [], targets: []},
    });
    expect(() => compressedScheme(sparsity('dense'), 'm')).not.toThrow();
    expect(() => compressedScheme(sparsity('sparse-24-bitmask'), 'm')).toThrowError(UnsupportedError, /sparsity_config/);
  });

  it('leave out what ignore names, and what no target fits', () => {
    expect(compressedScheme(config([['Linear']], ['lm_head', 're:.*gate$']), 'm.gate')).toEqual({excludedBy: "ignore 're:.*gate$'"});
    expect(compressedScheme(config([['re:x']]), 'm.gate')).toEqual({excludedBy: 'no target of config_groups'});
  });
});

describe('QuantizationEncoding', () => {
  it("has ggml's block sizes, and GPTQ without blocks", () => {
    for (const name of Object.values(QuantizationEncoding)) {
      const {elementsPerBlock, bytesPerBlock, isGguf} = encodingInfo(name);
      const type = BLOCK_TYPES.get(name);
      expect(isGguf)
        .withContext(name)
        .toBe(name !== 'GPTQ');
      expect([elementsPerBlock, bytesPerBlock])
        .withContext(name)
        .toEqual(type === undefined ? [null, null] : [type.elements, type.bytes]);
    }
    expect([...BLOCK_TYPES.keys()].filter((name) => !(name in QuantizationEncoding))).toEqual([]);
    expect(encodingInfo('Q4_0')).toEqual({elementsPerBlock: 32, bytesPerBlock: 18, isGguf: true});
    expect(() => encodingInfo('Q4K' as 'Q4_K')).toThrowError(/'Q4K'.*Did you mean 'Q4_K'/);
  });
});
