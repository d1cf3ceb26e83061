// Part of npm run lint: what the formatter cannot see. Kernels know no format, checkpoint spellings stay in src/formats, files stay short and small.
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {ROOT} from './browser.mjs';

const MAX_LINES = 320;
const MAX_BYTES = 10 * 1024 * 1024;
// Names in the cases that identifiers use: 'drawQuad' is no format.
const FORMATS = /gptq|Gptq|GPTQ|gguf|Gguf|GGUF|awq|Awq|AWQ|compressed.tensors|compressedTensors|nvfp4|Nvfp4|NVFP4|mxfp4|Mxfp4|MXFP4/;
const SPELLINGS = /qweight|qzeros|g_idx|weight_scale_inv|weight_packed|weight_zero_point|weight_global_scale/i;

const git = (...options) => execFileSync('git', options, {cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024}).split('\0');
const present = (file) => file !== '' && fs.existsSync(path.join(ROOT, file));
const tracked = git('ls-files', '-z').filter(present);
const files = [...new Set([...tracked, ...git('ls-files', '-z', '--others', '--exclude-standard').filter(present)])];

const problems = [];
for (const file of tracked) {
  const {size} = fs.lstatSync(path.join(ROOT, file));
  if (size > MAX_BYTES) problems.push(`${file}: ${(size / 2 ** 20).toFixed(1)} MiB; a tracked file is at most 10 MiB`);
}
for (const file of files) {
  if (!/\.(ts|mjs|js)$/.test(file) || file.startsWith('test/fixtures/')) continue;
  const lines = fs.readFileSync(path.join(ROOT, file), 'utf8').split('\n');
  const count = lines.at(-1) === '' ? lines.length - 1 : lines.length;
  if (count > MAX_LINES) problems.push(`${file}: ${count} lines; split a file of more than ${MAX_LINES}`);
  lines.forEach((line, i) => {
    const found = file.startsWith('kernels/')
      ? (FORMATS.exec(line) ?? SPELLINGS.exec(line))
      : file.startsWith('src/') && !file.startsWith('src/formats/')
        ? SPELLINGS.exec(line)
        : null;
    if (found === null) return;
    const rule = file.startsWith('kernels/') ? 'a kernel names no format' : 'spellings of checkpoints stay in src/formats';
    problems.push(`${file}:${i + 1}: '${found[0]}'; ${rule}`);
  });
}

for (const problem of problems) console.error(problem);
console.log(`names: ${files.length} files, ${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;
