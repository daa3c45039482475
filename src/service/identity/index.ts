/**
 * Who calls, and how often: users by access token, anonymous callers by an id of their own, limits and lockouts.
 *
 * UNTRUSTED: tokens, cookies, headers, bodies and addresses; and the documents of issuers, which are trusted for what
 * they say about their own keys and for nothing else. All memory that a stranger can make us keep is bounded.
 * RFC 6750, 7517, 8414, 8725, 9068; OpenID Connect Discovery 1.0. The rules themselves are pure: `#domain/jwt`,
 * `#domain/limit`.
 */
export { accountOf } from './account.ts';
export { addressKey } from './address.ts';
export { ANONYMOUS_COOKIE, ANONYMOUS_HEADER, AnonymousIds } from './anonymous-ids.ts';
export type { AnonymousIdentity } from './anonymous-ids.ts';
export type { FetchOptions } from './fetch-text.ts';
export { IdentityError } from './identity-error.ts';
export { Lockouts } from './lockouts.ts';
export type { Lockout } from './lockouts.ts';
export { RateLimiter } from './rate-limiter.ts';
export { TokenVerifier } from './token-verifier.ts';
export type { TokenVerdict, UserIdentity } from './token-verifier.ts';
