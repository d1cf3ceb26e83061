/** summary() of a layer of ours. */

export type PrintLine = (message?: unknown, ...rest: unknown[]) => void;

/** Prints tf.js's summary with totals that count parameters: tf.js itself adds up the sizes of variables, and packed words are fewer. */
export function withTotals(total: number, print: PrintLine): PrintLine {
  let trainable = 0;
  return (message, ...rest) => {
    const line = String(message);
    const [, label, count] = /^(Total|Trainable|Non-trainable) params: (\d+)$/.exec(line) ?? [];
    if (label === 'Trainable') trainable = Number(count);
    const value = label === 'Total' ? total : label === 'Non-trainable' ? total - trainable : null;
    print(value === null ? message : `${label} params: ${value}`, ...rest);
  };
}
