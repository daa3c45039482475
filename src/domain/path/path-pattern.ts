import { normalisePath, type PathFault } from './normalise-path.ts';

/** A set of paths: `/products/*`, `/cart/**`. Made by `parsePattern` only. */
export type PathPattern = {
  /** In normal form: equal texts are equal patterns. */
  readonly text: string;
  /** Normalised literals, and `*` for exactly one segment that is not empty. `''` only last: a trailing slash. */
  readonly segments: readonly string[];
  /** Whether the text ends in `**`: zero or more further segments. */
  readonly rest: boolean;
};

export type PatternFault =
  | PathFault
  /** `*` beside other characters of a segment, `***`, or an escaped `*` */
  | 'partial-wildcard'
  /** `**` before the last segment */
  | 'rest-not-last'
  /** `/users/:id`, `/users/{id}`: other languages' wildcards, never meant literally */
  | 'foreign-wildcard'
  | 'too-many-segments';

export type ParsedPattern =
  | { readonly kind: 'pattern'; readonly pattern: PathPattern }
  | { readonly kind: 'refused'; readonly reason: PatternFault };

const MAX_SEGMENTS = 64;

/** Reads a pattern: `*` is one whole segment, a last `**` is zero or more segments, everything else is literal. */
export function parsePattern(text: string): ParsedPattern {
  if (!text.startsWith('/')) return refused('not-absolute');
  const written = text.slice(1).split('/');
  if (written.length > MAX_SEGMENTS) return refused('too-many-segments');

  const rest = written.at(-1) === '**';
  if (rest) written.pop();
  const segments: string[] = [];
  for (const segment of written) {
    if (segment === '**') return refused('rest-not-last');
    if (segment.startsWith(':') || /[{}<>]/.test(segment)) return refused('foreign-wildcard');
    segments.push(segment);
  }

  const normalised = normalisePath(
    `/${segments.map(segment => (segment === '*' ? WILDCARD : segment)).join('/')}`,
  );
  if (normalised.kind === 'refused') return normalised;
  if (rest && segments.at(-1) === '') return refused('empty-segment');
  const literals = segments.length === 0 ? [] : normalised.path.slice(1).split('/');
  for (const [index, literal] of literals.entries()) {
    if (segments[index] === '*') literals[index] = '*';
    else if (literal.includes('*')) return refused('partial-wildcard');
  }
  const normalText = `/${[...literals, ...(rest ? ['**'] : [])].join('/')}`;
  return { kind: 'pattern', pattern: { text: normalText, segments: literals, rest } };
}

/** Holds the place of a `*` while the literals beside it are normalised. */
const WILDCARD = 'x';

/** @param path normalised */
export function matchesPattern(pattern: PathPattern, path: string): boolean {
  let start = 1;
  for (const segment of pattern.segments) {
    if (start > path.length) return false;
    const slash = path.indexOf('/', start);
    const end = slash < 0 ? path.length : slash;
    if (segment === '*') {
      if (end === start) return false;
    } else if (segment.length !== end - start || !path.startsWith(segment, start)) {
      return false;
    }
    start = end + 1;
  }
  // A path whose segments are all consumed leaves `start` one behind its end.
  return pattern.rest || start > path.length;
}

function refused(reason: PatternFault): ParsedPattern {
  return { kind: 'refused', reason };
}
