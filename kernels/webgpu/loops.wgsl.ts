/** The walk along K of rows.wgsl.ts: products of R rows of W with X rows of x into the numbers aX_R. */
import type {WeightLayout} from '../layout.js';
import type {Chunking} from './chunk.js';
import {powerOfTwo} from './float_bits.wgsl.js';
import {NAN_FLAGS} from './float_numbers.wgsl.js';
import {loadWords, type Numbers, planeLocals, type Words} from './numbers.wgsl.js';
import type {Params} from './params.js';
import {stepsOf} from './step.wgsl.js';

/** Chunks that add up in one float32 before they go to the total: long sums lose a digit otherwise. */
const longestRunOf = ({columns}: Chunking) => Math.max(16, 256 / columns);

/** Chunks that are written out instead of looped over, where one thread has them all: more makes shaders slow to compile. */
const UNROLLED = 2;

/** Rows of x from which weights are scaled as they are decoded: from there on that is less work than scaling sums. */
const SCALED_FIRST = 4;

export interface LoopShape {
  readonly rows: number;
  readonly xRows: number;
  readonly lanes: number;
}

/** What is done to x as it is read. */
export interface Reading {
  /** It is made lighter, by what codes are too heavy. */
  readonly lighten: boolean;
  /** It is multiplied by the weights of a norm, and its squares are added up in qX. */
  readonly norm: boolean;
}

const range = (n: number) => [...Array(n).keys()];

/** The walk: what to declare before it, row by row of W, and its loops. */
export interface Walk {
  readonly once: string;
  row(r: number, n: string): string;
  readonly loops: string;
}

export function walk(layout: WeightLayout, chunking: Chunking, numbers: Numbers, params: Params, shape: LoopShape, reading: Reading): Walk {
  // An offset in a weight of its own cancels before it is summed, as it does in the file's own decoder.
  const scaledFirst = layout.offsets.length > 0 || (shape.lanes === 1 && shape.xRows >= SCALED_FIRST);
  const steps = stepsOf(layout, numbers, params, true);
  const {flagged} = numbers;
  const walker = new Walker(chunking, steps, shape, scaledFirst ? 'value' : 'number', numbers, reading);
  const loops = shape.lanes > 1 ? walker.strided() : scaledFirst ? walker.scaledFirst() : walker.scaledLast();
  const chunks = `let chunks = ${params.add('chunks', chunking.count)};`;
  const row = (r: number, n: string) => `${steps.row(r, n)}${flagged === null ? '' : ` var nan${r} = 0u;`}`;
  return {once: `${chunks} ${planeLocals(layout, params)} ${steps.once}`, row, loops: flagged === null ? loops : loops + walker.spoil()};
}

class Walker {
  private readonly perChunk;
  private readonly longest;
  /** Chunks that share a step. */
  private readonly unit;

  constructor(
    private readonly chunking: Chunking,
    private readonly steps: ReturnType<typeof stepsOf>,
    private readonly shape: LoopShape,
    /** What is multiplied with x: scaled weights, or numbers whose sums are scaled. */
    private readonly kind: 'value' | 'number',
    private readonly numbers: Numbers,
    private readonly reading: Reading,
  ) {
    this.perChunk = chunking.columns / chunking.step;
    this.longest = longestRunOf(chunking);
    this.unit = longestRun(chunking.group, this.longest);
  }

  /** Lane by lane: neighbours take neighbouring chunks, so that their loads are one. */
  strided(): string {
    return `for (var c = lane; c < chunks; c += ${this.shape.lanes}u) {\n${this.scaledSteps()}\n}`;
  }

  /** Sums are scaled, once a unit. */
  scaledLast(): string {
    if (this.perChunk > 1) return `for (var c = 0u; c < chunks; c++) {\n${this.scaledSteps()}\n}`;
    return `for (var g = 0u; g < chunks; g += ${this.unit}u) {
${this.declareB()}
${this.constants(`g * ${this.chunking.columns}u`)}
${this.unitOf('chunks')}
${this.addUp()}
}`;
  }

  /** The chunks of the unit at chunk g. Where shaders run on a CPU, entering a loop costs as much as a chunk. */
  private unitOf(end: string): string {
    const chunk = `${this.loads()}\n${this.products(0)}`;
    if (this.unit <= UNROLLED && this.chunking.count % this.unit === 0) {
      return range(this.unit)
        .map((u) => `{ let c = g + ${u}u;\n${chunk} }`)
        .join('\n');
    }
    return `let end = min(g + ${this.unit}u, ${end});\nfor (var c = g; c < end; c++) {\n${chunk}\n}`;
  }

