/** How a model's 8-bit float layers are scaled. Source: MAX `max.nn.linear` Float8Config and its specs. */
import {checkOptions} from '../arguments.js';
import {DType} from '../dtype.js';
import {ArgumentError} from '../errors.js';

/** Which numbers share a scale. For an input, COLWISE is one a token and ROWWISE one an input feature; for a weight, ROWWISE is one an output channel. */
export const Float8ScaleGranularity = {TENSOR: 'tensor', ROWWISE: 'rowwise', COLWISE: 'colwise', BLOCK: 'block'} as const;
export type Float8ScaleGranularity = (typeof Float8ScaleGranularity)[keyof typeof Float8ScaleGranularity];

/** Where an input's scale comes from: the checkpoint, or x itself at each call. */
export const Float8ScaleOrigin = {STATIC: 'static', DYNAMIC: 'dynamic'} as const;
export type Float8ScaleOrigin = (typeof Float8ScaleOrigin)[keyof typeof Float8ScaleOrigin];

const SCALE_TYPES: readonly DType[] = ['float32', 'float16', 'bfloat16'];

function check<T>(value: T, allowed: readonly T[], where: string): T {
  if (allowed.includes(value)) return value;
  throw new ArgumentError({where, expected: `one of ${allowed.join(', ')}`, received: value});
}

/** Indices of decoder layers as a set. */
function layerSet(given: Iterable<number> | undefined, where: string): ReadonlySet<number> {
  const isList = given === undefined || typeof (given as Partial<Iterable<number>> | null)?.[Symbol.iterator] === 'function';
  const layers = isList ? new Set(given) : null;
  if (layers !== null && [...layers].every((i) => Number.isInteger(i) && i >= 0)) return layers;
  const received = layers === null ? given : [...layers].join(', ');
  throw new ArgumentError({where: `Float8Config: ${where}`, expected: 'indices of decoder layers, from 0', received});
}

function checkBlock(granularity: Float8ScaleGranularity, block: readonly number[] | null, length: number, where: string): void {
  const fits = block === null || (block.length === length && block.every((b) => Number.isInteger(b) && b > 0));
  if (fits && (granularity === 'block') === (block !== null)) return;
  throw new ArgumentError({
    where: `${where}: blockSize`,
    expected: `${length === 2 ? '[rows, columns]' : 'a number of columns'} with granularity 'block', and only there`,
    received: block === null ? 'none' : `[${block}]`,
  });
}

/** What a spec says of its granularity, in MAX's words. */
class ScaleSpec {
  constructor(readonly granularity: Float8ScaleGranularity) {}

  get isTensor(): boolean {
    return this.granularity === 'tensor';
  }
  get isRowwise(): boolean {
    return this.granularity === 'rowwise';
  }
  get isColwise(): boolean {
    return this.granularity === 'colwise';
  }
  get isBlock(): boolean {
    return this.granularity === 'block';
  }
}

export interface Float8WeightScaleSpecFields {
  /** TENSOR [], ROWWISE [N, 1], COLWISE [1, K] or BLOCK [ceil(N / rows), ceil(K / columns)]. Throws ArgumentError for another. */
  granularity: Float8ScaleGranularity;
  /** float32, float16 or bfloat16. Default float32. */
  dtype?: DType;
  /** [rows, columns] of a block; needed for BLOCK. */
  blockSize?: readonly [number, number];
}

/**
 * How a weight is scaled. Frozen. Throws ArgumentError.
 *
 * ```js
 * new tfl.Float8WeightScaleSpec({granularity: 'block', blockSize: [128, 128]}).isBlock; // true
 * ```
 */
export class Float8WeightScaleSpec extends ScaleSpec {
  readonly dtype: DType;
  readonly blockSize: readonly [number, number] | null;

  constructor(fields: Float8WeightScaleSpecFields) {
    const where = 'Float8WeightScaleSpec';
    checkOptions(where, fields, ['granularity', 'dtype', 'blockSize']);
    const {granularity, dtype = 'float32', blockSize} = fields;
    super(check(granularity, Object.values(Float8ScaleGranularity), `${where}: granularity`));
    this.dtype = check(dtype, SCALE_TYPES, `${where}: dtype`);
    this.blockSize = blockSize ?? null;
    checkBlock(granularity, this.blockSize, 2, where);
    Object.freeze(this);
  }
}

export interface Float8InputScaleSpecFields {
  /** TENSOR: one scale; COLWISE: one a token (row of x); ROWWISE: one an input column; BLOCK: one for blockSize columns of a row. */
  granularity: Float8ScaleGranularity;
  /** STATIC: the state key input_scale; DYNAMIC: from x. Throws ArgumentError for another. */
  origin: Float8ScaleOrigin;
  /** What the scale is stored as: float32, float16 or bfloat16. Default float32. */
  dtype?: DType;
  /** dynamic: upper bound of a row's absolute maximum. Honoured (MAX drops it). */
  activationScaleUb?: number | null;
  /** Columns of a block, or [rows, columns] as of the weight's: a block of x is `columns` of one row. Needed for BLOCK. */
  blockSize?: number | readonly [number, number];
}

