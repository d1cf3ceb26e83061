// node test/notebook/notebook_check.mjs [--shots FOLDER] [--serve]: builds the notebook (or serves it through Vite), drives every cell in Chromium
// with nothing but this machine to reach, and prints what the cells showed as JSON.
import fs from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {launch, ROOT, serve} from '../../scripts/browser.mjs';
import {buildNotebook, serveNotebook} from '../../scripts/notebook.mjs';

const {values: options} = parseArgs({options: {shots: {type: 'string'}, serve: {type: 'boolean'}, model: {type: 'string'}}});

async function start() {
  if (options.serve) {
    const server = await serveNotebook({port: 0, logLevel: 'error'});
    return {url: server.resolvedUrls.local[0], close: () => server.close()};
  }
  const out = path.join(ROOT, `build/notebook/check-${process.pid}`);
  await buildNotebook(out, {logLevel: 'error'});
  const server = await serve({mounts: {'/': out}, pages: {'/': {file: path.join(out, 'index.html')}}});
  const close = async () => {
    await server.close();
    fs.rmSync(out, {recursive: true, force: true});
  };
  return {url: server.url, close};
}

const server = await start();
const browser = await launch();
const problems = [];
const shown = {};
try {
  const page = await browser.newPage({viewport: {width: 1100, height: 900}});
  page.setDefaultTimeout(60_000);
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(`${message.text()} ${message.location().url}`);
  });
  // Nothing from elsewhere, or it is not an offline notebook.
  await page.route('**', (route) => {
    const {origin, protocol} = new URL(route.request().url());
    if (origin === new URL(server.url).origin || protocol === 'data:' || protocol === 'blob:') return route.continue();
    problems.push(`asked for ${route.request().url()}`);
    return route.abort();
  });

  const cell = (id) => page.locator(`#cell-${id}`);
  const text = (id) => cell(id).textContent();
  const has = (id, what) => cell(id).filter({hasText: what}).waitFor();
  const drawn = (id) => cell(id).locator('svg').first().waitFor();
  const rowsOf = (id) =>
    cell(id)
      .locator('tbody tr')
      .evaluateAll((rows) => rows.map((row) => Array.from(row.cells, (c) => c.textContent.trim())));
  /** Does something that makes a cell again, and waits until it has been made. */
  const renewing = async (id, act) => {
    const old = await cell(id).locator('form').first().elementHandle();
    await act();
    await page.waitForFunction((element) => !element.isConnected, old);
    await cell(id).locator('form').first().waitFor();
  };
  /** In pieces of a size to look at. */
  const shot = async (name) => {
    if (!options.shots) return;
    const {width, height} = await page.evaluate(() => ({width: innerWidth, height: document.documentElement.scrollHeight}));
    const piece = Math.round(width * 1.6);
    for (let y = 0, i = 0; y < height; y += piece, i++) {
      const clip = {x: 0, y, width, height: Math.min(piece, height - y)};
      await page.screenshot({path: path.join(options.shots, `${name}-${i}.png`), fullPage: true, clip});
    }
  };

  await page.goto(server.url);
  await has(4, 'webgpu');
  shown.backends = await rowsOf(4);
  await has(8, 'qweight');
  await drawn(8);
  shown.tensors = await rowsOf(8);
  shown.quantization = await text(9);

  // The layer, its codes, and the tool's own unpacked weight.
  await cell(12).locator('.facts').waitFor();
  shown.layer = await rowsOf(12);
  await cell(14).filter({hasText: 'weights'}).locator('svg').first().waitFor();
  await cell(13).getByLabel('codes').check();
  await cell(14).filter({hasText: 'codes'}).locator('svg').first().waitFor();
  await drawn(15);
  await cell(13).locator('select').selectOption('ref.weight');
  await has(16, '|W');
  shown.difference = await text(16);

  // Backends side by side.
  await cell(19).getByRole('button', {name: 'Run'}).click();
  await drawn(20);
  shown.runs = await rowsOf(20);

  // Spread by rows, then by columns.
  await cell(23).getByRole('button', {name: 'Shard'}).click();
  await drawn(24);
  shown.byRows = await text(24);
  await cell(22).getByLabel('columns').check();
  await cell(22).getByLabel('webgpu').check();
  await cell(23).getByRole('button', {name: 'Shard'}).click();
  await has(24, '2: webgpu');
  shown.byColumns = await text(24);

  // A model, quantised, and the same in other modes.
  await has(30, 'int4 / 64');
  shown.int4 = await text(30);
  await cell(34).locator('input').fill('1');
  await has(30, 'int8 / 64');
  shown.int8 = await text(30);
  await cell(32).getByRole('button', {name: 'Try them all'}).click();
  await cell(32).getByRole('button', {name: 'Stop'}).click();
  await has(32, 'stopped');
  await cell(32).getByRole('button', {name: 'Try them all'}).click();
  await drawn(33);
  shown.swept = await cell(33).locator('svg circle').count();
  await shot('desktop');

  // By URL; dropped; stopped; and the latest choice wins over one that is still being read.
  const form = cell(6).locator('form');
  const open = cell(6).getByRole('button', {name: 'Open'});
  const status = () => cell(6).locator('[role=status]').textContent();
  await cell(6).locator('[name=url]').fill(new URL('samples/gptq/model.safetensors', page.url()).href);
  await open.click();
  await has(8, 'qweight');
  shown.byUrl = await rowsOf(8);
  const bytes = [...fs.readFileSync(path.join(ROOT, 'test/fixtures/quant/awq_gemm_g32_bias.safetensors'))];
  const dropped = await page.evaluateHandle((all) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(all)], 'dropped.safetensors'));
    return transfer;
  }, bytes);
  await form.dispatchEvent('dragover', {dataTransfer: dropped});
  await form.dispatchEvent('drop', {dataTransfer: dropped});
  await has(8, 'k_proj.bias');
  shown.dropped = (await rowsOf(8)).map((row) => row[1]);
  // A server that never answers.
  await page.route('**/slow/**', () => undefined);
  // Without files the URL counts again.
  await cell(6).locator('[name=files]').setInputFiles([]);
  await has(8, 'g_idx');
  await cell(6).locator('[name=url]').fill(new URL('slow/model.gguf', page.url()).href);
  await open.click();
  await cell(6).getByRole('button', {name: 'Stop'}).click();
  await cell(6).locator('[role=status]').filter({hasText: 'stopped'}).waitFor();
  shown.stopped = [await status(), (await rowsOf(8)).map((row) => row[1])];
  await open.click();
  await cell(6).locator('select').selectOption('GPTQ, 4 bit, act-order');
  await cell(6).locator('button:disabled').filter({hasText: 'Stop'}).waitFor();
  shown.latest = [await cell(6).getByRole('button', {name: 'Stop'}).isDisabled(), (await rowsOf(8)).map((row) => row[1])];

  // Another checkpoint: the other sample, one from disk, one that is none.
  await renewing(11, () => cell(6).locator('select').selectOption('GGUF, every type'));
  await has(8, 'Q4_K');
  await has(12, '8 × 512');
  await renewing(13, () => cell(11).locator('select').selectOption('fixture.Q4_K'));
  await cell(13).locator('select').selectOption('fixture.F32.weight');
  await has(16, '|W');
  shown.rounding = await text(16);
  await cell(6).locator('[name=files]').setInputFiles(path.join(ROOT, 'test/fixtures/quant/ct_int4_pack_g128_sym.safetensors'));
  await has(8, 'weight_packed');
  await cell(6)
    .locator('[name=files]')
    .setInputFiles({name: 'broken.gguf', mimeType: '', buffer: Buffer.from('no such thing')});
  await cell(6).locator('[role=status].error').waitFor();
  shown.broken = await cell(6).locator('[role=status]').textContent();

  // Talk: refused where there is nothing to talk to.
  await cell(36).getByRole('button', {name: 'Answer'}).click();
  await cell(36).locator('[role=status].error').waitFor();
  if (options.model !== undefined) {
    const files = fs.readdirSync(options.model).filter((name) => /\.(safetensors|json|jinja)$/.test(name));
    await cell(6)
      .locator('[name=files]')
      .setInputFiles(files.map((name) => path.join(options.model, name)));
    await has(8, 'model.embed_tokens.weight');
    await cell(36).locator('[name=tokens]').fill('12');
    await cell(36).getByRole('button', {name: 'Answer'}).click();
    await cell(37).filter({hasText: 'backend wasm'}).waitFor({timeout: 60_000});
    shown.answer = await text(37);
    await shot('answer');
  }

  // A phone.
  await page.setViewportSize({width: 390, height: 844});
  await page.reload();
  await drawn(14);
  await has(30, 'int4 / 64');
  await cell(19).getByRole('button', {name: 'Run'}).click();
  await drawn(20);
  shown.phone = await page.evaluate(() => ({page: document.documentElement.scrollWidth, screen: innerWidth}));
  await shot('phone');
} catch (error) {
  problems.push(String(error));
  if (options.shots)
    for (const context of browser.contexts())
      for (const page of context.pages()) await page.screenshot({path: path.join(options.shots, 'failed.png'), fullPage: true});
} finally {
  await browser.close();
  await server.close();
}
console.log(JSON.stringify({shown, problems}, null, 2));
