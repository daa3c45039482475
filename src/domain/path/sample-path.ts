import { matchesPattern, type PathPattern } from './path-pattern.ts';

/**
 * A concrete, normalised path that `pattern` matches. A `**` becomes one segment.
 *
 * @param seed different seeds give different paths where the pattern leaves room
 */
export function examplePath(pattern: PathPattern, seed = 1): string {
  const word = `example-${Math.abs(Math.trunc(seed))}`;
  const segments = pattern.segments.map(segment => (segment === '*' ? word : segment));
  if (pattern.rest) segments.push(word);
  return `/${segments.join('/')}`;
}

/** A normalised path that none of `patterns` matches; `undefined` when together they match every path. Exact. */
export function pathOutside(patterns: readonly PathPattern[]): string | undefined {
  // Putting an unused word for each segment of an outside path leaves it outside, and beyond the longest pattern
  // depth changes nothing: so these few shapes decide.
  const word = unusedWord(patterns);
  const deepest = patterns.reduce((depth, pattern) => Math.max(depth, pattern.segments.length), 0);
  for (let depth = 1; depth <= deepest + 1; depth++) {
    const path = `/${word}`.repeat(depth);
    if (!patterns.some(pattern => matchesPattern(pattern, path))) return path;
    if (!patterns.some(pattern => matchesPattern(pattern, `${path}/`))) return `${path}/`;
  }
  return patterns.some(pattern => matchesPattern(pattern, '/')) ? undefined : '/';
}

function unusedWord(patterns: readonly PathPattern[]): string {
  const used = new Set(patterns.flatMap(pattern => pattern.segments));
  let word = 'undeclared';
  for (let nth = 2; used.has(word); nth++) word = `undeclared-${nth}`;
  return word;
}