/**
 * How x is scaled. Frozen. Throws ArgumentError.
 *
 * ```js
 * const spec = new tfl.Float8InputScaleSpec({granularity: 'colwise', origin: 'dynamic', activationScaleUb: 1200});
 * spec.isColwise; // true
 * ```
 */
export class Float8InputScaleSpec extends ScaleSpec {
  readonly origin: Float8ScaleOrigin;
  readonly dtype: DType;
  readonly activationScaleUb: number | null;
  readonly blockSize: number | null;

  constructor(fields: Float8InputScaleSpecFields) {
    const where = 'Float8InputScaleSpec';
    checkOptions(where, fields, ['granularity', 'origin', 'dtype', 'activationScaleUb', 'blockSize']);
    const {granularity, origin, dtype = 'float32', activationScaleUb = null, blockSize} = fields;
    super(check(granularity, Object.values(Float8ScaleGranularity), `${where}: granularity`));
    this.origin = check(origin, Object.values(Float8ScaleOrigin), `${where}: origin`);
    this.dtype = check(dtype, SCALE_TYPES, `${where}: dtype`);
    this.activationScaleUb = activationScaleUb;
    this.blockSize = (typeof blockSize === 'object' ? blockSize?.[1] : blockSize) ?? null;
    checkBlock(granularity, this.blockSize === null ? null : [this.blockSize], 1, where);
    const bounds = Number.isFinite(activationScaleUb) && (activationScaleUb as number) > 0 && origin === 'dynamic';
    if (activationScaleUb !== null && !bounds) {
      throw new ArgumentError({
        where: `${where}: activationScaleUb`,
        expected: 'a positive number with a dynamic origin',
        received: activationScaleUb,
      });
    }
    Object.freeze(this);
  }
}

export interface Float8ConfigFields {
  /** How x is scaled. */
  inputScale: Float8InputScaleSpec | Float8InputScaleSpecFields;
  /** How the weight is scaled. */
  weightScale: Float8WeightScaleSpec | Float8WeightScaleSpecFields;
  /** Indices of the decoder layers whose MLP is in 8 bits. */
  mlpInFloat8?: Iterable<number>;
  /** Indices of the decoder layers whose attention projections are in 8 bits. */
  attnQkvInFloat8?: Iterable<number>;
  /** Kept for a model's builder; layers do not read it. Default null. */
  embeddingOutputDtype?: DType | null;
  /** Kept for a model's builder; layers do not read it. Default null. */
  quantMethod?: string | null;
}

/**
 * A model's 8-bit float configuration. Frozen. Throws ArgumentError.
 *
 * ```js
 * const config = new tfl.Float8Config({
 *   inputScale: {granularity: tfl.Float8ScaleGranularity.COLWISE, origin: tfl.Float8ScaleOrigin.DYNAMIC},
 *   weightScale: {granularity: tfl.Float8ScaleGranularity.ROWWISE},
 * });
 * config.isDynamic; // true
 * new tfl.Linear({inDim: 8, outDim: 4, float8Config: config}).weight.byteLength; // 48
 * ```
 */
export class Float8Config {
  readonly inputScale: Float8InputScaleSpec;
  readonly weightScale: Float8WeightScaleSpec;
  readonly mlpInFloat8: ReadonlySet<number>;
  readonly attnQkvInFloat8: ReadonlySet<number>;
  readonly embeddingOutputDtype: DType | null;
  readonly quantMethod: string | null;

  constructor(fields: Float8ConfigFields) {
    const known = [
      'inputScale',
      'weightScale',
      'mlpInFloat8',
      'attnQkvInFloat8',
      'embeddingOutputDtype',
      'quantMethod',
      'isStatic',
      'isDynamic',
    ];
    checkOptions('Float8Config', fields, known);
    this.inputScale = fields.inputScale instanceof Float8InputScaleSpec ? fields.inputScale : new Float8InputScaleSpec(fields.inputScale);
    this.weightScale =
      fields.weightScale instanceof Float8WeightScaleSpec ? fields.weightScale : new Float8WeightScaleSpec(fields.weightScale);
    this.mlpInFloat8 = layerSet(fields.mlpInFloat8, 'mlpInFloat8');
    this.attnQkvInFloat8 = layerSet(fields.attnQkvInFloat8, 'attnQkvInFloat8');
    const embedding = fields.embeddingOutputDtype ?? null;
    this.embeddingOutputDtype = embedding === null ? null : check(embedding, Object.values(DType), 'Float8Config: embeddingOutputDtype');
    this.quantMethod = fields.quantMethod ?? null;
    Object.freeze(this);
  }

  get isStatic(): boolean {
    return this.inputScale.origin === 'static';
  }
  get isDynamic(): boolean {
    return this.inputScale.origin === 'dynamic';
  }

  /** Plain data, for `getConfig`. */
  toJSON(): Record<string, unknown> {
    const {inputScale, weightScale} = this;
    const drop = (o: object) => Object.fromEntries(Object.entries(o).filter(([, v]) => v !== null));
    return {
      inputScale: drop({...inputScale}),
      weightScale: drop({...weightScale}),
      mlpInFloat8: [...this.mlpInFloat8],
      attnQkvInFloat8: [...this.attnQkvInFloat8],
      embeddingOutputDtype: this.embeddingOutputDtype,
      quantMethod: this.quantMethod,
    };
  }
}
