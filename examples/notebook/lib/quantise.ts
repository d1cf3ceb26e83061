/** A tf.js model, quantised: bytes, and how far its output moves. */
import * as tf from '@tensorflow/tfjs';
import {type QuantizeConfig, type QuantizeReport, quantizeModel} from 'tfjs-linear';
import {breathe, onBackend} from './queue.js';
import {relativeError} from './record.js';
import type {TaskControl} from './task.js';

const ROWS = 16;

/** Three Dense layers, the same weights every time. */
function sampleModel(): tf.LayersModel {
  const initializer = (seed: number) => tf.initializers.glorotNormal({seed});
  return tf.sequential({
    layers: [
      tf.layers.dense({inputShape: [128], units: 512, activation: 'relu', kernelInitializer: initializer(1), name: 'up'}),
      tf.layers.dense({units: 512, activation: 'relu', kernelInitializer: initializer(2), name: 'middle'}),
      tf.layers.dense({units: 10, activation: 'softmax', kernelInitializer: initializer(3), name: 'head'}),
    ],
  });
}

/** tf.js's own files (model.json and its weights), picked; without any, the sample. */
export function modelFrom(files: readonly File[] | null): Promise<tf.LayersModel> {
  return onBackend('cpu', () => {
    if (files === null || files.length === 0) return sampleModel();
    const [json, rest] = [files.filter((f) => f.name.endsWith('.json')), files.filter((f) => !f.name.endsWith('.json'))];
    return tf.loadLayersModel(tf.io.browserFiles([...json, ...rest]));
  });
}

export interface Quantised {
  readonly label: string;
  readonly report: QuantizeReport;
  /** Of the model's output over normal inputs. */
  readonly outputError: number;
}

/** Group sizes belong to the integer modes. */
export function quantizeConfig(mode: QuantizeConfig['mode'], groupSize: number): QuantizeConfig {
  return mode === 'int4' || mode === 'int8' ? {mode, groupSize} : {mode};
}

/** The small model is used and thrown away; what it did is kept. */
export function quantise(model: tf.LayersModel, config: QuantizeConfig, {signal, progress}: TaskControl): Promise<Quantised> {
  return onBackend('cpu', async () => {
    await breathe(signal);
    const {model: small, report} = await quantizeModel(model, config, {
      onProgress: ({path, done, total}) => {
        signal.throwIfAborted();
        progress(done, total, path);
      },
    });
    const inputs = model.inputs.map((input, i) =>
      tf.randomNormal(
        input.shape.map((n, at) => n ?? (at === 0 ? ROWS : 1)),
        0,
        1,
        'float32',
        i + 1,
      ),
    );
    const outputs = [model, small].map((m) => m.predict(inputs) as tf.Tensor | tf.Tensor[]);
    const [before, after] = await Promise.all(outputs.map((o) => ([o].flat()[0] as tf.Tensor).data()));
    tf.dispose([inputs, outputs] as unknown as tf.TensorContainer);
    small.dispose();
    const group = config.groupSize === undefined ? '' : ` / ${config.groupSize}`;
    return {label: `${config.mode}${group}`, report, outputError: relativeError(after as Float32Array, before as Float32Array)};
  });
}

/** Every mode, and int4 and int8 with several group sizes. */
export async function sweep(model: tf.LayersModel, groupSizes: readonly number[], control: TaskControl): Promise<Quantised[]> {
  const grouped = (['int4', 'int8'] as const).flatMap((mode) => groupSizes.map((groupSize) => ({mode, groupSize})));
  const configs: QuantizeConfig[] = [...grouped, {mode: 'float8'}, {mode: 'bfloat16'}, {mode: 'float16'}];
  const results: Quantised[] = [];
  for (const config of configs) {
    control.progress(results.length, configs.length, config.mode);
    results.push(await quantise(model, config, {...control, progress: () => undefined}));
    await breathe(control.signal);
  }
  return results;
}
