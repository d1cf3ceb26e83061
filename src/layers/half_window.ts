/** The halves of a stacked layer. */
import {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {ArgumentError} from '../errors.js';
import {Linear} from './linear.js';

/** The gate (0) or up (1) half of a stacked layer, as a layer that shares its words. */
export function windowOf(stacked: Linear, which: 0 | 1, name: string): Linear {
  const rows = stacked.outDim / 2;
  if (!(stacked.weight instanceof QuantizedWeight)) {
    throw new ArgumentError({where: name, expected: 'a packed stacked weight', received: 'a dense one'});
  }
  const {inDim, device, hasBias, inputPrecision, inputQuantization} = stacked;
  const config = {name, inDim, outDim: rows, hasBias, layout: stacked.weight.layout, device, inputPrecision, inputQuantization};
  return new Linear(config, {view: {of: stacked, begin: which * rows}});
}
