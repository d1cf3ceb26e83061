/** How many parameters a layer of ours says it has. */
import type * as tf from '@tensorflow/tfjs';

export type PrintLine = (message?: unknown, ...rest: unknown[]) => void;

/** Prints tf.js's summary with totals that count parameters (tf.js itself adds up the sizes of variables, and packed words are fewer), and the bytes. */
export function withTotals({total, bytes}: {total: number; bytes: number}, print: PrintLine): PrintLine {
  let trainable = 0;
  return (message, ...rest) => {
    const line = String(message);
    const [, label, count] = /^(Total|Trainable|Non-trainable) params: (\d+)$/.exec(line) ?? [];
    if (label === 'Trainable') trainable = Number(count);
    const value = label === 'Total' ? total : label === 'Non-trainable' ? total - trainable : null;
    print(value === null ? message : `${label} params: ${value}`, ...rest);
    if (label === 'Non-trainable') print(`Weight bytes: ${bytes}`);
  };
}

/**
 * A variable of packed words counts as so many parameters in every tf.js model around it: tf.js multiplies up the shapes of variables
 * (`shape.reduce`), and nothing else there reads a shape that way.
 */
export function countsAs(variable: tf.LayerVariable, count: number): void {
  const shape = [...(variable.shape as number[])];
  // Not enumerable: a copy of the shape, as IndexedDB makes one, is a plain array.
  Object.defineProperty(shape, 'reduce', {value: () => count});
  (variable as {shape: tf.Shape}).shape = shape;
}
