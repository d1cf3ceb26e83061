import {toBfloat16} from '../../kernels/float_codes.js';
import {compressedFloat} from '../../src/formats/compressed_float.js';
import {compressedInt} from '../../src/formats/compressed_int.js';
import {compressedMxfp4} from '../../src/formats/compressed_mxfp4.js';
import {compressedMxfp8} from '../../src/formats/compressed_mxfp8.js';
import {compressedPacked} from '../../src/formats/compressed_packed.js';
import type {Format} from '../../src/formats/format.js';
import {compressedNvfp4} from '../../src/formats/nvfp4.js';
import {listCases, loadCase, readTensors} from '../support/fixtures.js';
import {expectExact, unpack} from './packed_support.js';

const FP8 = {dtype: 'float8_e4m3fn', divisor: 448} as const;

/** Format and input scheme of every fixture; the static scale is the file's own. */
const CASES: Readonly<Record<string, readonly [Format, object | null]>> = {
  ct_int4_pack_g128_sym: [compressedPacked, null],
  ct_int4_pack_g32_asym: [compressedPacked, null],
  ct_int4_pack_g64_actorder_group_gidx: [compressedPacked, null],
  ct_int3_pack_g32_asym: [compressedPacked, null],
  ct_w8a8_int8: [compressedInt, {dtype: 'int8', origin: 'dynamic', granularity: 'token', divisor: 127.5}],
  ct_fp8_dynamic_channel: [compressedFloat, {...FP8, origin: 'dynamic', granularity: 'token'}],
  ct_fp8_dynamic_channel_smollm2_k: [compressedFloat, {...FP8, origin: 'dynamic', granularity: 'token'}],
  ct_fp8_static_tensor: [compressedFloat, {dtype: 'float8_e4m3fn', origin: 'static', granularity: 'tensor', scale: jasmine.any(Number)}],
  ct_fp8_block128: [compressedFloat, {...FP8, origin: 'dynamic', granularity: 'group', groupSize: 128}],
  ct_fp8_block128_smollm2_k: [compressedFloat, {...FP8, origin: 'dynamic', granularity: 'group', groupSize: 128}],
  ct_nvfp4a16: [compressedNvfp4, null],
  ct_nvfp4: [
    compressedNvfp4,
    {
      dtype: 'float4_e2m1fn',
      origin: 'dynamic',
      granularity: 'group',
      groupSize: 16,
      divisor: 6,
      globalScale: jasmine.any(Number),
      scaleType: 'float8_e4m3fn',
    },
  ],
  ct_mxfp4a16: [compressedMxfp4, null],
  ct_mxfp8a16: [compressedMxfp8, null],
};

describe('compressed-tensors', () => {
  it('covers every fixture of its kind', async () => {
    expect((await listCases('compressed-tensors')).map((c) => c.name).sort()).toEqual(Object.keys(CASES).sort());
  });

  for (const [name, [format, scheme]] of Object.entries(CASES)) {
    it(`${name}: bit-equal to the tool, and raised byte for byte`, async () => {
      const {module, ref} = await loadCase(name);
      // The two slices of real checkpoints have no reference weight: the plain loops are the formula.
      expect(ref.weight === undefined).toBe(name.includes('smollm2'));
      const lowered = expectExact(format, module, ref.weight ?? null, name);
      expect(lowered.inputScheme as object | null).toEqual(scheme);
    });
  }

  it('reads the static scales of inputs', async () => {
    const fp8 = await loadCase('ct_fp8_static_tensor');
    const scale = new Float32Array(fp8.module.tensors.get('input_scale')!.data.buffer)[0];
    expect(compressedFloat.lower(fp8.module).inputScheme!.scale).toBe(scale);
    const fp4 = await loadCase('ct_nvfp4');
    const global = new Float32Array(fp4.module.tensors.get('input_global_scale')!.data.buffer)[0];
    expect(compressedNvfp4.lower(fp4.module).inputScheme!.globalScale).toBe(global);
  });

  it("NVFP4: the tool's own bfloat16 result is ours rounded once, so that its float32 decoder and we are the finer side", async () => {
    for (const name of ['ct_nvfp4a16', 'ct_nvfp4']) {
      const {module, entry} = await loadCase(name);
      const stored = (await readTensors(`quant/${entry.file}`)).get('ref.weight_bf16')!.data;
      const ours = Uint16Array.from(unpack(compressedNvfp4.lower(module)), toBfloat16);
      // e2m1 has a negative zero, which both keep.
      expect(ours).withContext(name).toEqual(new Uint16Array(stored.buffer));
    }
  });
});
