// What an import costs a page: minified and gzipped bytes of the package's own code, tf.js apart, against a budget. Used by npm run check:package.
import {gzipSync} from 'node:zlib';
import * as esbuild from 'esbuild';

/**
 * KiB. The kernels of all backends, the formats and the layers are in every one: importing the package registers them, since any file may hold any
 * format and a model may be saved with any layer. The rest is dropped where it is not used. A sixth is the WebAssembly modules, as text.
 */
const BUDGETS = {
  "import {Linear} from 'tfjs-linear'; use(Linear)": 158,
  "import {openCheckpoint} from 'tfjs-linear'; use(openCheckpoint)": 181,
  "import * as tfl from 'tfjs-linear'; use(tfl)": 209,
};

/** Bytes of a module of this text, bundled in `folder`, where tfjs-linear is installed. */
async function sizeOf(folder, contents) {
  const {outputFiles} = await esbuild.build({
    stdin: {contents, resolveDir: folder, sourcefile: 'entry.js'},
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    external: ['@tensorflow/*', 'webgpu'],
    logLevel: 'warning',
  });
  const text = outputFiles[0].contents;
  return {minified: text.length, gzipped: gzipSync(text, {level: 9}).length};
}

/** Prints sizes; throws where one is over its budget, or where nothing is dropped that nobody uses. */
export async function checkSizes(folder) {
  const kib = (bytes) => (bytes / 1024).toFixed(1).padStart(7);
  const gzipped = [];
  const faults = [];
  for (const [contents, budget] of Object.entries(BUDGETS)) {
    const size = await sizeOf(folder, contents);
    gzipped.push(size.gzipped);
    console.log(`${kib(size.minified)} KiB minified, ${kib(size.gzipped)} KiB gzipped of ${budget}: ${contents}`);
    if (size.gzipped > budget * 1024) faults.push(`'${contents}' takes ${kib(size.gzipped)} KiB, more than ${budget}`);
  }
  if (!(gzipped[0] < gzipped.at(-1))) faults.push('nothing is dropped that nobody uses: is "sideEffects" of package.json right?');
  if (faults.length > 0) throw new Error(faults.join('; '));
}
