/** What MLP.loadStateDict takes: the state of its projections under their names, all or none. */
import type * as tf from '@tensorflow/tfjs';
import type {Linear} from './linear.js';
import type {MLP} from './mlp.js';
import {checkKeys, type PreparedState, type StateDict} from './state.js';

/** Throws as Linear.loadStateDict; every projection is then as it was. */
export function loadMLPState(mlp: MLP, dict: StateDict, strict: boolean): void {
  const prefix = mlp.keyPrefix;
  const names = ([child, l]: [string, Linear]): string[] => {
    // Packed words carry their scales; numbers or codes [N, K] come with them.
    const apart = l.float8Config !== null && dict[`${prefix}${child}.weight`]?.rank === 2;
    const all = {weight: true, weight_scale: apart, input_scale: l.inputScale !== null, bias: l.hasBias};
    return Object.entries(all).flatMap(([name, needed]) => (needed ? [name] : []));
  };
  const keys = mlp.projections().flatMap((entry) => names(entry).map((name) => `${entry[0]}.${name}`));
  checkKeys(
    dict,
    keys.map((k) => prefix + k),
    strict,
    mlp.name,
  );
  // All three are ready before one is written: a failure must leave every projection as it was.
  const ready: PreparedState[] = [];
  try {
    for (const [child, l] of mlp.projections()) {
      const own = Object.fromEntries(
        names([child, l]).map((name) => [`${l.keyPrefix}${name}`, dict[`${prefix}${child}.${name}`] as tf.Tensor]),
      );
      ready.push(l.prepareState(own, true));
    }
  } catch (error) {
    for (const state of ready) state.dispose();
    throw error;
  }
  for (const state of ready) state.commit();
}
