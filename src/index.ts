/** tfjs-linear: quantised and sharded linear layers for TensorFlow.js. Importing it registers the kernels. */
import {attend} from '../kernels/attention.js';
import {chain} from '../kernels/chain.js';
import * as contract from '../kernels/contract.js';
import {registerCpuKernels} from '../kernels/cpu/index.js';
import * as fp8 from '../kernels/fp8_contract.js';
import * as fused from '../kernels/fused.js';
import {fusedMatMul} from '../kernels/fused_matmul.js';
import {registerGradients} from '../kernels/gradients.js';
import {registerWasmKernels} from '../kernels/wasm/index.js';
import {registerWebglKernels} from '../kernels/webgl/index.js';
import {registerWebgpuKernels} from '../kernels/webgpu/index.js';
import {gptqUnpack, gptqUnpackAsync, registerGptqUnpack} from './formats/gptq_unpack.js';

registerCpuKernels();
registerWasmKernels();
registerWebglKernels();
registerWebgpuKernels();
registerGradients();
for (const backend of ['cpu', 'wasm', 'webgl', 'webgpu', 'tensorflow']) registerGptqUnpack(backend);

export type {Activation} from '../kernels/activation.js';
export {PastPositions, type Rotation} from '../kernels/attention.js';
export type {InputPrecision} from '../kernels/attributes.js';
export type {AttendStep, ChainStep, ProductStep, StepAround} from '../kernels/chain.js';
export type {WebGPUVariant} from '../kernels/choose.js';
export type {QuantizedMatMulOptions} from '../kernels/contract.js';
export type {Fp8QuantizeOptions, Fp8ScaledMatMulOptions} from '../kernels/fp8_contract.js';
export type {Around, FusedMatMulOptions} from '../kernels/fused_matmul.js';
export type {InputGranularity, InputQuantization, InputType} from '../kernels/input_quantization.js';
export type {Decode, FloatType, Grid, Level, LevelType, WeightLayout, Zero} from '../kernels/layout.js';
export {type MemoryInfo, memory} from '../kernels/memory.js';
export {QuantizedWeight} from '../kernels/quantized_weight.js';
export type {Range} from '../kernels/slice.js';
export {createWebGPUBackend, type WebGPUBackendClass, type WebGPUDeviceOptions} from '../kernels/webgpu/device.js';
export {explainWebGPU, type WebGPUExplanation} from '../kernels/webgpu/explain.js';
export {deviceReady, type WarmUpOptions, warmUp} from '../kernels/webgpu/warm_up.js';
export {type EncodingInfo, encodingInfo, QuantizationEncoding} from './config/encoding.js';
export * from './config/float8.js';
export {QuantizationConfig, type QuantizationOptions} from './config/quantization.js';
export {DeviceRef} from './device.js';
export {DType} from './dtype.js';
export * from './errors.js';
export type {CheckpointFormat} from './formats/gptq_header.js';
export type {GptqTensors, GptqUnpackOptions} from './formats/gptq_unpack.js';
export {Checkpoint, type LinearOptions, type MLPOptions, openCheckpoint} from './io/checkpoint.js';
export type {OnProgress, ProgressEvent} from './io/progress.js';
export {type SavedFile, type SavedLayers, saveSafetensors, saveSafetensorsAsync} from './io/save.js';
export type {SourceInput, SourceOptions} from './io/source.js';
export {
  ColumnParallelLinear,
  type ColumnParallelLinearConfig,
  columnParallelLinear,
  type TiedWeight,
} from './layers/column_parallel_linear.js';
export type {LayerWeight} from './layers/core_config.js';
export {DenseWeight} from './layers/dense_weight.js';
export {DistributedMLP, type DistributedMLPConfig, type DistributeOptions, distributedMLP} from './layers/distributed_mlp.js';
export {GPTQLinear, type GPTQLinearConfig, gptqLinear} from './layers/gptq_linear.js';
export {Linear, type LinearConfig, linear} from './layers/linear.js';
export {type LinearClass, MLP, type MLPConfig, mlp} from './layers/mlp.js';
export {MLPV1, type MLPV1Config} from './layers/mlp_v1.js';
export {ShardedLinear, type ShardedLinearConfig, type SpreadOptions} from './layers/sharded_linear.js';
export {StackedLinear, type StackedLinearConfig, stackedLinear} from './layers/stacked_linear.js';
export type {StateDict} from './layers/state.js';
export {
  GPTQLinearV1,
  type GPTQLinearV1Config,
  LinearV1,
  type LinearV1Config,
  type LinearV1CreateConfig,
  QLinearV1,
  type QLinearV1Config,
} from './layers/v1.js';
export {Weight, type WeightConfig, type WeightRecord} from './layers/weight.js';
export type {LayerFilter, QuantizeConfig, QuantizeOptions} from './quantize/options.js';
export {quantizeModel} from './quantize/quantize_model.js';
export type {QuantizedLayer, QuantizeReport, SkippedLayer} from './quantize/report.js';
export type {QuantizeMode} from './quantize/round.js';
export type {Balance} from './sharding/balance.js';
export {allGather, allGatherAsync, allReduceSum, allReduceSumAsync, broadcast, broadcastAsync} from './sharding/collectives.js';
export {type AdapterInfo, type DeviceInfo, listDevices} from './sharding/list_devices.js';
export type {OpenWebGPUOptions} from './sharding/open_devices.js';
export {
  type DeviceReport,
  type ManageOptions,
  type ManagerReport,
  ShardManager,
  type ShardManagerOptions,
} from './sharding/shard_manager.js';
export type {ShardedWeight, ShardPlace} from './sharding/sharded_weight.js';
export {type Cut, Segment, ShardingStrategy, type SplitOptions, type StrategyConfig, type StrategyKind} from './sharding/strategy.js';
export {startThreads, stopThreads, threadCount} from './sharding/threads.js';
export {startWorkers} from './sharding/workers.js';

/** The op functions; each registers as a tf.js kernel for every backend. */
export const ops = {
  quantizedMatMul: contract.quantizedMatMul,
  fusedMatMul,
  unpackWeight: contract.unpackWeight,
  gatedActivation: fused.gatedActivation,
  rmsNorm: fused.rmsNorm,
  attend,
  chain,
  gptqUnpack,
  gptqUnpackAsync,
  fp8Quantize: fp8.fp8Quantize,
  fp8ScaledMatMul: fp8.fp8ScaledMatMul,
} as const;
