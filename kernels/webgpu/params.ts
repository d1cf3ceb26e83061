/** A kernel's numbers in one uniform block: the shader's struct and the bytes, from the same list. */

/** Names and values of 32-bit unsigned integers, in order of first use. */
export class Params {
  private readonly names: string[] = [];
  private readonly values: number[] = [];
  private table: readonly number[] | null = null;

  /** Adds an integer and returns the WGSL expression for it. */
  add(name: string, value: number): string {
    if (!this.names.includes(name)) {
      this.names.push(name);
      this.values.push(value);
    }
    return `params.${name}`;
  }

  /** Adds 16 floats and returns the WGSL name of an array<vec4<f32>, 4>. */
  addTable(table: readonly number[]): string {
    this.table = table;
    return 'params.table';
  }

  /** The struct and its binding. */
  wgsl(binding: number): string {
    const fields = [...(this.table === null ? [] : ['table: array<vec4<f32>, 4>']), ...this.names.map((name) => `${name}: u32`)];
    return `struct Params { ${fields.join(', ')} }\n@group(0) @binding(${binding}) var<uniform> params: Params;\n`;
  }

  /** The block's bytes; `changes` replaces values by name. */
  bytes(changes: Readonly<Record<string, number>> = {}): ArrayBuffer {
    const start = this.table === null ? 0 : 16;
    const buffer = new ArrayBuffer(Math.ceil((start + this.names.length) / 4) * 16);
    if (this.table !== null) new Float32Array(buffer).set(this.table);
    const words = new Uint32Array(buffer);
    this.names.forEach((name, i) => {
      words[start + i] = changes[name] ?? (this.values[i] as number);
    });
    return buffer;
  }
}
