import type { PathPattern } from './path-pattern.ts';

/** Whether every path that `inner` matches is matched by `outer`. Exact. */
export function coversPattern(outer: PathPattern, inner: PathPattern): boolean {
  const depth = outer.segments.length;
  if (outer.rest ? inner.segments.length < depth : inner.rest || inner.segments.length !== depth)
    return false;
  return outer.segments.every((segment, index) => {
    const other = inner.segments[index];
    return segment === other || (segment === '*' && other !== '');
  });
}

/** Whether some path is matched by both. Exact. */
export function overlapsPattern(a: PathPattern, b: PathPattern): boolean {
  const [short, long] = a.segments.length <= b.segments.length ? [a, b] : [b, a];
  if (short.segments.length < long.segments.length && !short.rest) return false;
  return short.segments.every((segment, index) => {
    const other = long.segments[index];
    return segment === other || (segment === '*' && other !== '') || (other === '*' && segment !== '');
  });
}

/**
 * Orders patterns, the most specific first: left to right, a literal before `*` before `**`.
 *
 * A total order on texts; a pattern comes before every other that covers it. `PathTable` answers in this order.
 */
export function compareSpecificity(a: PathPattern, b: PathPattern): number {
  const depth = Math.max(a.segments.length, b.segments.length) + 1;
  for (let index = 0; index < depth; index++) {
    const difference = rank(a, index) - rank(b, index);
    if (difference !== 0) return difference;
    const left = a.segments[index] ?? '';
    const right = b.segments[index] ?? '';
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}

function rank(pattern: PathPattern, index: number): number {
  const segment = pattern.segments[index];
  if (segment === undefined) return index === pattern.segments.length && pattern.rest ? 3 : 0;
  return segment === '*' ? 2 : 1;
}
