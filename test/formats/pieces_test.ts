/** A format that lowers in pieces gives the record that it gives of the whole. */
import {type FileTensor, findFormat} from '../../src/formats/format.js';
import {FORMATS} from '../../src/formats/index.js';
import {CASES} from '../grid/cases.js';
import {moduleOf} from '../support/checkpoints.js';

describe('Lowering in pieces', () => {
  it('of one row, then of three and of what is left, equals lowering the whole', async () => {
    const formats = new Set<string>();
    for (let i = 0; i < CASES.length; i++) {
      const c = CASES[i] as (typeof CASES)[number];
      const {name} = c;
      const module = await moduleOf(c);
      const format = findFormat(FORMATS, module);
      const pieces = format.pieces?.(module) ?? null;
      if (pieces === null || format.begin === undefined) continue;
      const whole = format.lower(module);
      const large = module.tensors.get(pieces.tensor) as FileTensor;
      const rest = new Map([...module.tensors, [pieces.tensor, {...large, data: new Uint8Array(0)}]]);
      const lowering = format.begin({...module, tensors: rest});
      for (let at = 0, rows = 1; at < large.data.length; rows += 2) {
        // A copy that is overwritten, as memory that is used again is.
        const piece = large.data.slice(at, at + rows * pieces.rowBytes);
        at += piece.length;
        lowering.add(piece);
        piece.fill(0xff);
      }
      const inPieces = lowering.finish();
      expect(inPieces.layout).withContext(`${name}`).toEqual(whole.layout);
      const different = whole.words.findIndex((word, j) => word !== inPieces.words[j]);
      expect(different).withContext(`${name}: first word that differs`).toBe(-1);
      expect(inPieces.origin).toEqual(whole.origin);
      expect(inPieces.inputScheme).toEqual(whole.inputScheme);
      formats.add(format.name);
    }
    expect([...formats].sort()).toEqual(['dense', 'float-quantized', 'fp8', 'gguf', 'gptq', 'mxfp8-quantized']);
  });
});
