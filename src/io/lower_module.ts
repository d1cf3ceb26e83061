/** A module of a checkpoint, read and lowered: what is large in it piece by piece as it comes. */
import type {RecordMemory} from '../../kernels/record_words.js';
import type {Lowered} from '../formats/format.js';
import type {ReadingPlan, SmallTensors} from './small_tensors.js';
import type {TensorFiles} from './tensor_files.js';

/** memory: for the record. Throws as the format does, `SourceError` where the bytes cannot be read, and the signal's reason. */
export async function lowerModule(
  files: TensorFiles,
  small: SmallTensors,
  plan: ReadingPlan,
  memory: RecordMemory,
  signal: AbortSignal | undefined,
): Promise<Lowered> {
  const {header, format, large} = plan;
  if (large === null || format.begin === undefined) return format.lower({...header, tensors: await small.of(plan, signal)});
  const name = `${header.module}.${large.tensor}`;
  const pieces = files.pieces(name, large.rowBytes, signal)[Symbol.asyncIterator]();
  // What is large is asked for first; what lowering begins and ends with comes meanwhile.
  const first = header.tensors.size > 1 ? pieces.next() : null;
  first?.catch(() => {});
  const meanwhile = small.read(plan, plan.meanwhile, signal, name);
  meanwhile.catch(() => {});
  try {
    const tensors = await small.of(plan, signal);
    const lowering = format.begin({...header, tensors}, memory);
    if (first === null && lowering.into && (await files.fill(name, lowering.into, signal))) return lowering.finish();
    const begun = first ?? pieces.next();
    small.readAhead(plan);
    let {value, done} = await begun;
    for (; !done; {value, done} = await pieces.next()) lowering.add(value as Uint8Array);
    for (const late of [await meanwhile, await small.read(plan, plan.behind, signal)])
      for (const [local, tensor] of late) tensors.set(local, tensor);
    return lowering.finish();
  } finally {
    pieces.return?.().catch(() => {});
  }
}
