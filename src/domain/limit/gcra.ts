/** `requests` per `perMs`, with at most `burst` of them at once. All above zero. */
export type RateLimit = { readonly requests: number; readonly perMs: number; readonly burst: number };

export type LimitVerdict =
  | { readonly kind: 'admitted'; readonly remaining: number; readonly resetMs: number }
  | {
      readonly kind: 'limited';
      readonly remaining: 0;
      readonly resetMs: number;
      readonly retryAfterMs: number;
    };

/** What a key's next request is decided on, and the key's state after it. */
export type LimitStep = { readonly verdict: LimitVerdict; readonly arrivalMs: number };

/** The state of a key that was never seen: its whole burst is free. */
export const NEVER_SEEN = Number.NEGATIVE_INFINITY;

// Sums of fractions such as 1000/3 drift by far less than this; a request is millions of times longer.
const TOLERANCE_MS = 1e-6;

/**
 * Counts one request by the generic cell rate algorithm (ITU-T I.371 §A, virtual scheduling).
 *
 * The state is one number: the theoretical arrival time of the next request if requests came evenly. A refused
 * request does not change it, so that hammering does not prolong the wait.
 *
 * @param arrivalMs the key's state, or `NEVER_SEEN`
 * @param nowMs monotonic time; a step back cannot free or block more than one burst
 */
export function takeOne(limit: RateLimit, arrivalMs: number, nowMs: number): LimitStep {
  const intervalMs = limit.perMs / limit.requests;
  const depthMs = intervalMs * limit.burst;
  // INVARIANT: now <= start <= now + depth. The upper bound holds by itself unless time stepped back or the limit shrank.
  const startMs = Math.min(Math.max(arrivalMs, nowMs), nowMs + depthMs);
  const nextMs = startMs + intervalMs;
  const excessMs = nextMs - nowMs - depthMs;

  if (excessMs > TOLERANCE_MS) {
    return {
      verdict: { kind: 'limited', remaining: 0, resetMs: startMs - nowMs, retryAfterMs: excessMs },
      arrivalMs: startMs,
    };
  }
  const remaining = Math.max(0, Math.floor((TOLERANCE_MS - excessMs) / intervalMs));
  return { verdict: { kind: 'admitted', remaining, resetMs: nextMs - nowMs }, arrivalMs: nextMs };
}

/** Whether the state says no more than `NEVER_SEEN` would. */
export function isFresh(arrivalMs: number, nowMs: number): boolean {
  return arrivalMs <= nowMs;
}
