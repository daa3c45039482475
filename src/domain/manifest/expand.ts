import { UNKNOWN } from './setting.ts';

/** What a variable holds; `undefined`: nothing tells it. */
export type Lookup = (name: string) => string | undefined;

/** A variable may hold variables; neither their nesting nor what they add grows beyond this. */
const MAX_DEPTH = 5;
const MAX_LENGTH = 256 * 1024;

// `$(VAR)` of Kubernetes, `${VAR}`, `${VAR:-default}` and `${VAR-default}` of shells and Compose,
// `${VAR:default}` of Spring, `$VAR` of shells.
const KUBERNETES = /\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)/g;
const ALL =
  /\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)|\$\{([A-Za-z_][A-Za-z0-9_.-]*)(?:(:?[-?+:])([^${}]*))?\}|\$([A-Za-z_][A-Za-z0-9_]*)/g;

/**
 * Replaces variables in `text`.
 * @param syntax `kubernetes`: `$(VAR)` only, as in env values; `all`: also those of shells, Compose and Spring
 */
export function expand(text: string, lookup: Lookup, syntax: 'kubernetes' | 'all'): string {
  return text.includes('$') ? replaceIn(text, lookup, syntax, { left: MAX_LENGTH }, 0) : text;
}

/** @param budget shared by all levels: variables that double each other end when it is spent */
function replaceIn(
  text: string,
  lookup: Lookup,
  syntax: 'kubernetes' | 'all',
  budget: { left: number },
  depth: number,
): string {
  return text.replace(syntax === 'kubernetes' ? KUBERNETES : ALL, (whole: string, ...groups: unknown[]) => {
    if (whole === '$$') return '$';
    // After the groups, `replace` hands over the offset and the text.
    const [kubernetes, braced, operator, fallback, bare] = groups.slice(0, -2) as (string | undefined)[];
    const value = lookup(kubernetes ?? braced ?? bare ?? '');
    if (value !== undefined && value !== '') {
      budget.left -= value.length;
      if (depth >= MAX_DEPTH || budget.left < 0) return UNKNOWN;
      return value.includes('$') ? replaceIn(value, lookup, syntax, budget, depth + 1) : value;
    }
    if (operator !== undefined && operator !== '?' && operator !== ':?') return fallback ?? '';
    return UNKNOWN;
  });
}
