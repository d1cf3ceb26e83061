// npm run support-matrix: every case of test/grid/cases.ts on every backend and kernel, in Node and in Chromium, against the tools' own numbers.
//   --backend   names, by comma. Default: cpu and wasm in Node; cpu, wasm, webgl and webgpu in Chromium; webgpu in Node
//   --where     node or browser. Default: both
//   --filter    a regular expression over case names
//   --quick     each backend's own choice of kernel only: minutes less where shaders run on a CPU
//   --json      {rows: [{format, op, backend, where, variant, ok, declined, reason, maxError}]} on stdout, and nothing else
//   --from      files of --json, by comma: shows their rows together and runs nothing. The whole takes minutes; parts of it can be run apart
import fs from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {runPrograms} from './bench_run.mjs';
import {table} from './bench_table.mjs';
import {setup} from './setup.mjs';

const {values: options} = parseArgs({
  options: {
    backend: {type: 'string'},
    where: {type: 'string'},
    filter: {type: 'string'},
    quick: {type: 'boolean', default: false},
    json: {type: 'boolean', default: false},
    from: {type: 'string'},
  },
});

const DEFAULTS = {node: ['cpu', 'wasm', 'webgpu'], browser: ['cpu', 'wasm', 'webgl', 'webgpu']};

/** 'cpu (node)' and so on, and the rows of each; what does not start is told and left out. */
async function run() {
  setup();
  const places = options.where === undefined ? Object.keys(DEFAULTS) : [options.where];
  const rows = [];
  const failures = [];
  for (const where of places) {
    const requests = (options.backend?.split(',') ?? DEFAULTS[where]).map((backend) => {
      return {backend, filter: options.filter ?? null, forced: !options.quick};
    });
    const answers = await runPrograms({entry: 'test/grid/support_matrix.ts', call: 'tflSupport', requests, browser: where === 'browser'});
    answers.forEach((answer, i) => {
      const failure = answer.error ?? answer.failure;
      if (failure) failures.push(`${requests[i].backend} (${where}): ${failure}`);
      rows.push(...(answer.rows ?? []));
    });
  }
  return {rows, failures};
}

const error = (value) => (value === 0 ? '0' : value.toExponential(0));

/** One cell: how many cases are right, with the largest error of products in the backend's own choice of kernel. */
function cell(rows) {
  if (rows.length === 0) return '';
  const has = rows.filter((row) => row.ok || !row.declined);
  if (has.length === 0) return '–';
  const wrong = has.filter((row) => !row.ok);
  if (wrong.length > 0) return `${has.length - wrong.length} of ${has.length}`;
  const products = has.filter((row) => row.op === 'QuantizedMatMul' && row.variant === 'auto');
  return products.length === 0 ? 'yes' : `yes, ${error(Math.max(...products.map((row) => row.maxError ?? 0)))}`;
}

/** Formats down, backends across: what README shows. */
function formatTable(rows) {
  const columns = [...new Set(rows.map((row) => `${row.backend} (${row.where})`))];
  const names = [...new Set(rows.map((row) => row.format))];
  const main = rows.filter((row) => row.op !== 'Fp8Quantize' && row.op !== 'Fp8ScaledMatMul');
  const line = (name) => [
    name,
    ...columns.map((column) => cell(main.filter((row) => row.format === name && `${row.backend} (${row.where})` === column))),
  ];
  return table(['format', ...columns], names.map(line));
}

/** Ops and kernels down, backends across: how many cases each takes. */
function kernelTable(rows) {
  const columns = [...new Set(rows.map((row) => `${row.backend} (${row.where})`))];
  const names = [...new Set(rows.map((row) => `${row.op}${row.variant === 'auto' ? '' : `, ${row.variant}`}`))];
  const line = (name) => [
    name,
    ...columns.map((column) => {
      const here = rows.filter(
        (row) => `${row.op}${row.variant === 'auto' ? '' : `, ${row.variant}`}` === name && `${row.backend} (${row.where})` === column,
      );
      if (here.length === 0) return '';
      const taken = here.filter((row) => !row.declined);
      const right = taken.filter((row) => row.ok);
      return right.length === taken.length ? `${taken.length}` : `${right.length} right of ${taken.length}`;
    }),
  ];
  return table(['op, kernel', ...columns], names.map(line));
}

/** Rows of earlier runs. npm runs scripts in the package's folder and says in INIT_CWD where it was called. */
function read(files) {
  const rows = files.flatMap((file) => JSON.parse(fs.readFileSync(path.resolve(process.env.INIT_CWD ?? '', file), 'utf8')).rows);
  return {rows, failures: []};
}

const published = ({case: name, format, op, backend, where, variant, ok, declined, reason, maxError}) => {
  return {format, op, backend, where, variant, ok, declined, reason: name === undefined ? reason : `${name}: ${reason}`, maxError};
};

const {rows: found, failures} = options.from === undefined ? await run() : read(options.from.split(','));
const rows = found.map(published);
const wrong = rows.filter((row) => !row.ok && !row.declined);
if (options.json) {
  console.log(JSON.stringify({rows}));
} else {
  console.log(
    'yes: unpacked bit-equal, products and gradients within their bounds, in every kernel; the number is the largest error of a product.\n',
  );
  console.log(formatTable(rows));
  console.log('\nCases that each kernel takes:\n');
  console.log(kernelTable(rows));
}
for (const row of wrong) console.error(`wrong: ${row.op}, ${row.variant} on ${row.backend} (${row.where}): ${row.reason}`);
for (const failure of failures) console.error(`not run: ${failure}`);
process.exitCode = wrong.length > 0 || rows.length === 0 ? 1 : 0;