  /** A row with a NaN among its codes has a sum that is NaN. Written so that no constant is NaN, which WGSL does not allow. */
  spoil(): string {
    const sum = (x: number, r: number) => `a${x}_${r} = bitcast<f32>(select(bitcast<u32>(a${x}_${r}), 0x7fc00000u, spoilt));`;
    return this.eachR((r) => `\n{ let spoilt = (nan${r} & ${NAN_FLAGS}) != 0u; ${this.eachX((x) => sum(x, r))} }`);
  }

  /** Weights are scaled as they are decoded; sums of a run go to the total. */
  scaledFirst(): string {
    const run = this.unit * Math.floor(this.longest / this.unit);
    const step = (s: number) => `{ ${this.constants(this.columnOf(s))}\n${this.products(s)} }`;
    const body =
      this.perChunk > 1
        ? `for (var c = first; c < last; c++) {
${this.loads()}
${range(this.perChunk).map(step).join('\n')}
}`
        : `for (var g = first; g < last; g += ${this.unit}u) {
${this.constants(`g * ${this.chunking.columns}u`)}
${this.unitOf('last')}
}`;
    return `for (var first = 0u; first < chunks; first += ${run}u) {
${this.declareB()}
let last = min(first + ${run}u, chunks);
${body}
${this.addUp()}
}`;
  }

  private eachX(text: (x: number) => string): string {
    return range(this.shape.xRows).map(text).join(' ');
  }

  private eachR(text: (r: number) => string): string {
    return range(this.shape.rows).map(text).join(' ');
  }

  private eachPair(text: (x: number, r: number) => string): string {
    return this.eachX((x) => this.eachR((r) => text(x, r)));
  }

  private declareB(): string {
    return `${this.eachPair((x, r) => `var b${x}_${r} = 0.0;`)}${this.reading.norm ? this.eachX((x) => ` var p${x} = 0.0;`) : ''}`;
  }

  private columnOf(s: number): string {
    return `c * ${this.chunking.columns}u + ${s * this.chunking.step}u`;
  }

  private constants(j: string): string {
    return `${this.steps.column(j)}\n${range(this.shape.rows)
      .map((r) => this.steps.declare(r))
      .join('\n')}`;
  }

  private readonly loaded = () => range(this.shape.rows).map((r) => loadWords(this.chunking, r, `base${r}`, 'c'));

  /** The words of chunk c, of every row. */
  private loads(): string {
    return this.loaded()
      .map(({code}) => code)
      .join('\n');
  }

  /** b += what step s of chunk c holds, times x. */
  private products(s: number): string {
    const perStep = this.chunking.step / 4;
    const words = this.loaded().map((l) => l.words);
    const lines: string[] = [];
    for (let i = s * perStep; i < (s + 1) * perStep; i++) {
      const decoded = this.eachR((r) => `let d${r} = ${this.steps[this.kind](r, i, words[r] as Words)};`);
      const {flagged} = this.numbers;
      if (flagged !== null) lines.push(this.eachR((r) => `nan${r} |= ${flagged.flags(i, words[r] as Words)};`));
      lines.push(`{ ${decoded} ${this.eachX((x) => `{ ${this.read(x, i)} ${this.eachR((r) => `b${x}_${r} += dot(d${r}, v);`)} }`)} }`);
    }
    return lines.join('\n');
  }

  /** v: columns 4i .. 4i + 3 of chunk c of row x. */
  private read(x: number, i: number): string {
    const {columns} = this.chunking;
    const {lighten, norm} = this.reading;
    const at = `c * ${columns / 4}u + ${i}u`;
    const lighter = range(4).map((c) => powerOfTwo(-this.numbers.weight(4 * i + c)));
    const factor = `${norm ? ` * norm[${at}]` : ''}${lighten && this.numbers.period > 0 ? ` * vec4<f32>(${lighter.join(', ')})` : ''}`;
    return `let given = x[x${x} + ${at}]; let v = given${factor};${norm ? ` p${x} += dot(given, given);` : ''}`;
  }

  /** a += b, scaled where b is not. */
  private addUp(): string {
    const sums = this.eachPair((x, r) =>
      this.kind === 'value' ? `a${x}_${r} += b${x}_${r};` : `a${x}_${r} = fma(${this.steps.scale(r)}, b${x}_${r}, a${x}_${r});`,
    );
    return `${sums}${this.reading.norm ? this.eachX((x) => ` q${x} += p${x};`) : ''}`;
  }

  /** Chunk c, step by step, each added up by itself. */
  private scaledSteps(): string {
    const step = (s: number) => `{ ${this.declareB()}\n${this.constants(this.columnOf(s))}\n${this.products(s)}\n${this.addUp()} }`;
    return `${this.loads()}\n${range(this.perChunk).map(step).join('\n')}`;
  }
}

/** The largest divisor of a group's chunks up to `longest`: a run never crosses a group. */
function longestRun(group: number, longest: number): number {
  let run = longest;
  while (group % run !== 0) run--;
  return run;
}
