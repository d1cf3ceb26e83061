// The bench's rows as one page without further files: plots by Observable Plot, and the tables.
import fs from 'node:fs';
import path from 'node:path';
import * as esbuild from 'esbuild';
import {machineText, sharesText, tables} from './bench_table.mjs';
import {ROOT} from './browser.mjs';

/** Runs in the page. */
const PROGRAM = `
import * as Plot from '@observablehq/plot';

const {rows} = JSON.parse(document.getElementById('data').textContent);
const OURS = 'packed';
const of = (name) => rows.filter((row) => row.case === name);
const threads = (row) => (row.threads === 1 ? '1 thread' : row.threads + ' threads');
/** A row as two points: ours, and the baseline. */
const points = (list, x) => list.flatMap((row) => [
  {x: row[x], ms: row.medianMs, what: OURS + ' ' + row.format + ', ' + threads(row), ours: true, row},
  {x: row[x], ms: row.baseline.medianMs, what: 'tf.js float32, ' + threads(row), ours: false, row},
]);
const COLORS = {legend: true, range: ['#1b6ca8', '#7fb3d5', '#c4572e', '#e8a87c', '#4b7f52', '#a7c4a0']};

function section(title, note, make) {
  const figure = document.createElement('section');
  figure.innerHTML = '<h2></h2><p></p>';
  figure.querySelector('h2').textContent = title;
  figure.querySelector('p').textContent = note;
  figure.append(make());
  document.getElementById('plots').append(figure);
}

const ticksOf = (data) => [...new Set(data.map((d) => d.x))];
const growth = (data, label) => Plot.plot({
  width: 460, height: 300, marginLeft: 52, grid: true,
  x: {type: 'log', base: 2, label, ticks: ticksOf(data), tickFormat: (d) => String(d)},
  y: {type: 'log', label: 'ms', tickFormat: (d) => String(+d.toPrecision(3))},
  color: COLORS,
  marks: [
    Plot.line(data, {x: 'x', y: 'ms', stroke: 'what', sort: 'x'}),
    Plot.dot(data, {x: 'x', y: 'ms', fill: 'what', r: 3, tip: true, title: (d) => d.what + ': ' + d.ms.toFixed(2) + ' ms'}),
  ],
});

for (const [name, x, fixed] of [['growth-n', 'N', 'K'], ['growth-k', 'K', 'N']]) {
  for (const m of [1, 64]) {
    const list = of(name).filter((row) => row.M === m);
    if (list.length > 0) section('Time by ' + x + ', M = ' + m, fixed + ' = ' + list[0][fixed] + '. Both axes are logarithmic: a straight line of slope 1 is time in proportion.', () => growth(points(list, x), x));
  }
}
const byRows = of('growth-m');
if (byRows.length > 0) section('Time by M, the rows of x', 'N = K = ' + byRows[0].N + '.', () => growth(points(byRows, 'M'), 'M'));

const counts = [...new Set(rows.map((row) => row.threads))];
if (counts.length > 1) {
  const list = [...of('growth-m').filter((row) => row.M === 1 || row.M === 64), ...of('chat-decode'), ...of('chat-prefill')];
  const one = (row) => list.find((other) => other.case === row.case && other.M === row.M && other.backend === row.backend && other.threads === 1);
  const data = list.filter(one).map((row) => ({what: row.case.startsWith('chat') ? row.case : 'M = ' + row.M, threads: row.threads, times: one(row).medianMs / row.medianMs}));
  section('Times as fast by threads', 'Against one thread of the same run; the line is as many times as there are threads.', () => Plot.plot({
    width: 460, height: 300, grid: true, x: {label: 'threads', ticks: counts, tickFormat: (d) => String(d), domain: [1, Math.max(...counts)]}, y: {label: 'times', domain: [0, Math.max(...counts, ...data.map((d) => d.times))]}, color: {legend: true},
    marks: [Plot.line([{x: 1, y: 1}, {x: Math.max(...counts), y: Math.max(...counts)}], {x: 'x', y: 'y', stroke: '#bbb'}), Plot.line(data, {x: 'threads', y: 'times', stroke: 'what', sort: 'threads'}), Plot.dot(data, {x: 'threads', y: 'times', fill: 'what', r: 4, tip: true})],
  }));
}

const bars = (list, label) => Plot.plot({
  width: 460, height: 60 + 26 * list.length, marginLeft: 190, x: {label, grid: true}, y: {label: null, domain: list.map((d) => d.name)},
  marks: [
    Plot.barX(list, {x: 'value', y: 'name', fill: '#1b6ca8'}),
    Plot.text(list, {x: 'value', y: 'name', text: (d) => d.value.toFixed(2), dx: 4, textAnchor: 'start'}),
    Plot.ruleX([1], {stroke: '#c4572e', strokeWidth: 1.5}),
  ],
});
for (const m of [1, 8, 64, 512]) {
  for (const backend of new Set(of('linear').map((row) => row.backend))) {
    const list = of('linear').filter((row) => row.M === m && row.backend === backend && row.threads === 1).map((row) => ({name: row.format, value: row.ratio}));
    if (list.length > 0) section('Time over tf.js float32, M = ' + m + ', ' + backend, 'One thread. Left of the line is faster than float32.', () => bars(list, 'ours / float32'));
  }
}
const loading = of('loading').map((row) => ({name: row.format, value: row.baseline.medianMs / row.medianMs}));
if (loading.length > 0) section('Loading: rate over plainly reading and copying', 'At 1 a model would open as fast as its bytes can be read and copied.', () => bars(loading, 'rate / plain rate'));
`;

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1000px; padding: 0 1rem; color: #222; background: #fff }
#plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 1.5rem 2rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin: 0 } section p { margin: .2rem 0 .6rem; color: #555; font-size: .85rem }
pre { overflow-x: auto; font-size: 12px; line-height: 1.4 } figure { margin: 0 }
`;

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** Writes the page. */
export async function benchPage({machine, rows, skipped}, file) {
  const {outputFiles} = await esbuild.build({
    stdin: {contents: PROGRAM, resolveDir: ROOT, loader: 'js'},
    bundle: true,
    write: false,
    minify: true,
    format: 'iife',
    target: 'es2022',
    logLevel: 'warning',
  });
  const script = outputFiles[0].text.replaceAll('</script', '<\\/script');
  const data = JSON.stringify({machine, rows}).replaceAll('<', '\\u003c');
  const text = [tables(rows), ...skipped.map((line) => `not run: ${line}`), sharesText(machine.shares, machine.limits)].join('\n\n');
  const html = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>tfjs-linear: speed</title>
<style>${STYLE}</style><h1>tfjs-linear: speed</h1><p>${escaped(machineText(machine))}</p><div id="plots"></div><h2>All rows</h2><pre>${escaped(text)}</pre>
<script id="data" type="application/json">${data}</script><script>${script}</script></html>
`;
  fs.mkdirSync(path.dirname(file), {recursive: true});
  fs.writeFileSync(file, html);
}
