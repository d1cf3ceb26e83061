// node test/chat/page_check.mjs MODEL [BACKEND]: asks the chat page a question in Chromium and prints {answer, status} as JSON.
import {servePage} from '../../examples/chat/page/serve.mjs';
import {launch} from '../../scripts/browser.mjs';

const [model, backend = 'wasm'] = process.argv.slice(2);
const server = await servePage({model});
const browser = await launch();
try {
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.error(error));
  await page.goto(server.url);
  await page.selectOption('#backend', backend);
  await page.fill('#tokens', '12');
  await page.click('#run');
  await page.waitForFunction(() => !document.querySelector('#run').disabled && document.querySelector('#status').textContent !== '', null, {
    timeout: 100_000,
  });
  console.log(JSON.stringify({answer: await page.textContent('#answer'), status: await page.textContent('#status')}));
} finally {
  await browser.close();
  await server.close();
}
