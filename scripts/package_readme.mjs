// README's examples, as they stand there, where the packed package is installed: in Node, through Vite and webpack, and from script tags.
// Used by npm run check:package.
import fs from 'node:fs';
import path from 'node:path';
import {ROOT} from './browser.mjs';
import {runText} from './package_app.mjs';
import {openPages} from './package_pages.mjs';

/** The block of README with this word behind its fence. */
function block(text, fence) {
  const [, code] = new RegExp(`^\`\`\`${fence}\\n([\\s\\S]*?)^\`\`\``, 'm').exec(text) ?? [];
  if (code === undefined) throw new Error(`README has no block '${fence}'`);
  return code;
}

/** Behind an example's last line: what it made is looked at. */
const LOOK = `globalThis.results = await (await import('./check.js')).checkExample({checkpoint, layer, model});\n`;

/** Lines with code. */
const lines = (code) => code.split('\n').filter((line) => line.trim() !== '').length;

function judge(where, count, {results: {error, same}, printed}) {
  const faults = [
    count > 10 && `${count} lines`,
    !(error < 1e-4) && `error ${error} is not below 1e-4`,
    !same && "inside the reader's model the layer gives other numbers",
    !/^Tensor\s+\[\[/m.test(printed) && `it printed '${printed}'`,
  ].filter(Boolean);
  if (faults.length > 0) throw new Error(`README's example, ${where}: ${faults.join('; ')}`);
  console.log(`README's example, ${count} lines, ${where}: ${error.toExponential(1)}`);
}

/** The example in Node, and on pages behind the lines that a page needs besides; script tags have one of their own. */
export async function checkReadme(folder) {
  const readme = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  const [code, onPages, tags] = [block(readme, 'js run'), block(readme, 'js page'), block(readme, 'html page')];
  fs.writeFileSync(path.join(folder, 'readme.mjs'), `${code}${LOOK}console.log(JSON.stringify(globalThis.results));\n`);
  const shown = runText('readme.mjs', process.execPath, ['readme.mjs'], folder).trim();
  judge('Node', lines(code), {results: JSON.parse(shown.split('\n').at(-1)), printed: shown});

  fs.writeFileSync(path.join(folder, 'readme.js'), onPages + code + LOOK);
  const end = tags.lastIndexOf('</script>');
  const head = tags.slice(0, end) + LOOK + tags.slice(end);
  for (const found of await openPages(folder, {module: 'readme.js', head, isolated: false}))
    judge(found.where, lines(found.where === 'script tags' ? tags : onPages + code), found);
}
