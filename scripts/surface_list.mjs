// Every name of MAX's `max.nn.linear` page and of what it uses, with ours. 'name=x' where MAX's spelling is not ours in snake_case; '-': nothing to have.
const linear = 'in_dim out_dim dtype device has_bias quantization_encoding float8_config name clip_weight';
const mlp = 'dtype quantization_encoding hidden_dim feed_forward_length devices linear_cls has_bias activation_function float8_config';

/** args: of the constructor; members: properties and methods of an instance; statics; values: of an enum, name and value. */
export const SURFACE = {
  ColumnParallelLinear: {args: 'in_dim out_dim dtype devices tied_weight has_bias quantization_encoding float8_config name clip_weight'},
  DistributedMLP: {args: mlp},
  Float8Config: {
    args: 'input_scale weight_scale mlp_in_float8 attn_qkv_in_float8 embedding_output_dtype quant_method',
    members: 'is_dynamic is_static input_scale weight_scale mlp_in_float8 attn_qkv_in_float8 embedding_output_dtype quant_method',
  },
  Float8InputScaleSpec: {
    args: 'granularity origin dtype activation_scale_ub',
    members: 'granularity origin dtype activation_scale_ub is_block is_colwise is_rowwise is_tensor',
  },
  Float8ScaleGranularity: {values: {BLOCK: 'block', COLWISE: 'colwise', ROWWISE: 'rowwise', TENSOR: 'tensor'}},
  Float8ScaleOrigin: {values: {DYNAMIC: 'dynamic', STATIC: 'static'}},
  Float8WeightScaleSpec: {args: 'granularity dtype', members: 'granularity dtype is_block is_colwise is_rowwise is_tensor'},
  GPTQLinear: {
    args: 'in_dim out_dim dtype device has_bias quantization_encoding quantization_config float8_config',
    members: 'quantization_config',
  },
  GPTQLinearV1: {args: 'weight bias quantization_encoding quantization_config perm_idx', members: 'perm_idx quantization_config'},
  Linear: {args: linear, members: 'weight bias device input_scale weight_scale set_sharding clip_weight load_state_dict state_dict'},
  LinearV1: {args: 'weight bias', members: 'weight bias', statics: 'create'},
  MLP: {args: mlp, members: 'gate_proj down_proj up_proj load_state_dict state_dict'},
  MLPV1: {args: 'gate_proj down_proj up_proj', members: 'gate_proj down_proj up_proj'},
  QLinearV1: {args: 'weight bias quantization_encoding', members: 'quantization_encoding'},
  DType: {
    values: Object.fromEntries(
      'float32 float16 bfloat16 float64 int8 uint8 int32 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float4_e2m1fn float8_e8m0fnu'
        .split(' ')
        .map((name) => [name, name]),
    ),
  },
  DeviceRef: {statics: 'CPU=cpu GPU=gpu'},
  QuantizationEncoding: {values: {Q4_0: 'Q4_0', Q4_K: 'Q4_K', Q5_K: 'Q5_K', Q6_K: 'Q6_K', GPTQ: 'GPTQ'}},
  QuantizationConfig: {
    args: 'quant_method bits group_size desc_act sym',
    members: 'quant_method bits group_size desc_act sym',
  },
  ShardingStrategy: {statics: 'rowwise columnwise replicate'},
  Weight: {},
};

/** Activations of MLP. */
export const ACTIVATIONS = ['silu', 'gelu', 'gelu_tanh', 'relu', 'tanh', 'sigmoid'];

/** Lower-case factories beside the classes. */
export const FACTORIES = {
  linear: 'Linear',
  mlp: 'MLP',
  gptqLinear: 'GPTQLinear',
  columnParallelLinear: 'ColumnParallelLinear',
  distributedMLP: 'DistributedMLP',
};

/** 'in_dim' -> ['in_dim', 'inDim'] */
export function spellings(list) {
  return list
    .split(' ')
    .filter(Boolean)
    .map((entry) => {
      const [max, ours] = entry.split('=');
      return [max, ours ?? max.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase())];
    });
}
