/** Module name patterns of quantisation configs: regular expressions as Python writes them, anchored at the start; and shell wildcards. */
import {UnsupportedError} from '../errors.js';

const cache = new Map<string, RegExp>();

/**
 * Whether Python's `re.match(pattern, name)` would match: anchored at the start only.
 * Throws UnsupportedError for a pattern whose syntax JavaScript does not have, rather than matching something else.
 */
export function matchesPattern(pattern: string, name: string, where: string): boolean {
  let regex = cache.get(pattern);
  if (regex === undefined) {
    // In 'u' mode an unknown escape is an error instead of a letter, but it also refuses needless ones such as '\-'.
    const plain = pattern.replace(/\\([-_ #%&,:;<=>@~"'`!])/g, (_, c: string) => (c === '-' ? '[-]' : c));
    try {
      regex = new RegExp(`^(?:${inClass(pattern) ? pattern : plain})`, 'u');
    } catch (error) {
      throw new UnsupportedError({
        where,
        expected: 'a regular expression that JavaScript understands',
        received: `'${pattern}'`,
        why: (error as Error).message,
      });
    }
    cache.set(pattern, regex);
  }
  return regex.test(name);
}

/** Inside a character class '\-' is legal and must stay. */
function inClass(pattern: string): boolean {
  return /\[[^\]]*\\-[^\]]*\]/.test(pattern);
}

/** Python's fnmatch: '*' is any text, dots too, '?' any letter; the whole name must match. */
export function wildcard(pattern: string): RegExp {
  const literal = pattern.replace(/[\\^$.+()[\]{}|]/g, '\\$&');
  return new RegExp(`^${literal.replaceAll('*', '.*').replaceAll('?', '.')}$`);
}
