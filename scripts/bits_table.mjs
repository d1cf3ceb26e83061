// npm run bits: what each format's weights cost in memory against their bytes in the file, over the fixtures. --json prints {rows} and nothing else.
import fs from 'node:fs';
import path from 'node:path';
import {pathToFileURL} from 'node:url';
import {parseArgs} from 'node:util';
import {ROOT} from './browser.mjs';
import {bundleForNode} from './bundle.mjs';

/** Resident bytes over file bytes. The two exceptions squeeze scales or codes tighter than any 8-bit scale or 2-bit plane can. */
const LIMIT = 1.06;
const LIMITS = {Q2_K: 1.2, TQ1_0: 1.23};

const {values: options} = parseArgs({options: {json: {type: 'boolean'}}});
process.chdir(ROOT);
const outfile = `build/bits/${process.pid}.mjs`;
const source = `
export {sectionsOf} from './kernels/layout.js';
export {findFormat} from './src/formats/format.js';
export {FORMATS} from './src/formats/index.js';
export {readFixture} from './test/support/files.js';
export {listCases, loadCase, readTensors} from './test/support/fixtures.js';
`;
await bundleForNode({source, outfile});
const {FORMATS, findFormat, listCases, loadCase, readFixture, readTensors, sectionsOf} = await import(
  pathToFileURL(path.resolve(outfile)).href
);
for (const file of [outfile, `${outfile}.map`]) fs.rmSync(file);

function ggufModule(name, dtype, shape, data) {
  return {
    module: {module: name, container: 'gguf', tensors: new Map([['weight', {dtype, shape, data}]]), quantization: null},
    encoding: dtype,
  };
}

/** The case as a module, and what its weight is stored as. */
async function moduleOf({name, file, kind, attributes, tensors}) {
  if (kind === 'gguf') {
    const {ggml_type: dtype, out_features: outDim, in_features: inDim} = attributes;
    return ggufModule(name, dtype, [outDim, inDim], (await readTensors(`quant/${file}`)).get('weight.raw').data);
  }
  if (kind === 'gguf-file') {
    // The one type that has no case of its own.
    const {shape, data_offset: begin, n_bytes: length} = tensors['fixture.F32.weight'];
    return ggufModule(name, 'F32', shape.toReversed(), (await readFixture(`quant/${file}`)).slice(begin, begin + length));
  }
  return {module: (await loadCase(name)).module, encoding: null};
}

async function measure(entry) {
  const {module, encoding} = await moduleOf(entry);
  const format = findFormat(FORMATS, module);
  const {layout, bias} = format.lower(module);
  const weights = layout.outDim * layout.inDim;
  const fileBytes = [...module.tensors.values()].reduce((sum, {data}) => sum + data.byteLength, 0);
  const residentBytes = sectionsOf(layout).length * 4 + (bias?.data.byteLength ?? 0);
  const ratio = residentBytes / fileBytes;
  const limit = LIMITS[encoding] ?? LIMIT;
  return {
    case: entry.name,
    format: encoding === null ? format.name : `${format.name} ${encoding}`,
    N: layout.outDim,
    K: layout.inDim,
    fileBits: (8 * fileBytes) / weights,
    residentBits: (8 * residentBytes) / weights,
    ratio,
    limit,
    ok: ratio <= limit,
  };
}

const kinds = ['gptq', 'awq', 'compressed-tensors', 'fp8-deepseek', 'fp8-gptqmodel', 'fp8-fbgemm', 'gguf', 'gguf-file'];
const rows = [];
for (const entry of await listCases(...kinds)) {
  try {
    rows.push(await measure(entry));
  } catch (error) {
    rows.push({case: entry.name, ok: false, error: error.message});
  }
}

if (options.json) console.log(JSON.stringify({rows}));
else {
  const line = (cells) =>
    `${cells[0].padEnd(42)}${cells[1].padEnd(20)}${cells[2].padStart(10)}${cells
      .slice(3)
      .map((c) => c.padStart(10))
      .join('')}`;
  console.log('Bits per weight: all the tensors of the module in the file, and resident. Small layers: a bias or one scale shows.');
  console.log(line(['case', 'format', 'N x K', 'file', 'resident', 'ratio']));
  for (const row of rows) {
    if (row.error !== undefined) console.log(`${row.case.padEnd(42)}FAILED ${row.error}`);
    else {
      const numbers = [row.fileBits.toFixed(3), row.residentBits.toFixed(3), row.ratio.toFixed(3)];
      console.log(`${line([row.case, row.format, `${row.N} x ${row.K}`, ...numbers])}${row.ok ? '' : `  above ${row.limit}`}`);
    }
  }
}
process.exitCode = rows.length > 0 && rows.every((row) => row.ok) ? 0 : 1;
