// The probes that test/grid/bench_machine.ts runs: WebAssembly that reads memory and multiplies integers as fast as one thread can.
const SUM = `
export function sum(from: usize, bytes: usize): i32 {
  let a = i64x2.splat(0), b = i64x2.splat(0), c = i64x2.splat(0), d = i64x2.splat(0);
  for (let at = from, end = from + bytes; at < end; at += 128) {
    a = v128.xor(a, v128.xor(v128.load(at), v128.load(at, 64)));
    b = v128.xor(b, v128.xor(v128.load(at, 16), v128.load(at, 80)));
    c = v128.xor(c, v128.xor(v128.load(at, 32), v128.load(at, 96)));
    d = v128.xor(d, v128.xor(v128.load(at, 48), v128.load(at, 112)));
  }
  return i32x4.extract_lane(v128.xor(v128.xor(a, b), v128.xor(c, d)), 0);
}
`;

/**
 * Products of vectors in registers, of `lanes` ('i16x8') of type `number`, one a step for each of `pairs` of x, y, p and q. `dot`: a product added to a
 * sum, of WebAssembly's operations. x and y change, so that no product can be kept; as many sums hide the time of a product. There are no constants:
 * an engine may build those anew in each step.
 */
function dots(lanes, number, pairs, dot) {
  const sums = pairs.map((_, i) => `s${i}`);
  return `
export function dots(steps: i32, seed: i32): i32 {
  let x = ${lanes}.splat(1), y = ${lanes}.splat(2), ${sums.map((sum) => `${sum} = i32x4.splat(0)`).join(', ')};
  const p = ${lanes}.splat(<${number}>seed), q = ${lanes}.splat(<${number}>(seed + 2));
  for (let i = 0; i < steps; i++) {
    x = ${lanes}.add(x, p);
    y = ${lanes}.add(y, q);
    ${pairs.map(([a, b], i) => `${sums[i]} = ${dot(sums[i], a, b)};`).join('\n    ')}
  }
  return i32x4.extract_lane(${sums.reduce((all, sum) => `i32x4.add(${all}, ${sum})`)}, 0);
}
`;
}
const WORD_DOTS = dots(
  'i16x8',
  'i16',
  ['xp', 'xq', 'yp', 'yq', 'xy', 'xx', 'yy', 'qx'],
  (sum, x, w) => `i32x4.add(${sum}, i32x4.dot_i16x8_s(${x}, ${w}))`,
);
// Bytes times codes of 7 bits, which engines with relaxed SIMD have an instruction for; it adds too, so that each sum waits for all of it: ten, as
// two products may start in each of the five cycles that one takes, and more do not fit the registers.
const BYTE_PAIRS = ['xp', 'px', 'xq', 'qx', 'yp', 'py', 'yq', 'qy', 'xy', 'yx'];
const BYTE_DOTS = dots('i8x16', 'i8', BYTE_PAIRS, (sum, x, w) => `i32x4.relaxed_dot_i8x16_i7x16_add_s(${x}, ${w}, ${sum})`);

/** → {plain, bytes}: the modules, base64; `bytes` needs relaxed SIMD */
export async function probeModules() {
  return {plain: await compile(SUM + WORD_DOTS, ['simd']), bytes: await compile(BYTE_DOTS, ['simd', 'relaxed-simd'])};
}

async function compile(source, features) {
  const {default: asc} = await import('assemblyscript/asc');
  let bytes;
  const {error, stderr} = await asc.main(
    ['probe.ts', '--outFile', 'probe.wasm', '--runtime', 'stub', '-O3', '--noAssert', ...features.flatMap((f) => ['--enable', f])],
    {
      readFile: (file) => (file === 'probe.ts' ? source : null),
      writeFile: (_file, contents) => {
        bytes = contents;
      },
      listFiles: () => null,
    },
  );
  if (error) throw new Error(`probe: ${error.message} ${stderr.toString()}`);
  return Buffer.from(bytes).toString('base64');
}
