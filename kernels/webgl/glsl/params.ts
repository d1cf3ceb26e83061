/** Uniforms of one shader: what a layout fixes, and what each call sets. */

export class Params {
  /** Integer uniforms with the values that a layout gives them. */
  readonly ints = new Map<string, number>();
  /** Sixteen numbers, where codes index a table. */
  table: readonly number[] | null = null;
  private readonly perCall = new Set<string>();

  /** A uniform of this value, by the name to use in the text. */
  add(name: string, value: number): string {
    this.ints.set(name, value);
    return name;
  }

  /** Uniforms that each call gives a value. */
  needs(...names: string[]): void {
    for (const name of names) this.perCall.add(name);
  }

  declarations(): string {
    const names = [...new Set([...this.ints.keys(), ...this.perCall])];
    const ints = names.length > 0 ? `uniform int ${names.join(', ')};\n` : '';
    return this.table === null ? ints : `${ints}uniform vec4 decode_table[4];\n`;
  }
}
