/** The op layer inside Linear: owns the variables and runs x . W^T + b. Not exported from the package. */
import * as tf from '@tensorflow/tfjs';
import type {Activation} from '../../kernels/activation.js';
import type {ProductStep, StepAround} from '../../kernels/chain.js';
import {type Around, fusedMatMul, surround} from '../../kernels/fused_matmul.js';
import type {InputQuantization} from '../../kernels/input_quantization.js';
import {sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {asFloats} from '../arguments.js';
import {onDevice} from '../device.js';
import {ArgumentError} from '../errors.js';
import {roundInput} from '../sharding/round_input.js';
import {sameTensor} from '../sharding/transfer.js';
import type {CoreConfig, LayerWeight} from './core_config.js';
import {clipValues, denseMatMul} from './dense_matmul.js';
import {DenseWeight} from './dense_weight.js';
import {weightScaleOf} from './float8.js';
import {GivenValues} from './given_values.js';
import type {LayerOrigin} from './origin.js';
import {checkInput, oneInput, outputShape} from './shapes.js';
import {countsAs} from './summary.js';

type Initializer = Parameters<tf.layers.Layer['addWeight']>[3];
type Variable = tf.LayerVariable;

export class LinearCore extends tf.layers.Layer {
  static className = 'TflLinearCore';
  readonly config: CoreConfig;
  weight: LayerWeight;
  private readonly biasVariable: Variable | null;
  protected readonly inputScaleVariable: Variable | null;
  /** A view's copy of its rows of the bias, and the data it was cut from. */
  private cut: {bias: tf.Tensor1D; from: object} | null = null;
  /** What `chainStep` gave last. */
  private lastStep: ProductStep | null = null;

  constructor(config: CoreConfig) {
    // The model around it says what trains, so that it can change its mind.
    super({name: config.name});
    this.config = config;
    if (config.spread !== undefined) {
      this.weight = config.spread;
      this.biasVariable = null;
    } else if (config.view !== undefined) {
      const {of, begin} = config.view;
      this.weight = of.weight instanceof QuantizedWeight ? of.weight.window(begin, begin + config.outDim) : of.weight;
      this.biasVariable = config.hasBias && of.bias === null ? onDevice(config.device, () => this.makeBias()) : null;
    } else {
      [this.weight, this.biasVariable] = onDevice(config.device, () => this.makeVariables());
    }
    this.inputScaleVariable =
      config.scaleShape === null || config.view !== undefined ? null : onDevice(config.device, () => this.makeScale());
    // What the variables began with is theirs: kept here, it would stay on the host beside the device's copy.
    const {words: _words, packed: _packed, bias: _bias, inputScale: _inputScale, ...kept} = config;
    this.config = kept;
    this.built = true;
    this.supportsMasking = true;
  }

  /** [N] float32, or null. Do not dispose. */
  get bias(): tf.Tensor1D | null {
    this.checkLive();
    if (this.biasVariable !== null) return this.biasVariable.read() as tf.Tensor1D;
    return this.config.view === undefined ? null : this.biasWindow();
  }

  /** The layer's name, for errors. */
  get owner(): string {
    return this.name.replace(/_core$/, '');
  }

  /** Throws ArgumentError once the weight is disposed. */
  checkLive(): void {
    const {weight} = this;
    if (!('isDisposed' in weight && weight.isDisposed)) return;
    throw new ArgumentError({where: this.owner, expected: 'a live layer', received: 'a disposed one'});
  }

  /** The static scale of x where it is a weight of the layer, else null. Do not dispose. */
  get inputScale(): tf.Tensor | null {
    this.checkLive();
    return this.config.view?.of.inputScale ?? this.inputScaleVariable?.read() ?? null;
  }

  /** The weight's scales under a Float8Config as a new tensor; null without. */
  weightScale(): tf.Tensor | null {
    const {float8, layout} = this.config;
    if (float8 === null || layout === null) return null;
    this.checkLive();
    const words = (this.weight as QuantizedWeight).words.dataSync() as Int32Array;
    return weightScaleOf(float8, layout, words);
  }

  /** How x is rounded before the product; null: not at all. */
  get inputQuantization(): InputQuantization | null {
    const {inputQuantization} = this.config;
    const {inputScale} = this;
    return inputQuantization === null || inputScale === null ? inputQuantization : {...inputQuantization, scale: inputScale};
  }

  get isView(): boolean {
    return this.config.view !== undefined;
  }

  override dispose(): ReturnType<tf.layers.Layer['dispose']> {
    const result = super.dispose();
    if (result.refCountAfterDispose === 0) this.releaseView();
    return result;
  }

  /** Frees a view's own handles, which are no variables. */
  releaseView(): void {
    if (this.config.view === undefined) return;
    this.cut?.bias.dispose();
    this.cut = null;
    // A window counts as a user of the words; a dense weight is its owner's alone.
    if (this.weight instanceof QuantizedWeight) this.weight.dispose();
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return this.forward(oneInput(inputs, this.owner));
  }

  override computeOutputShape(inputShape: tf.Shape | tf.Shape[]): tf.Shape {
    return outputShape(inputShape, this.config.outDim, this.config.inDim, this.owner);
  }

  override countParams(): number {
    return this.config.inDim * this.config.outDim + (this.config.hasBias ? this.config.outDim : 0);
  }

  /** x [..., K] -> act(x . W^T + b) [..., N] on the layer's device, act the layer's own. */
  forward(x: tf.Tensor): tf.Tensor {
    const {activation} = this.config;
    if (activation === null || activation.fused !== null) return this.product(x, activation?.fused ?? null);
    return onDevice(this.config.device, () => tf.tidy(() => activation.apply(this.product(x, null))));
  }

  /** As `forward`, with what surrounds it: of a packed weight in one op. */
  forwardAround(x: tf.Tensor, around: Around): tf.Tensor {
    return this.isOneOp
      ? this.product(x, this.config.activation?.fused ?? null, around)
      : surround(x, around, (rows) => this.forward(rows));
  }

  /** As a step of `ops.chain`; null where it is none. Asked for the same again it is the same frozen object, which a chain need not look into anew. */
  chainStep(around: StepAround): ProductStep | null {
    this.checkLive();
    const {activation, inputPrecision, device} = this.config;
    // Before the bias is asked for: over several devices it would be gathered.
    if (!this.isOneOp || (device !== null && device.backendName !== tf.getBackend())) return null;
    const {weight, bias, inputQuantization} = this;
    const step: ProductStep = {
      weight: weight as QuantizedWeight,
      bias,
      activation: activation?.fused ?? null,
      inputPrecision,
      inputQuantization,
      ...around,
    };
    if (this.lastStep === null || !isSame(step, this.lastStep)) this.lastStep = Object.freeze(step);
    return this.lastStep;
  }

  private get isOneOp(): boolean {
    const {activation, clipWeight} = this.config;
    return this.weight instanceof QuantizedWeight && clipWeight === null && (activation === null || activation.fused !== null);
  }

  /** x . W^T + b and a fused activation, on the layer's device, without the layer's own activation; of a packed weight with what surrounds it. */
  product(x: tf.Tensor, activation: Activation | null, around: Around = {}): tf.Tensor {
    this.checkLive();
    checkInput(x, this.config.outDim, this.config.inDim, this.owner);
    return onDevice(this.config.device, () => {
      const {weight, bias, inputQuantization} = this;
      const {inputPrecision, clipWeight} = this.config;
      if (weight instanceof QuantizedWeight && clipWeight === null) {
        return fusedMatMul(x, weight, {bias, activation, inputPrecision, inputQuantization, ...around});
      }
      return tf.tidy(() => denseMatMul(this.rounded(x), this.denseOperand(), bias, activation));
    });
  }

  /** x as inputQuantization has it; the kernels of packed weights do that themselves. */
  private rounded(x: tf.Tensor): tf.Tensor {
    const {inputQuantization} = this;
    if (inputQuantization === null) return x;
    const {inDim} = this.config;
    return tf.reshape(roundInput(tf.reshape(x, [x.size / inDim, inDim]), inputQuantization), x.shape);
  }

  /** The float32 weight, of a view its rows: cut at every call, as the owner's weight may train. Clipped, as in MAX; the stored one stays as loaded. */
  private denseOperand(): DenseWeight {
    const {view, outDim, clipWeight} = this.config;
    const whole = this.weight instanceof QuantizedWeight ? new DenseWeight(this.weight.dequantize()) : (this.weight as DenseWeight);
    const rows =
      view === undefined || this.weight instanceof QuantizedWeight ? whole : whole.slice({rows: [view.begin, view.begin + outDim]});
    return clipWeight === null ? rows : new DenseWeight(clipValues(rows.tensor, clipWeight));
  }

  /** The value under the state key `weight`, a new tensor: float32 [N, K], or the packed words. */
  weightTensor(): tf.Tensor {
    this.checkLive();
    return tf.clone(this.weight instanceof QuantizedWeight ? this.weight.words : (this.weight as DenseWeight).tensor);
  }

  setBias(bias: tf.Tensor): void {
    this.biasVariable?.write(bias);
  }

  setInputScale(scale: tf.Tensor): void {
    this.inputScaleVariable?.write(scale);
  }

  setWeightTensor(tensor: tf.Tensor): void {
    const variable = [...this.trainableWeights, ...this.nonTrainableWeights].find(
      (v) => v !== this.biasVariable && v !== this.inputScaleVariable,
    );
    variable?.write(tensor);
  }

  /** The packed weight becomes another record, in a variable of its own where the size differs. */
  replaceRecord(layout: WeightLayout, words: Int32Array, origin: LayerOrigin | null): void {
    onDevice(this.config.device, () => {
      const held = this as unknown as {_nonTrainableWeights: Variable[]; _addedWeightNames: string[]};
      const at = held._nonTrainableWeights.findIndex((v) => v !== this.inputScaleVariable);
      const old = held._nonTrainableWeights[at] as Variable;
      let variable = old;
      if (old.shape[0] === words.length) {
        const tensor = tf.tensor1d(words, 'int32');
        old.write(tensor);
        tensor.dispose();
      } else {
        // tf.js has no way to replace a weight: the new one takes the old one's name and place.
        held._addedWeightNames.splice(held._addedWeightNames.indexOf(`${this.name}/weight`), 1);
        variable = this.addVariable('weight', [words.length], 'int32', false, () => tf.tensor1d(words, 'int32'));
        held._nonTrainableWeights.pop();
        held._nonTrainableWeights[at] = variable;
        old.dispose();
      }
      countsAs(variable, layout.outDim * layout.inDim);
      this.weight = QuantizedWeight.overTensor(layout, variable.read());
    });
    Object.assign(this.config, {layout, origin});
  }

  /** A new variable of this layer; disposed with it. */
  protected addVariable(name: string, shape: number[], dtype: 'float32' | 'int32', trainable: boolean, make: () => tf.Tensor): Variable {
    // tf.js loads weights by name, so names must differ inside a larger model.
    return this.addWeight(`${this.name}/${name}`, shape, dtype, new GivenValues(make) as unknown as Initializer, undefined, trainable);
  }

  private makeBias(): Variable {
    const {outDim, bias} = this.config;
    return this.addVariable('bias', [outDim], 'float32', true, () => (bias === undefined ? tf.zeros([outDim]) : tf.tensor1d(bias)));
  }

  private makeScale(): Variable {
    const {scaleShape, inputScale} = this.config;
    const shape = [...(scaleShape as readonly number[])];
    return this.addVariable('input_scale', shape, 'float32', false, () =>
      inputScale === undefined
        ? tf.ones(shape)
        : inputScale instanceof tf.Tensor
          ? tf.tidy(() => asFloats(sameTensor(inputScale)))
          : tf.tensor(inputScale, shape),
    );
  }

  private makeVariables(): [QuantizedWeight | DenseWeight, Variable | null] {
    const {layout, inDim, outDim, hasBias, words, packed} = this.config;
    let weight: QuantizedWeight | DenseWeight;
    if (layout !== null) {
      const {length} = sectionsOf(layout);
      const variable = this.addVariable(
        'weight',
        [length],
        'int32',
        false,
        () => packed ?? (words === undefined ? tf.zeros([length], 'int32') : tf.tensor1d(words, 'int32')),
      );
      weight = QuantizedWeight.overTensor(layout, variable.read());
      countsAs(variable, outDim * inDim);
    } else {
      const limit = Math.sqrt(6 / (inDim + outDim));
      const variable = this.addVariable('weight', [outDim, inDim], 'float32', true, () =>
        words === undefined
          ? tf.randomUniform([outDim, inDim], -limit, limit)
          : tf.tensor2d(new Float32Array(words.buffer, words.byteOffset, words.length), [outDim, inDim]),
      );
      weight = new DenseWeight(variable.read() as tf.Tensor2D);
    }
    return [weight, hasBias ? this.makeBias() : null];
  }

  /** Rows of the owner's bias, cut again where it has changed since. */
  private biasWindow(): tf.Tensor1D | null {
    const {of, begin} = this.config.view as NonNullable<CoreConfig['view']>;
    if (of.bias === null) return null;
    const from = of.bias.dataId;
    if (this.cut?.from !== from) {
      this.cut?.bias.dispose();
      this.cut = {bias: tf.keep(tf.slice(of.bias, [begin], [this.config.outDim])), from};
    }
    return this.cut.bias;
  }
}

/** The same values under the same keys. */
function isSame<T extends object>(a: T, b: T): boolean {
  const keys = Object.keys(a) as (keyof T)[];
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
