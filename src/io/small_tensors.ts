/** What of a module is read before its large tensor: for the module that follows in the file already while this one's is read. */
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
    return {header, format, large: bytes >= LARGE_BYTES ? pieces : null, largeBytes: bytes};
  }

  /** All tensors of the module, the large one without data. */
  async of(plan: ReadingPlan, signal: AbortSignal | undefined): Promise<Tensors> {
    const {module} = plan.header;
    this.asked.add(module);
    if (this.ahead?.module !== module) return this.read(plan, signal);
    const {ahead} = this;
    // A reader that gives up leaves them to the next one.
    const found = await abortable(ahead.tensors, signal);
    if (this.ahead === ahead) this.ahead = null;
    return found ?? this.read(plan, signal);
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
      return plan.largeBytes > FAR_BYTES ? this.read(plan, undefined, reading) : null;
    };
    this.ahead = {module, tensors: read().catch(() => null)};
  }

  clear(): void {
    this.ahead = null;
  }

  /** `next` names what is read meanwhile, or else after these. */
  private async read({header, large}: ReadingPlan, signal?: AbortSignal, next?: string): Promise<Tensors> {
    const {module} = header;
    const following = next ?? (large === null ? undefined : `${module}.${large.tensor}`);
    const read = async ([name, t]: [string, TensorHeader]): Promise<[string, FileTensor]> => [
      name,
      {...t, data: name === large?.tensor ? new Uint8Array(0) : await this.files.read(`${module}.${name}`, signal, following)},
    ];
    return new Map(await Promise.all([...header.tensors].map(read)));
  }
}
