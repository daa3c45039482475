/**
 * Rates and lockouts as pure state transitions: a key's state and a time go in, a verdict and the next state come out.
 *
 * Rates are GCRA (one number a key, no window edges to exploit); lockouts count failures in a sliding window. Who keeps
 * the states, how many, and which it forgets is `#service/identity`'s business. Times are monotonic milliseconds.
 * Headers follow draft-ietf-httpapi-ratelimit-headers-11 and RFC 9110 §10.2.3.
 */
export { isFresh, NEVER_SEEN, takeOne } from './gcra.ts';
export type { LimitStep, LimitVerdict, RateLimit } from './gcra.ts';
export {
  limitLabels,
  rateLimitHeaders,
  rateLimitPolicy,
  rateLimitStanding,
  retryAfterSeconds,
} from './headers.ts';
export type { HeaderLine, LimitTaken } from './headers.ts';
export {
  abandonAttempt,
  beginAttempt,
  failAttempt,
  isUnlocked,
  succeedAttempt,
  UNLOCKED,
} from './lockout.ts';
export type { LockoutRule, LockoutState, LockoutVerdict } from './lockout.ts';
