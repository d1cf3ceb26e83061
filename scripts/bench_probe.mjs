// The probe that test/grid/bench_machine.ts runs: WebAssembly that reads memory and multiplies 16-bit integers as fast as one thread can.
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
export function dots(steps: i32): i32 {
  let a = i32x4.splat(0), b = i32x4.splat(0), c = i32x4.splat(0), d = i32x4.splat(0), e = i32x4.splat(0), f = i32x4.splat(0);
  // x changes, so that no product can be kept; sums depend on sums alone, so that no product waits for another.
  let x = i16x8.splat(1);
  for (let i = 0; i < steps; i++) {
    x = i16x8.add(x, i16x8.splat(1));
    a = i32x4.add(a, i32x4.dot_i16x8_s(x, i16x8.splat(3)));
    b = i32x4.add(b, i32x4.dot_i16x8_s(x, i16x8.splat(5)));
    c = i32x4.add(c, i32x4.dot_i16x8_s(x, i16x8.splat(7)));
    d = i32x4.add(d, i32x4.dot_i16x8_s(x, i16x8.splat(11)));
    e = i32x4.add(e, i32x4.dot_i16x8_s(x, i16x8.splat(13)));
    f = i32x4.add(f, i32x4.dot_i16x8_s(x, i16x8.splat(17)));
  }
  return i32x4.extract_lane(i32x4.add(i32x4.add(i32x4.add(a, b), i32x4.add(c, d)), i32x4.add(e, f)), 0);
}
`;

/** → the module, base64 */
export async function probeModule() {
  const {default: asc} = await import('assemblyscript/asc');
  let bytes;
  const {error, stderr} = await asc.main(
    ['probe.ts', '--outFile', 'probe.wasm', '--runtime', 'stub', '-O3', '--noAssert', '--enable', 'simd'],
    {
      readFile: (file) => (file === 'probe.ts' ? SOURCE : null),
      writeFile: (_file, contents) => {
        bytes = contents;
      },
      listFiles: () => null,
    },
  );
  if (error) throw new Error(`probe: ${error.message} ${stderr.toString()}`);
  return Buffer.from(bytes).toString('base64');
}
