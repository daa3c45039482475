/** A checked SPIFFE ID. Equal ids have equal `text`. */
export type SpiffeId = {
  readonly text: string;
  readonly trustDomain: string;
  /** Empty for the id of a trust domain itself; else begins with a slash. */
  readonly path: string;
};

export type SpiffeFault =
  | 'too-long'
  | 'wrong-scheme'
  | 'no-trust-domain'
  | 'bad-trust-domain'
  | 'empty-segment'
  | 'dot-segment'
  | 'bad-segment'
  | 'trailing-slash';

export type SpiffeVerdict =
  { readonly kind: 'id'; readonly id: SpiffeId } | { readonly kind: 'refused'; readonly fault: SpiffeFault };

const SCHEME = 'spiffe://';
// SPIFFE-ID §2.3: implementations must support 2048 bytes and must not generate more.
const MAX_ID_BYTES = 2048;
const MAX_TRUST_DOMAIN_BYTES = 255;

/**
 * Reads a SPIFFE ID (SPIFFE-ID §2). The one accepted spelling of an id is its canonical one: upper-case schemes and
 * trust domains, ports, queries, fragments and escapes are refused and not normalised.
 */
export function parseSpiffeId(text: string): SpiffeVerdict {
  // Every accepted character is one byte long, so that characters count as bytes.
  if (text.length > MAX_ID_BYTES) return refused('too-long');
  if (!text.startsWith(SCHEME)) return refused('wrong-scheme');
  const slash = text.indexOf('/', SCHEME.length);
  const trustDomain = slash === -1 ? text.slice(SCHEME.length) : text.slice(SCHEME.length, slash);
  if (trustDomain === '') return refused('no-trust-domain');
  if (!isTrustDomain(trustDomain)) return refused('bad-trust-domain');
  const path = slash === -1 ? '' : text.slice(slash);
  const fault = pathFault(path);
  return fault === undefined ? { kind: 'id', id: { text, trustDomain, path } } : refused(fault);
}

/** Whether `text` names a trust domain (SPIFFE-ID §2.1): 1 to 255 of `a-z`, `0-9`, `.`, `-`, `_`. */
export function isTrustDomain(text: string): boolean {
  return text.length <= MAX_TRUST_DOMAIN_BYTES && /^[a-z0-9._-]+$/.test(text);
}

/** Whether `text` may stand between two slashes of a SPIFFE ID (SPIFFE-ID §2.2). */
export function isSegment(text: string): boolean {
  return segmentFault(text) === undefined;
}

function pathFault(path: string): SpiffeFault | undefined {
  if (path === '') return undefined;
  if (path.endsWith('/')) return 'trailing-slash';
  for (const segment of path.slice(1).split('/')) {
    const fault = segmentFault(segment);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function segmentFault(segment: string): SpiffeFault | undefined {
  if (segment === '') return 'empty-segment';
  if (segment === '.' || segment === '..') return 'dot-segment';
  return /^[a-zA-Z0-9._-]+$/.test(segment) ? undefined : 'bad-segment';
}

function refused(fault: SpiffeFault): SpiffeVerdict {
  return { kind: 'refused', fault };
}
