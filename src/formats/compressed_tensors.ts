/** What the formats of compressed-tensors share: which scheme a module follows, and parts they raise alike. */
import {type CompressedArgs, type CompressedScheme, compressedScheme} from '../config/compressed_groups.js';
import {methodOf} from '../config/quantization.js';
import {UnsupportedError} from '../errors.js';
import type {FileTensor, Lowered, ModuleHeader} from './format.js';
import type {ScaleUse} from './scale_grid.js';

/** Not of another method, as far as the config says. */
export function mayBeCompressed({container, quantization}: ModuleHeader): boolean {
  const method = methodOf(quantization);
  return container === 'safetensors' && (method === null || method === 'compressed-tensors');
}

/**
 * The module's scheme, null without a config. Throws UnsupportedError where the config excludes the module, or names another
 * format, type or width than the tensors are.
 */
export function compressedSchemeOf(
  module: ModuleHeader,
  formats: readonly string[],
  type: CompressedArgs['type'],
  bits: readonly number[],
): CompressedScheme | null {
  if (module.quantization === null) return null;
  const scheme = compressedScheme(module.quantization, module.module);
  if ('excludedBy' in scheme) {
    throw new UnsupportedError({
      where: module.module,
      expected: `a plain weight: the config leaves this module unquantised (${scheme.excludedBy})`,
      received: `tensors of ${formats[0]}`,
    });
  }
  const {weights} = scheme;
  if (formats.includes(scheme.format) && weights.type === type && bits.includes(weights.bits)) return scheme;
  throw new UnsupportedError({
    where: module.module,
    expected: `format ${formats.join(' or ')} with ${type} weights of ${bits.join(', ')} bits, as the tensors are`,
    received: `format '${scheme.format}' with ${weights.type} weights of ${weights.bits} bits (target ${scheme.matched.join(', also ')})`,
    why: 'The config and the tensors contradict each other.',
  });
}

/** Which scale shape the scheme asks for. */
export function scaleUseOf(scheme: CompressedScheme | null, inDim: number): ScaleUse {
  if (scheme === null) return null;
  const {strategy, groupSize, block} = scheme.weights;
  if (strategy === 'block' && block !== undefined) return {kind: 'block', block};
  if ((strategy === 'group' || strategy === 'tensor_group') && groupSize !== undefined) return {kind: 'group', groupSize};
  if (strategy === 'group') return {kind: 'group', groupSize: inDim};
  return strategy === 'tensor' ? {kind: 'tensor'} : {kind: 'channel'};
}

/** More than one target of the config fits the module: the first was used. */
export function tieOf(scheme: CompressedScheme | null): {alsoMatched?: readonly string[]} {
  return scheme !== null && scheme.matched.length > 1 ? {alsoMatched: scheme.matched.slice(1)} : {};
}

export function withBias(tensors: Map<string, FileTensor>, {bias}: Lowered): Map<string, FileTensor> {
  if (bias !== null) tensors.set('bias', bias);
  return tensors;
}
