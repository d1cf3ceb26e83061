/**
 * Keys of the quantisation configs that real tools write, by method.
 * Sources: GPTQModel, AutoGPTQ, AutoRound, AutoAWQ, transformers, compressed-tensors, DeepSeek, fbgemm configs.
 */
import type {KnownKeys} from './keys.js';

/** Written by transformers and the quantisers about their own run. */
const RUN = [
  'meta model_name_or_path model_file_base_name damp_percent damp_auto_increment static_groups true_sequential mse',
  'act_group_aware hyb_act parallel_packing batch_size block_name_to_quantize cache_block_outputs dataset tokenizer',
  'exllama_config use_exllama disable_exllama use_cuda_fp16 max_input_length model_seqlen modules_in_block_to_quantize',
  'module_name_preceding_first_block pad_token_id backend fallback failsafe hessian offload_to_disk offload_to_disk_path',
  'pack_impl mock_quantization device v2 v2_alpha gptaq foem quantizer uri low_gpu_mem_usage iters lr minmax_lr nsamples',
  'seqlen train_bs amp autoround_version enable_minmax_tuning enable_norm_bias_tuning enable_quanted_input',
  'gradient_accumulate_steps to_quant_block_names scale_dtype do_fuse modules_to_fuse fuse_max_seq_len telemetry',
  'gc_mode auto_forward_data_parallel dense_vram_strategy dense_vram_strategy_devices moe_vram_strategy',
  'moe_vram_strategy_devices wait_for_submodule_finalizers duo_scaling n_parallel_calib_samples export_compatible',
]
  .join(' ')
  .split(' ');

/** Absent or off, or the numbers are not what the tensors alone say. */
const OFF = {
  is_marlin_format: [false],
  rotation: [''],
  adapter: [{}],
  extra_config: [{}],
  data_type: ['int'],
  act_bits: [16, 32],
  pack_dtype: ['int32'],
};

export const GPTQ_KEYS: KnownKeys = {
  read: 'quant_method method bits group_size desc_act sym checkpoint_format format dynamic lm_head modules_to_not_convert'.split(' '),
  harmless: [...RUN, 'version', 'tie_word_embeddings'],
  only: OFF,
};

/** What a `dynamic` entry may override. */
export const OVERRIDE_KEYS: KnownKeys = {
  read: ['bits', 'group_size', 'desc_act', 'sym'],
  harmless: RUN,
  only: {...OFF, lm_head: [true, false]},
};

export const AWQ_KEYS: KnownKeys = {
  read: 'quant_method method bits w_bit group_size q_group_size zero_point version checkpoint_format format modules_to_not_convert'
    .concat(' desc_act sym lm_head dynamic')
    .split(' '),
  harmless: RUN,
  // Some writers name the nibble order: 'reorder' is AWQ's interleaving, 'order' is not.
  only: {...OFF, pack_method: ['reorder']},
};

export const FP8_KEYS: KnownKeys = {
  read: 'quant_method method fmt format checkpoint_format activation_scheme weight_block_size weight_scale_semantics'
    .concat(
      ' scale_fmt weight_scale_method modules_to_not_convert ignored_layers bits group_size desc_act sym dynamic lm_head weight_scale meta',
    )
    .split(' '),
  // Experts of another type have tensors of another dtype, and modules_to_convert names more than the usual ones.
  harmless: [...RUN, 'dequantize', 'kv_cache_scheme', 'expert_dtype', 'modules_to_convert'],
  only: OFF,
};

export const FBGEMM_KEYS: KnownKeys = {
  read: ['quant_method', 'activation_scale_ub', 'modules_to_not_convert'],
  harmless: [],
  only: {},
};

export const COMPRESSED_KEYS: KnownKeys = {
  read: ['quant_method', 'config_groups', 'format', 'ignore'],
  harmless: ['global_compression_ratio', 'kv_cache_scheme', 'version', 'quantization_status', 'run_compressed'],
  only: {sparsity_config: [{}, {format: 'dense'}], transform_config: [{}, {config_groups: {}}]},
};

export const COMPRESSED_GROUP_KEYS: KnownKeys = {
  read: ['format', 'weights', 'input_activations', 'targets'],
  harmless: [],
  only: {output_activations: []},
};

export const COMPRESSED_ARGS_KEYS: KnownKeys = {
  read: ['actorder', 'block_structure', 'dynamic', 'group_size', 'num_bits', 'strategy', 'symmetric', 'type'],
  harmless: ['observer', 'observer_kwargs', 'scale_dtype', 'zp_dtype'],
  only: {},
};

export const MODELOPT_KEYS: KnownKeys = {
  read: ['quant_method', 'quant_algo', 'group_size', 'exclude_modules', 'ignore'],
  harmless: ['config_groups', 'kv_cache_quant_algo', 'kv_cache_scheme', 'producer', 'has_zero_point', 'pre_quant_scale'],
  only: {has_zero_point: [false], pre_quant_scale: [false]},
};
