// The probes that test/grid/bench_machine.ts runs: WebAssembly that reads memory and multiplies integers as fast as one thread can.
const SOURCE = `
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
export function dots(steps: i32, seed: i32): i32 {
  let a = i32x4.splat(0), b = i32x4.splat(0), c = i32x4.splat(0), d = i32x4.splat(0), e = i32x4.splat(0), f = i32x4.splat(0), g = i32x4.splat(0), h = i32x4.splat(0);
  // x changes, so that no product can be kept; eight sums hide the time of a product, and all of it fits the registers of a CPU.
  let x = i16x8.splat(1), y = i16x8.splat(2);
  // No constants: an engine may build those anew in each step.
  const p = i16x8.splat(<i16>seed), q = i16x8.splat(<i16>(seed + 2)), r = i16x8.splat(<i16>(seed + 4)), s = i16x8.splat(<i16>(seed + 8));
  for (let i = 0; i < steps; i++) {
    x = i16x8.add(x, p);
    y = i16x8.add(y, q);
    a = i32x4.add(a, i32x4.dot_i16x8_s(x, p));
    b = i32x4.add(b, i32x4.dot_i16x8_s(x, q));
    c = i32x4.add(c, i32x4.dot_i16x8_s(x, r));
    d = i32x4.add(d, i32x4.dot_i16x8_s(x, s));
    e = i32x4.add(e, i32x4.dot_i16x8_s(y, p));
    f = i32x4.add(f, i32x4.dot_i16x8_s(y, q));
    g = i32x4.add(g, i32x4.dot_i16x8_s(y, r));
    h = i32x4.add(h, i32x4.dot_i16x8_s(y, s));
  }
  a = i32x4.add(i32x4.add(a, b), i32x4.add(c, d));
  return i32x4.extract_lane(i32x4.add(a, i32x4.add(i32x4.add(e, f), i32x4.add(g, h))), 0);
}
`;
// Bytes times codes of 7 bits, which engines with relaxed SIMD have an instruction for.
const BYTES_SOURCE = `
export function byteDots(steps: i32, seed: i32): i32 {
  let a = i32x4.splat(0), b = i32x4.splat(0), c = i32x4.splat(0), d = i32x4.splat(0), e = i32x4.splat(0), f = i32x4.splat(0), g = i32x4.splat(0), h = i32x4.splat(0);
  // x changes, so that no product can be kept; eight sums hide the time of a product, and all of it fits the registers of a CPU.
  let x = i8x16.splat(1), y = i8x16.splat(2);
  // No constants: an engine may build those anew in each step.
  const p = i8x16.splat(<i8>seed), q = i8x16.splat(<i8>(seed + 2)), r = i8x16.splat(<i8>(seed + 4)), s = i8x16.splat(<i8>(seed + 8));
  for (let i = 0; i < steps; i++) {
    x = i8x16.add(x, p);
    y = i8x16.add(y, q);
    a = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, p, a);
    b = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, q, b);
    c = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, r, c);
    d = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, s, d);
    e = i32x4.relaxed_dot_i8x16_i7x16_add_s(y, p, e);
    f = i32x4.relaxed_dot_i8x16_i7x16_add_s(y, q, f);
    g = i32x4.relaxed_dot_i8x16_i7x16_add_s(y, r, g);
    h = i32x4.relaxed_dot_i8x16_i7x16_add_s(y, s, h);
  }
  a = i32x4.add(i32x4.add(a, b), i32x4.add(c, d));
  return i32x4.extract_lane(i32x4.add(a, i32x4.add(i32x4.add(e, f), i32x4.add(g, h))), 0);
}
`;

/** → {plain, bytes}: the modules, base64; `bytes` needs relaxed SIMD */
export async function probeModules() {
  return {plain: await compile(SOURCE, ['simd']), bytes: await compile(BYTES_SOURCE, ['simd', 'relaxed-simd'])};
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
