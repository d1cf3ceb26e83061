/** Signed 8-bit codes under `codes8` [N, K] with one float32 scale a row under `scale` [N]: w = code * scale. */
import {grid, type WeightLayout} from '../../kernels/layout.js';
import {allocateWords, packCodes, partsOf, unpackRowCodes} from '../../kernels/words.js';
import {ShapeError} from '../../src/errors.js';
import {checkBias, checkBytes, floatsOf, matrixShape} from '../../src/formats/dense.js';
import {type FileTensor, type Format, need, refuseOthers} from '../../src/formats/format.js';
import {fileTensor} from '../../src/formats/tensors.js';

function layoutOf(outDim: number, inDim: number): WeightLayout {
  return {
    outDim,
    inDim,
    planes: [8],
    decode: {kind: 'integer'},
    // Codes are unsigned in the record: -128 becomes 0.
    zero: {kind: 'constant', value: 128},
    scales: [{grid: grid(outDim, inDim, 1, inDim), type: 'float32', divide: false}],
    offsets: [],
    ordered: false,
    indexed: false,
  };
}

export const codes8: Format = {
  name: 'codes8',

  recognise(module) {
    return module.tensors.get('codes8')?.dtype === 'I8';
  },

  validate(module) {
    const [outDim] = matrixShape(need(module, 'codes8'), `${module.module}.codes8`);
    const {dtype, shape} = need(module, 'scale');
    if (dtype !== 'F32' || shape.length !== 1 || shape[0] !== outDim) {
      throw new ShapeError({where: `${module.module}.scale`, expected: `F32 [${outDim}], one a row`, received: `${dtype} [${shape}]`});
    }
    checkBias(module, outDim);
    refuseOthers(module, codes8.name, ['codes8', 'scale', 'bias']);
  },

  lower(module) {
    codes8.validate(module);
    const codes = need(module, 'codes8');
    const [outDim, inDim] = matrixShape(codes, `${module.module}.codes8`);
    checkBytes(codes, outDim * inDim, `${module.module}.codes8`);
    const layout = layoutOf(outDim, inDim);
    const words = allocateWords(layout);
    const parts = partsOf(layout, words);
    packCodes(
      layout,
      parts,
      codes.data.map((byte) => byte ^ 0x80),
    );
    parts.scales[0]?.set(floatsOf(need(module, 'scale')));
    return {layout, words, bias: module.tensors.get('bias') ?? null, inputScheme: null, origin: {format: codes8.name, details: {}}};
  },

  raise({layout, words, bias}) {
    const {outDim, inDim} = layout;
    const parts = partsOf(layout, words);
    const codes = new Uint8Array(outDim * inDim);
    for (let n = 0; n < outDim; n++) unpackRowCodes(layout, parts, n, codes.subarray(n * inDim, (n + 1) * inDim));
    const tensors = new Map<string, FileTensor>([
      [
        'codes8',
        fileTensor(
          'I8',
          [outDim, inDim],
          codes.map((code) => code ^ 0x80),
        ),
      ],
      ['scale', fileTensor('F32', [outDim], Float32Array.from(parts.scales[0] as Float32Array))],
    ]);
    if (bias !== null) tensors.set('bias', bias);
    return tensors;
  },

  reference(module) {
    const {data, shape} = need(module, 'codes8');
    const scale = floatsOf(need(module, 'scale'));
    const inDim = shape[1] as number;
    return Float32Array.from(Int8Array.from(data), (code, i) => Math.fround(code * (scale[Math.floor(i / inDim)] as number)));
  },
};
