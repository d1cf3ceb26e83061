/** Examples check themselves: npm run examples fails where one does. */
let checks = 0;

export function check(ok: boolean, what: string): void {
  if (!ok) throw new Error(`check failed: ${what}`);
  checks++;
  console.log(`ok: ${what}`);
}

/** The last line. Ends the process: backends keep workers alive. */
export function done(): never {
  if (checks === 0) throw new Error('nothing was checked');
  process.exit(0);
}

/** |a - b| / |b| over all elements. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    difference += ((a[i] as number) - (b[i] as number)) ** 2;
    size += (b[i] as number) ** 2;
  }
  return Math.sqrt(difference / size);
}

export const kib = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;
