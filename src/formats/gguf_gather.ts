/** GGUF blocks lowered by the WebAssembly module, a tile of rows at a time: what blocks of most types hold, in one pass over the bytes. */
import {sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import {IN_BYTES, type LoweringModule, OUT_BYTES} from '../../kernels/lowering.js';
import type {LevelView, Parts} from '../../kernels/words.js';
import {type BlockType, isPacked, isPlanes, type StoredLevel} from './gguf_blocks.js';
import {ANY, type BlockPlace, readStored, readSub, refusedCode, SIGN} from './gguf_levels.js';
import {bytesOf} from './tensors.js';

/** Bytes that the numbers of a block's second level take in the record where the module reads them, else 0. */
function subBytes({sub, elements}: BlockType): number {
  if (sub === undefined || (isPacked(sub) && sub.sixesAt === undefined)) return 0;
  const bytes = elements / sub.columns;
  return bytes % 4 === 0 && refusedCode(sub) === ANY ? bytes : 0;
}

/** As `readStored` of a type's scale and offset, `readSub`, and `gatherPlane` of its planes. → false, and nothing is done, where the module cannot. */
export function gatherBlocks(
  {exports, bytes: memory, words}: LoweringModule,
  data: Uint8Array,
  type: BlockType,
  layout: WeightLayout,
  parts: Parts,
  place: BlockPlace,
): boolean {
  const {codes, sub, bytes: stride} = type;
  if (!isPlanes(codes) || codes.some(({run}) => run !== 1 && run % 16 !== 0)) return false;
  const {rowWords, planeStarts} = sectionsOf(layout);
  const {perRow} = place;
  const numbers = subBytes(type);
  const rowBytes = perRow * stride;
  const most = Math.floor(Math.min(IN_BYTES / rowBytes, OUT_BYTES / Math.max(4 * rowWords, 2 * numbers * perRow)));
  if (most === 0) return false;
  const [scales, subScales] = parts.scales as [LevelView, LevelView];
  const [offsets, subOffsets] = parts.offsets as [LevelView, LevelView | undefined];
  for (let at = 0; at < data.length; at += most * rowBytes) {
    const tile = data.subarray(at, at + most * rowBytes);
    const view = new DataView(tile.buffer, tile.byteOffset, tile.length);
    const rows = tile.length / rowBytes;
    const blocks = rows * perRow;
    const first = place.first + at / stride;
    const copy = (target: LevelView, from: number, length: number, to: number): void =>
      bytesOf(target).set(memory.subarray(from, from + length), to);
    const stored = (level: StoredLevel, out: LevelView): void => {
      const flip = level.negate === true ? SIGN : 0;
      // The plain loop reads other types, and says which number is not finite.
      if (level.type !== 'float16' || exports.gatherHalves(level.at, blocks, stride, flip, IN_BYTES) !== 0)
        readStored(view, type, level, out, {...place, first});
      else copy(out, IN_BYTES, 2 * blocks, 2 * first);
    };
    memory.set(tile);
    stored(type.scale, scales);
    if (type.offset !== undefined) stored(type.offset, offsets);
    if (sub !== undefined && numbers > 0) {
      const length = numbers * blocks;
      if (isPacked(sub)) exports.gatherSixes(sub.sixesAt as number, blocks, stride, IN_BYTES, IN_BYTES + length);
      else exports.gatherWords(sub.at, 1, blocks, stride, numbers, 0, IN_BYTES, 0);
      copy(subScales, IN_BYTES, length, numbers * first);
      if (isPacked(sub) && subOffsets !== undefined) copy(subOffsets, IN_BYTES + length, length, numbers * first);
    } else readSub(view, type, subScales, subOffsets, {...place, first});
    for (const [p, {width, at: from, run, flip = 0}] of codes.entries()) {
      const span = (type.elements * width) / 8;
      const to = IN_BYTES + 4 * (planeStarts[p] as number);
      if (run === 1) exports.gatherWords(from, rows, perRow, stride, span, flip, to, 4 * rowWords);
      else exports.gatherFields(from, rows, perRow, stride, span, run, width, to, 4 * rowWords);
    }
    parts.codes.set(words.subarray(IN_BYTES / 4, IN_BYTES / 4 + rows * rowWords), (first / perRow) * rowWords);
  }
  return true;
}
