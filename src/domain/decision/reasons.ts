import type { Ring } from '#domain/rings';

export type ReasonFacts = {
  /** The ring that refused; `none` where the fault is not the caller's. */
  readonly ring: Ring | 'none';
  /** What the outside sees (RFC 9110 §15). */
  readonly status:
    400 | 401 | 403 | 404 | 405 | 408 | 413 | 414 | 417 | 421 | 429 | 431 | 500 | 501 | 502 | 503 | 504 | 505;
  /** The `title` of the problem document (RFC 9457 §3.1.3): says no more than the status does. */
  readonly title: string;
};

export const REASONS = {
  // edge
  'unknown-host': { ring: 'edge', status: 421, title: 'Misdirected request' },
  'no-route': { ring: 'edge', status: 404, title: 'Not found' },
  'method-not-allowed': { ring: 'edge', status: 405, title: 'Method not allowed' },
  // transport
  'plaintext-refused': { ring: 'transport', status: 400, title: 'Bad request' },
  'peer-unverified': { ring: 'transport', status: 403, title: 'Forbidden' },
  // authentication
  'credentials-missing': { ring: 'authentication', status: 401, title: 'Authentication required' },
  'token-malformed': { ring: 'authentication', status: 401, title: 'Authentication required' },
  'token-invalid': { ring: 'authentication', status: 401, title: 'Authentication required' },
  'token-expired': { ring: 'authentication', status: 401, title: 'Authentication required' },
  'issuer-unavailable': { ring: 'authentication', status: 401, title: 'Authentication required' },
  // rate
  'rate-limited': { ring: 'rate', status: 429, title: 'Too many requests' },
  'locked-out': { ring: 'rate', status: 429, title: 'Too many requests' },
  'request-too-large': { ring: 'rate', status: 413, title: 'Content too large' },
  'response-too-large': { ring: 'rate', status: 502, title: 'Bad gateway' },
  // vetting
  'malformed-request': { ring: 'vetting', status: 400, title: 'Bad request' },
  'ambiguous-framing': { ring: 'vetting', status: 400, title: 'Bad request' },
  'ambiguous-path': { ring: 'vetting', status: 400, title: 'Bad request' },
  'target-too-long': { ring: 'vetting', status: 414, title: 'URI too long' },
  'headers-too-large': { ring: 'vetting', status: 431, title: 'Request header fields too large' },
  'unsupported-coding': { ring: 'vetting', status: 501, title: 'Not implemented' },
  'unsupported-version': { ring: 'vetting', status: 505, title: 'HTTP version not supported' },
  'unsupported-expectation': { ring: 'vetting', status: 417, title: 'Expectation failed' },
  'request-timeout': { ring: 'vetting', status: 408, title: 'Request timeout' },
  // authorization
  'no-such-call': { ring: 'authorization', status: 403, title: 'Forbidden' },
  'scope-missing': { ring: 'authorization', status: 403, title: 'Forbidden' },
  'client-kind-refused': { ring: 'authorization', status: 403, title: 'Forbidden' },
  'caller-revoked': { ring: 'authorization', status: 403, title: 'Forbidden' },
  'callee-revoked': { ring: 'authorization', status: 503, title: 'Service unavailable' },
  // audit
  'ledger-unavailable': { ring: 'audit', status: 503, title: 'Service unavailable' },
  // not the caller's fault
  'upstream-unreachable': { ring: 'none', status: 502, title: 'Bad gateway' },
  'upstream-unverified': { ring: 'none', status: 502, title: 'Bad gateway' },
  'upstream-malformed': { ring: 'none', status: 502, title: 'Bad gateway' },
  'upstream-timeout': { ring: 'none', status: 504, title: 'Gateway timeout' },
  overloaded: { ring: 'none', status: 503, title: 'Service unavailable' },
  draining: { ring: 'none', status: 503, title: 'Service unavailable' },
  'internal-error': { ring: 'none', status: 500, title: 'Internal server error' },
} as const satisfies Readonly<Record<string, ReasonFacts>>;

/** Why a request was refused or failed. Stable: ledgers, metrics and scripts hold these words. */
export type Reason = keyof typeof REASONS;

export function isReason(text: string): text is Reason {
  return Object.hasOwn(REASONS, text);
}

/** A problem document, `application/problem+json` (RFC 9457). `requestId` and `reason` are extension members. */
export type Problem = {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly reason: Reason;
  readonly requestId: string;
};

/** What the outside is told of a refusal: which rule it was stays in the ledger. */
export function problemFor(reason: Reason, requestId: string): Problem {
  const { title, status } = REASONS[reason];
  return { type: 'about:blank', title, status, reason, requestId };
}
