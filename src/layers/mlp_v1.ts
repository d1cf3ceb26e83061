/** MLPV1: an MLP over three layers that are there already. */
import * as tf from '@tensorflow/tfjs';
import {checkInstance, checkObject} from '../arguments.js';
import {ShapeError} from '../errors.js';
import {fromSavedConfig, registeredClass, registeredName, toSavedConfig} from './config.js';
import {Linear, type LinearConfig} from './linear.js';
import {MLP, type MLPConfig, type MLPParts} from './mlp.js';
import {warnDeprecated} from './v1.js';

export interface MLPV1Config {
  /** [F, H] */
  gateProj: Linear;
  /** [H, F] */
  downProj: Linear;
  /** [F, H] */
  upProj: Linear;
  /** An explicit name also prefixes the state keys. Default: made up. */
  name?: string;
}

interface SavedMLPV1 extends MLPConfig {
  /** Registered names of the layers' classes, by projection. */
  readonly childClasses: Readonly<Record<string, string>>;
}

const PROJECTIONS = {gate_proj: 'gateProj', up_proj: 'upProj', down_proj: 'downProj'} as const;

/**
 * y = down(silu(gate(x)) * up(x)) over given layers of any kind, each called as it is; they belong to this one from here on.
 * Source: MAX `max.nn.linear.MLPV1`. Throws ShapeError where the three do not fit together.
 * @deprecated Use MLP.
 *
 * ```js
 * const [gateProj, upProj] = [0, 1].map(() => tfl.linear({inDim: 4, outDim: 8}));
 * const mlp = new tfl.MLPV1({gateProj, downProj: tfl.linear({inDim: 8, outDim: 4}), upProj});
 * mlp.forward(tf.ones([2, 4])).shape; // [2, 4]
 * ```
 */
export class MLPV1 extends MLP {
  static override className = 'TflMLPV1';
  /** Shards are MLPs of the new kind. */
  static readonly shardClass = MLP;

  constructor(config: MLPV1Config | SavedMLPV1) {
    warnDeprecated('MLPV1', 'MLP');
    checkObject('MLPV1', config);
    if ('gateProj' in config) {
      const {gateProj, upProj, downProj, name} = config;
      checkFit(config);
      super(
        {hiddenDim: gateProj.inDim, feedForwardLength: gateProj.outDim, ...(name === undefined ? {} : {name})},
        {},
        over({gateProj, upProj, downProj}),
      );
    } else {
      const {childClasses: _, ...rest} = config;
      super(rest, {}, rebuilt(config));
    }
  }

  override getConfig(): tf.serialization.ConfigDict {
    const childClasses = Object.fromEntries(
      Object.entries(PROJECTIONS).map(([child, property]) => [child, registeredName(this[property].constructor, this.name)]),
    );
    return toSavedConfig({...fromSavedConfig<MLPConfig>(super.getConfig()), childClasses});
  }
}

function checkFit(config: MLPV1Config): void {
  const {gateProj, upProj, downProj, name = 'MLPV1'} = config;
  for (const property of Object.values(PROJECTIONS)) checkInstance(`${name}: ${property}`, config[property], Linear, 'a Linear');
  const {inDim, outDim} = gateProj;
  const fits = upProj.inDim === inDim && upProj.outDim === outDim && downProj.inDim === outDim && downProj.outDim === inDim;
  if (fits) return;
  const describe = (layer: Linear) => `[${layer.outDim}, ${layer.inDim}]`;
  throw new ShapeError({
    where: name,
    expected: `upProj [${outDim}, ${inDim}] and downProj [${inDim}, ${outDim}] for gateProj [${outDim}, ${inDim}]`,
    received: `upProj ${describe(upProj)}, downProj ${describe(downProj)}`,
  });
}

function over(layers: Pick<MLPV1Config, 'gateProj' | 'upProj' | 'downProj'>): MLPParts {
  return {make: (child) => layers[PROJECTIONS[child as keyof typeof PROJECTIONS]], half: unstacked};
}

/** The layers of a saved one, under the names that their weights are saved by. */
function rebuilt({childClasses, children = {}, name = 'MLPV1'}: SavedMLPV1): MLPParts {
  return {
    make: (child) =>
      new (registeredClass(childClasses[child] ?? '', name) as new (config: LinearConfig) => Linear)(children[child] as LinearConfig),
    half: unstacked,
  };
}

function unstacked(stacked: Linear): Linear {
  throw new ShapeError({where: stacked.name, expected: 'three projections', received: 'a stacked one'});
}

tf.serialization.registerClass(MLPV1 as unknown as tf.serialization.SerializableConstructor<MLPV1>);
