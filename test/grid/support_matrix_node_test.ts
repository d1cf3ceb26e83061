/** What npm run support-matrix -- --json prints. */
import {execFile} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {promisify} from 'node:util';

async function matrix(...args: string[]): Promise<string> {
  const {stdout} = await promisify(execFile)(process.execPath, [path.resolve('scripts/support_matrix.mjs'), ...args]);
  return stdout;
}

describe('support matrix', () => {
  it('prints one JSON document whose rows have the named fields, and shows saved ones as a table', async () => {
    const text = await matrix('--json', '--where', 'node', '--backend', 'wasm', '--filter', 'gptq_b4_g32_sym_v1|ct_fp8_static');
    const {rows, ...rest} = JSON.parse(text) as {rows: Record<string, unknown>[]};
    expect(rest).toEqual({});
    for (const row of rows) {
      expect(Object.keys(row)).toEqual(['format', 'op', 'backend', 'where', 'variant', 'ok', 'declined', 'reason', 'maxError']);
      expect(row).toEqual(jasmine.objectContaining({backend: 'wasm', where: 'node', ok: true}));
    }
    const ops = new Set(rows.map(({op}) => op));
    expect([...ops].sort()).toEqual(
      ['Fp8Quantize', 'Fp8ScaledMatMul', 'GptqUnpack', 'QuantizedMatMul', 'QuantizedMatMul dx', 'UnpackWeight'].sort(),
    );
    const folder = mkdtempSync(path.join(os.tmpdir(), 'matrix-'));
    try {
      const files = ['wasm', 'other'].map((name) => path.join(folder, `${name}.json`));
      writeFileSync(files[0] as string, text);
      const other = rows.map(
        (row): Record<string, unknown> => ({...row, backend: 'other', ok: row.op !== 'UnpackWeight', declined: false}),
      );
      writeFileSync(files[1] as string, JSON.stringify({rows: other.filter(({format}) => format === 'GPTQ 4 bit')}));
      // A wrong row ends the program with status 1.
      const failed = await matrix('--from', files.join(',')).catch((error: {stdout: string; stderr: string; code: number}) => error);
      const {stdout, stderr, code} = failed as {stdout: string; stderr: string; code: number};
      expect(code).toBe(1);
      expect(stderr).toMatch(/^wrong: UnpackWeight, auto on other \(node\): gptq_b4_g32_sym_v1/m);
      expect(stdout).toMatch(/^\| format +\| wasm \(node\) +\| other \(node\) +\|$/m);
      expect(stdout).toMatch(/^\| GPTQ 4 bit +\| yes, \de-\d+ +\| \d+ of \d+ +\|$/m);
      expect(stdout).toMatch(/^\| compressed-tensors float-quantized +\| yes, \de-\d+ +\| +\|$/m);
    } finally {
      rmSync(folder, {recursive: true});
    }
  });
});
