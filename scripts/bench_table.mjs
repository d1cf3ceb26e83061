// What the bench prints: its rows as tables, and how far they are from what the machine can do.

const ms = (value) => (value < 10 ? value.toFixed(2) : value.toFixed(1));

/** A Markdown table. */
export function table(head, lines) {
  const widths = head.map((_, i) => Math.max(3, ...[head, ...lines].map((line) => String(line[i]).length)));
  const show = (line) => `| ${line.map((cell, i) => String(cell).padEnd(widths[i])).join(' | ')} |`;
  return [show(head), `|${widths.map((w) => '-'.repeat(w + 2)).join('|')}|`, ...lines.map(show)].join('\n');
}

/** Where numbers were measured, in a line. */
export function machineText({where, cores, cpu, tfjs, counted: {samples: some, taken}, load, noise, date}) {
  const how =
    taken === 0 ? [] : [`medians of the ${some} of ${taken} samples taken at the machine's full rate`, `noise ${noise.toFixed(2)}`];
  return [`${where}, ${cores} x ${cpu}, tf.js ${tfjs}`, ...how, `load ${load.join(' to ')}`, date].join('; ');
}

/** Samples of ours, baselines and peers: how many count, and how many were taken. */
export function counted(rows) {
  const timings = rows.filter((row) => row.baseline).flatMap((row) => [row, ...row.baselines, ...row.peers]);
  const sum = (key) => timings.reduce((total, timing) => total + timing[key], 0);
  return {samples: sum('samples'), taken: sum('taken')};
}

/** Of a row and its baseline. */
const samples = (r) => [r, r.baseline].map((timing) => `${timing.samples}/${timing.taken}`).join(', ');

/** Of bench_tasks.ts. */
const task = (value) => (value === null ? '' : value === 0 ? '< 50' : value.toFixed(0));

const isLoading = (row) => row.case === 'loading';
const isChat = (row) => row.case.startsWith('chat-');
const isFirstUse = (row) => row.case === 'first-use';
const isProduct = (row) => !isLoading(row) && !isChat(row) && !isFirstUse(row);

/** Columns of each kind of row: what stands over it, and what it shows of a row. */
const column = (name, key = name) => [name, (r) => r[key]];
const WHERE = ['case', 'where', 'backend'].map((name) => column(name));
const SIZES = ['M', 'N', 'K'].map((name) => column(name));
const OURS = ['ours ms', (r) => ms(r.medianMs)];
const BASELINE = [
  ['baseline ms', (r) => ms(r.baseline.medianMs)],
  ['baseline', (r) => r.baseline.name],
  ['ratio', (r) => r.ratio.toFixed(2)],
];
const COUNTED = ['counted', samples];

const PRODUCT = [
  ...WHERE,
  column('format'),
  ...SIZES,
  column('threads'),
  column('kernel', 'variant'),
  OURS,
  ...BASELINE,
  COUNTED,
  ['error', (r) => (r.error === null ? '' : r.error.toExponential(0))],
];
const PEER = [
  ['M', ({row}) => row.M],
  ['threads', ({row}) => row.threads],
  ['beside in the same rounds', ({peer}) => peer.name],
  ['ms', ({peer}) => ms(peer.medianMs)],
  ['ours', ({row}) => `${row.format}: ${ms(row.medianMs)}`],
  ['ours over it', ({row, peer}) => (row.medianMs / peer.medianMs).toFixed(2)],
];
const CHAT = [
  ...WHERE,
  column('model', 'format'),
  column('threads'),
  OURS,
  ['tokens/s', (r) => r.tokensPerSecond.toFixed(1)],
  ['dispatches', (r) => r.dispatches ?? ''],
  ...BASELINE,
  COUNTED,
  ['longest task, first / later ms', (r) => (r.longestTaskMs === null ? '' : `${task(r.firstLongestTaskMs)} / ${task(r.longestTaskMs)}`)],
];
const LOADING = [
  ...WHERE,
  column('model', 'format'),
  ['MB', (r) => (r.bytes / 1e6).toFixed(0)],
  OURS,
  ['MB/s', (r) => r.megabytesPerSecond.toFixed(0)],
  ['read and copy ms', (r) => ms(r.baseline.medianMs)],
  ['rate of plain', (r) => `${((100 * r.baseline.medianMs) / r.medianMs).toFixed(0)} %`],
  COUNTED,
  ['longest task ms', (r) => task(r.longestTaskMs)],
];
const FIRST_USE = [
  ...WHERE,
  column('format'),
  ...SIZES,
  ['before it', (r) => (r.start === 'warmUp' ? 'warmUp()' : 'nothing')],
  ['warmUp() ms', (r) => (r.warmUpMs === null ? '' : ms(r.warmUpMs))],
  ['its task', (r) => (r.warmUpMs === null ? '' : task(r.warmUpLongestTaskMs))],
  ['first ms', (r) => ms(r.firstMs)],
  ['its task', (r) => task(r.longestTaskMs)],
  ['later ms', (r) => ms(r.laterMs)],
];

