// node test/chat/page_check.mjs MODEL [RUNS]: asks the chat page in Chromium, once a run, and prints what it shows as a JSON list.
//   RUNS  JSON list of {backend, prompt, tokens, width, model, file, noGpu, dark, screenshot}, each optional: what to choose and type, and
//         where to put a picture. noGpu: the page's browser has no WebGPU. Without RUNS one run with the page's own choices on wasm
import {servePage} from '../../examples/chat/page/serve.mjs';
import {launch} from '../../scripts/browser.mjs';

const [model, text = '[{}]'] = process.argv.slice(2);

/** What the page shows when it is done. */
async function ask(browser, url, {backend = 'wasm', prompt, tokens = 12, width = 1000, model: typed, file, noGpu, dark, screenshot}) {
  const page = await browser.newPage({viewport: {width, height: 900}, colorScheme: dark ? 'dark' : 'light'});
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  if (noGpu) await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'gpu', {value: undefined}));
  await page.goto(url);
  await page.selectOption('#backend', backend);
  await page.fill('#tokens', String(tokens));
  if (prompt !== undefined) await page.fill('#prompt', prompt);
  if (typed !== undefined) await page.fill('#model', typed);
  if (file !== undefined) await page.setInputFiles('#files', file);
  await page.click('#run');
  await page.waitForFunction(() => !document.querySelector('#run').disabled && document.querySelector('#status').textContent !== '', null, {
    timeout: 240_000,
  });
  if (screenshot !== undefined) await page.screenshot({path: screenshot, fullPage: true});
  const shown = await page.evaluate(() => ({
    answer: document.querySelector('#answer').textContent,
    status: document.querySelector('#status').textContent,
    isError: document.querySelector('#status').classList.contains('error'),
    sideways: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  }));
  await page.close();
  return {...shown, faults};
}

const server = await servePage({model});
const browser = await launch();
try {
  const shown = [];
  for (const run of JSON.parse(text)) shown.push(await ask(browser, server.url, run));
  console.log(JSON.stringify(shown));
} finally {
  await browser.close();
  await server.close();
}
