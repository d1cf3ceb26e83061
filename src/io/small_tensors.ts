/** What of a module is read beside its large tensor: for the module that follows in the file already while this one's is read. */
import {type FileTensor, type Format, findFormat, type ModuleHeader, type TensorHeader} from '../formats/format.js';
import {FORMATS} from '../formats/index.js';
import {abortable} from './abort.js';
import {FAR_BYTES, type TensorFiles} from './tensor_files.js';

/** How a module will be read. */
export interface ReadingPlan {
  readonly header: ModuleHeader;
  readonly format: Format;
  /** The tensor that comes in pieces, by its local name, or null. */
  readonly large: {readonly tensor: string; readonly rowBytes: number} | null;
  readonly largeBytes: number;
  /** The others, by local name: those that lowering begins with, */
  readonly first: readonly string[];
  /** those that it ends with and that are asked for while the large one is read, */
  readonly meanwhile: readonly string[];
  /** and those that come right behind the large one in the file. */
  readonly behind: readonly string[];
}

/** From here on a tensor is lowered piece by piece, and never held whole beside its record. */
const LARGE_BYTES = 2 ** 16;

type Tensors = Map<string, FileTensor>;

export class SmallTensors {
  /** Modules that were asked for: those are not guessed to come next. */
  private readonly asked = new Set<string>();
  /** By name, the name after it in the file; filled at the first question. */
  private readonly after = new Map<string, string>();
  private ahead: {readonly module: string; readonly tensors: Promise<Tensors | null>} | null = null;

  constructor(
    private readonly files: TensorFiles,
    private readonly headerOf: (module: string) => ModuleHeader,
  ) {}

  /** Throws as the format does. */
  planOf(module: string): ReadingPlan {
    const header = this.headerOf(module);
    const format = findFormat(FORMATS, header);
    format.validate(header);
    const pieces = format.begin === undefined ? null : (format.pieces?.(header) ?? null);
    const bytes = pieces === null ? 0 : (this.files.info(`${module}.${pieces.tensor}`)?.byteLength ?? 0);
    const large = bytes >= LARGE_BYTES ? pieces : null;
    const others = [...header.tensors.keys()].filter((name) => name !== large?.tensor);
    const late = large === null ? [] : (format.late?.(header) ?? []);
    const isBehind = (name: string): boolean =>
      late.includes(name) && this.files.follows(`${module}.${name}`, `${module}.${large?.tensor}`);
    return {
      header,
      format,
      large,
      largeBytes: bytes,
      first: others.filter((name) => !late.includes(name)),
      meanwhile: others.filter((name) => late.includes(name) && !isBehind(name)),
      behind: others.filter(isBehind),
    };
  }

  /** All tensors of the module, those with data that lowering begins with. */
  async of(plan: ReadingPlan, signal: AbortSignal | undefined): Promise<Tensors> {
    const {module} = plan.header;
    this.asked.add(module);
    if (this.ahead?.module !== module) return this.begin(plan, signal);
    const {ahead} = this;
    // A reader that gives up leaves them to the next one.
    const found = await abortable(ahead.tensors, signal);
    if (this.ahead === ahead) this.ahead = null;
    return found ?? this.begin(plan, signal);
  }

  /** Those of these local names. `next` names what is read meanwhile or after these. */
  async read({header}: ReadingPlan, names: readonly string[], signal?: AbortSignal, next?: string): Promise<Tensors> {
    const read = async (name: string): Promise<[string, FileTensor]> => {
      const data = await this.files.read(`${header.module}.${name}`, signal, next);
      return [name, {...(header.tensors.get(name) as TensorHeader), data}];
    };
    return new Map(await Promise.all(names.map(read)));
  }

  /** Asks for those of the module that follows this one in the file, where they lie far from what is read now: a guess, and what fails is read again. */
  readAhead(plan: ReadingPlan): void {
    const {header, large} = plan;
    if (plan.largeBytes <= FAR_BYTES) return;
    const names = this.after.size === 0 ? this.files.names() : [];
    for (let i = 1; i < names.length; i++) this.after.set(names[i - 1] as string, names[i] as string);
    const reading = `${header.module}.${large?.tensor}`;
    let name = this.after.get(reading);
    while (name?.startsWith(`${header.module}.`)) name = this.after.get(name);
    if (name === undefined) return;
    const module = name.slice(0, name.lastIndexOf('.'));
    if (this.asked.has(module) || this.ahead?.module === module) return;
    const read = async (): Promise<Tensors | null> => {
      const plan = this.planOf(module);
      // What lies before its large tensor comes on the way there.
      const large = `${module}.${plan.large?.tensor}`;
      const isApart = plan.first.some((name) => !this.files.follows(large, `${module}.${name}`));
      return isApart && plan.largeBytes > FAR_BYTES ? this.begin(plan, undefined, reading) : null;
    };
    this.ahead = {module, tensors: read().catch(() => null)};
  }

  clear(): void {
    this.ahead = null;
  }

  private async begin(plan: ReadingPlan, signal?: AbortSignal, next = `${plan.header.module}.${plan.large?.tensor}`): Promise<Tensors> {
    const empty = [...plan.header.tensors].map(([name, t]): [string, FileTensor] => [name, {...t, data: new Uint8Array(0)}]);
    return new Map([...empty, ...(await this.read(plan, plan.first, signal, next))]);
  }
}
