/** GGUF blocks lowered by the WebAssembly module, a tile of rows at a time: what blocks of most types hold, in one pass over the bytes. */
import {sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import {IN_BYTES, type LoweringModule, OUT_BYTES} from '../../kernels/lowering.js';
import type {LevelView, Parts} from '../../kernels/words.js';
import {type BlockType, isPacked, isPlanes, type StoredLevel} from './gguf_blocks.js';
import {ANY, type BlockPlace, readStored, readSub, refusedCode, SIGN} from './gguf_levels.js';

/** Bytes that the numbers of a block's second level take in the record where the module reads them, else 0. */
function subBytes({sub, elements}: BlockType): number {
  if (sub === undefined || (isPacked(sub) && sub.sixesAt === undefined)) return 0;
  const bytes = elements / sub.columns;
  return bytes % 4 === 0 && refusedCode(sub) === ANY ? bytes : 0;
}

/** As `readStored` of a type's scale and offset, `readSub`, and `gatherPlane` of its planes. → false, and nothing is done, where the module cannot. */
export function gatherBlocks(
  module: LoweringModule,
  data: Uint8Array,
  type: BlockType,
  layout: WeightLayout,
  parts: Parts,
  place: BlockPlace,
): boolean {
  const {exports, at: area, bytes: memory} = module;
  const {codes, sub, bytes: stride} = type;
  if (!isPlanes(codes) || codes.some(({run}) => run !== 1 && run % 16 !== 0)) return false;
  const {rowWords, planeStarts} = sectionsOf(layout);
  const {perRow} = place;
  const numbers = subBytes(type);
  const rowBytes = perRow * stride;
  const most = Math.floor(Math.min(IN_BYTES / rowBytes, OUT_BYTES / Math.max(4 * rowWords, numbers * perRow)));
  if (most === 0) return false;
  const [scales, subScales] = parts.scales as [LevelView, LevelView];
  const [offsets, subOffsets] = parts.offsets as [LevelView, LevelView | undefined];
  for (let at = 0; at < data.length; at += most * rowBytes) {
    const tile = data.subarray(at, at + most * rowBytes);
    const view = new DataView(tile.buffer, tile.byteOffset, tile.length);
    const rows = tile.length / rowBytes;
    const blocks = rows * perRow;
    const first = place.first + at / stride;
    const stored = (level: StoredLevel, out: LevelView): void => {
      const flip = level.negate === true ? SIGN : 0;
      const gather = (to: number) => exports.gatherHalves(area + level.at, blocks, stride, flip, to);
      // The plain loop reads other types, and says which number is not finite.
      if (level.type !== 'float16' || module.into(out, 2 * first, 2 * blocks, gather) !== 0)
        readStored(view, type, level, out, {...place, first});
    };
    memory.set(tile, area);
    stored(type.scale, scales);
    if (type.offset !== undefined) stored(type.offset, offsets);
    if (sub !== undefined && numbers > 0) {
      const numbersOf = (out: LevelView, second: number): void =>
        module.into(out, numbers * first, numbers * blocks, (to) => {
          if (isPacked(sub)) exports.gatherSixes(area + (sub.sixesAt as number), blocks, stride, second, to);
          else exports.gatherWords(area + sub.at, 1, blocks, stride, numbers, 0, to, 0);
        });
      numbersOf(subScales, 0);
      if (isPacked(sub) && subOffsets !== undefined) numbersOf(subOffsets, 1);
    } else readSub(view, type, subScales, subOffsets, {...place, first});
    module.into(parts.codes, 4 * (first / perRow) * rowWords, 4 * rows * rowWords, (to) => {
      for (const [p, {width, at: from, run, flip = 0}] of codes.entries()) {
        const span = (type.elements * width) / 8;
        const out = to + 4 * (planeStarts[p] as number);
        if (run === 1) exports.gatherWords(area + from, rows, perRow, stride, span, flip, out, 4 * rowWords);
        else exports.gatherFields(area + from, rows, perRow, stride, span, run, width, out, 4 * rowWords);
      }
    });
  }
  return true;
}