/** Text of all rows, one table for each kind. */
export function tables(rows) {
  const products = rows.filter(isProduct);
  const kinds = [
    {columns: PRODUCT, of: products},
    {columns: PEER, of: products.flatMap((row) => row.peers.map((peer) => ({row, peer})))},
    {columns: CHAT, of: rows.filter(isChat)},
    {columns: LOADING, of: rows.filter(isLoading)},
    {columns: FIRST_USE, of: rows.filter(isFirstUse), note: '\ntask: the longest task of the main thread, in ms'},
  ];
  const show = ({columns, of, note = ''}) => {
    const lines = of.map((row) => columns.map(([, value]) => value(row)));
    return `${table(
      columns.map(([name]) => name),
      lines,
    )}${note}`;
  };
  return kinds
    .filter(({of}) => of.length > 0)
    .map(show)
    .join('\n\n');
}

const BOUND_BY = {
  one:
    'One row: a byte of the weight is read once, but its codes are widened, multiplied once and scaled, some ten instructions for 16 bytes: they take longer ' +
    'than the bytes take to come. What is missing of the bandwidth is that; what is missing of the multiply rate is all that is not a multiplication.',
  many:
    'Many rows: rows of x share the widened codes, so that multiplications are most of what is left. What is missing goes into turning sums into floats and ' +
    'scaling them, once a group of columns (four times as often for groups of 32 as of 128), and into rounding x to 16 bits.',
};

/**
 * Rows on wasm and one thread beside the machine's ceilings. limits: {memoryGBps, cachedGBps, multiplyGops, byteMultiplyGops}, of one thread in the same WebAssembly.
 * → [{format, M, bandwidthShare, multiplyShare}]
 */
export function shares(rows, limits) {
  if (limits === null) return [];
  return rows
    .filter((r) => r.backend === 'wasm' && r.threads === 1 && isProduct(r) && (r.M === 1 || r.M === 64) && !r.case.startsWith('growth'))
    .map((r) => {
      const seconds = r.medianMs / 1000;
      // What stays in a cache between runs is held against the cache's rate.
      const ceiling = r.weightBytes < 16e6 ? limits.cachedGBps : limits.memoryGBps;
      return {
        format: r.format,
        M: r.M,
        variant: r.variant,
        gigabytesPerSecond: r.weightBytes / seconds / 1e9,
        bandwidthShare: r.weightBytes / seconds / 1e9 / ceiling,
        // An x of 16 bits times a code is two products of bytes in the kernels that have an instruction for these, one of 8 bits is one.
        multiplyShare: /_dots_/.test(r.variant)
          ? ((r.input === 'int8' ? 1 : 2) * r.M * r.N * r.K) / seconds / 1e9 / limits.byteMultiplyGops
          : (r.M * r.N * r.K) / seconds / 1e9 / limits.multiplyGops,
      };
    });
}

export function sharesText(found, limits) {
  if (limits === null || found.length === 0) return '';
  const percent = (value) => `${(100 * value).toFixed(0)} %`;
  const lines = found.map((s) => [
    s.format,
    s.M,
    s.variant,
    s.gigabytesPerSecond.toFixed(1),
    percent(s.bandwidthShare),
    percent(s.multiplyShare),
  ]);
  return [
    `One thread of this machine in WebAssembly: reads ${limits.memoryGBps.toFixed(1)} GB/s from memory and ${limits.cachedGBps.toFixed(1)} GB/s of 8 MB again and again, ` +
      `multiplies and adds ${limits.multiplyGops.toFixed(1)} x 10^9 16-bit integers a second` +
      `${limits.byteMultiplyGops === null ? '' : `, ${limits.byteMultiplyGops.toFixed(1)} x 10^9 bytes (two for a 16-bit x in the kernels named dots)`}.`,
    table(['format', 'M', 'kernel', 'weight GB/s', 'of the bandwidth', 'of the multiply rate'], lines),
    ...(found.some((s) => s.M === 1) ? [BOUND_BY.one] : []),
    ...(found.some((s) => s.M > 1) ? [BOUND_BY.many] : []),
  ].join('\n');
}
