// node scripts/run.mjs FILE.ts [arguments]: runs a TypeScript program of this repository (an example, the bench) in Node, from its sources.
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {buildAssembly} from './assembly.mjs';
import {ROOT, swiftshader} from './browser.mjs';
import {bundleForNode} from './bundle.mjs';

// Ctrl-C reaches the program too, which ends in its own way: this process only waits for it.
process.on('SIGINT', () => undefined);

/** A Vulkan driver of this machine's own; without one WebGPU in Node runs on Chromium's SwiftShader, whose libraries must be named before start. */
function hasVulkanDriver() {
  if (process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES || process.platform !== 'linux') return true;
  const folders = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d'];
  return folders.some((folder) => fs.existsSync(folder) && fs.readdirSync(folder).some((file) => file.endsWith('.json')));
}

const [entry, ...rest] = process.argv.slice(2);
if (entry === undefined) throw new Error('usage: node scripts/run.mjs FILE.ts [arguments]');
// Two runs at once may not share a bundle: one would read what the other has half written.
const folder = path.join(ROOT, 'build/run', String(process.pid));
const outfile = path.join(folder, `${path.basename(entry, '.ts')}.mjs`);
await buildAssembly();
await bundleForNode({entry: path.resolve(entry), outfile});
const env = {...process.env, ...(rest.some((arg) => arg.includes('webgpu')) && !hasVulkanDriver() ? await swiftshader() : {})};
const run = spawnSync(process.execPath, ['--enable-source-maps', outfile, ...rest], {stdio: 'inherit', env});
fs.rmSync(folder, {recursive: true, force: true});
process.exitCode = run.status ?? 1;
