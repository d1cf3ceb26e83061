/** The notebook's charts. Each fills `width` CSS pixels. */
import * as Plot from '@observablehq/plot';
import {formatBytes, type TensorRow} from './contents.js';
import type {Quantised} from './quantise.js';
import type {Unpacked} from './record.js';
import type {BackendRun, ShardRun} from './run.js';

type Chart = (SVGSVGElement | HTMLElement) & Plot.Plot;

/** Heat maps are drawn of this many rows and columns at most. */
const MOST = 512;

/** The page's width is 0 until it has been laid out. */
const NARROWEST = 240;

export function bytesByFormat(rows: readonly TensorRow[], width: number): Chart {
  return Plot.plot({
    width: Math.max(width, NARROWEST),
    marginLeft: 70,
    x: {label: 'bytes', grid: true, tickFormat: 's'},
    y: {label: null},
    marks: [Plot.barX(rows, Plot.groupY({x: 'sum'}, {x: 'bytes', y: 'format', sort: {y: '-x'}, tip: true})), Plot.ruleX([0])],
  });
}

/** data [N, K]; the first 512 rows and columns. Signed numbers get a scale around 0, which the largest few go beyond. */
export function heatMap(data: ArrayLike<number>, {outDim, inDim}: Pick<Unpacked, 'outDim' | 'inDim'>, width: number, label: string): Chart {
  const [height, across] = [Math.min(outDim, MOST), Math.min(inDim, MOST)];
  const shown = Float32Array.from({length: height * across}, (_, i) => data[Math.floor(i / across) * inDim + (i % across)] as number);
  const signed = shown.some((value) => value < 0);
  const large = shown.map(Math.abs).sort()[Math.floor(0.99 * shown.length)] as number;
  return Plot.plot({
    width: Math.max(width, NARROWEST),
    height: Math.min(480, Math.max(120, (width * height) / across)) + 50,
    x: {label: 'column (input) →', domain: [0, across]},
    y: {label: '↓ row (output)', domain: [0, height], reverse: true},
    color: {
      legend: true,
      label,
      ...(signed ? {type: 'diverging', scheme: 'rdbu', domain: [-large, large], clamp: true} : {type: 'linear', scheme: 'viridis'}),
    },
    // Row 0 on top: the raster's own first row is the one at y1.
    marks: [Plot.raster(shown, {width: across, height, x1: 0, x2: across, y1: 0, y2: height, imageRendering: 'pixelated'})],
  });
}

export function histogram(values: ArrayLike<number>, width: number, label: string): Chart {
  return Plot.plot({
    width: Math.max(width, NARROWEST),
    height: 220,
    marginLeft: 50,
    x: {label},
    y: {label: 'count', grid: true},
    marks: [
      Plot.rectY(
        Array.from(values, (value) => ({value})),
        Plot.binX({y: 'count'}, {x: {value: 'value', thresholds: 40}}),
      ),
      Plot.ruleY([0]),
    ],
  });
}

export function backendTimes(runs: readonly BackendRun[], width: number): Chart {
  const bars = runs.flatMap(({backend, medianMs, float32Ms}) => [
    {backend, what: 'packed', ms: medianMs},
    {backend, what: 'tf.js float32', ms: float32Ms},
  ]);
  return Plot.plot({
    width: Math.max(width, NARROWEST),
    marginLeft: 90,
    marginRight: 60,
    x: {label: 'ms', grid: true},
    y: {label: null},
    fy: {label: null, domain: runs.map((run) => run.backend)},
    color: {legend: true},
    marks: [Plot.barX(bars, {x: 'ms', y: 'what', fy: 'backend', fill: 'what', tip: true}), Plot.ruleX([0])],
  });
}

/** Who holds which part of W [N, K]. */
export function shardMap({parts}: ShardRun, {outDim, inDim}: Unpacked, width: number): Chart {
  const boxes = parts.map(({rows, columns, device, shard, bytes}) => ({
    x1: columns[0],
    x2: columns[1],
    y1: rows[0],
    y2: rows[1],
    device,
    text: `${shard}: ${device}, ${formatBytes(bytes)}`,
  }));
  const middle = {x: (d: (typeof boxes)[0]) => (d.x1 + d.x2) / 2, y: (d: (typeof boxes)[0]) => (d.y1 + d.y2) / 2};
  return Plot.plot({
    width: Math.max(width, NARROWEST),
    height: 240,
    x: {label: 'columns (inputs) →', domain: [0, inDim]},
    y: {label: '↓ rows (outputs)', domain: [0, outDim], reverse: true},
    color: {scheme: 'observable10'},
    marks: [
      Plot.rect(boxes, {x1: 'x1', x2: 'x2', y1: 'y1', y2: 'y2', fill: 'device', inset: 1}),
      Plot.text(boxes, {...middle, text: 'text', fill: 'white', stroke: '#0008', lineWidth: 12}),
    ],
  });
}

/** Error over bytes, one dot a setting; group sizes of one mode are joined. */
export function bytesAndError(results: readonly Quantised[], width: number): Chart {
  const dots = results.map(({label, report, outputError}) => ({
    setting: label,
    mode: report.mode,
    // Those between lie too close together to be read.
    group: [8, 32, 128].includes(report.groupSize ?? 0) ? String(report.groupSize) : '',
    bytes: report.bytesAfter,
    // A log axis has no 0.
    error: Math.max(outputError, 1e-9),
  }));
  const place = {x: 'bytes', y: 'error'};
  return Plot.plot({
    width: Math.max(width, NARROWEST),
    height: 360,
    marginLeft: 55,
    marginRight: 40,
    x: {label: 'bytes of the model →', type: 'log', grid: true, tickFormat: 's'},
    y: {label: '↑ error of its output', type: 'log', grid: true, nice: true, tickFormat: '.0e'},
    color: {legend: true},
    marks: [
      Plot.line(dots, {...place, stroke: 'mode', strokeOpacity: 0.5}),
      Plot.dot(dots, {...place, fill: 'mode', r: 5, tip: true, channels: {setting: 'setting'}}),
      Plot.text(dots, {...place, text: 'group', dy: -10, fontSize: 10}),
    ],
  });
}
