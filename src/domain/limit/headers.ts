import type { LimitVerdict, RateLimit } from './gcra.ts';

/** One limit that a request was counted on. `name` is what the outside calls it: `client`, `user`, `route`. */
export type LimitTaken = { readonly name: string; readonly limit: RateLimit; readonly verdict: LimitVerdict };

export type HeaderLine = readonly [name: string, value: string];

/**
 * The header fields that tell a client where it stands: `RateLimit-Policy` and `RateLimit`
 * (draft-ietf-httpapi-ratelimit-headers-11, structured field lists, RFC 9651) and, when one of the limits refused,
 * `Retry-After` in seconds (RFC 9110 §10.2.3).
 *
 * A policy's window is the time in which an empty burst refills, in whole seconds; its quota is what one such window
 * admits. Partition keys are left out: they would name the client or its address.
 */
export function rateLimitHeaders(taken: readonly LimitTaken[]): readonly HeaderLine[] {
  if (taken.length === 0) return [];
  const labels = limitLabels(taken);
  const lines: HeaderLine[] = [
    ['ratelimit-policy', rateLimitPolicy(labels, taken)],
    ['ratelimit', rateLimitStanding(labels, taken)],
  ];
  const retryAfterMs = Math.max(
    -1,
    ...taken.map(({ verdict }) => (verdict.kind === 'limited' ? verdict.retryAfterMs : -1)),
  );
  if (retryAfterMs >= 0) lines.push(['retry-after', retryAfterSeconds(retryAfterMs)]);
  return lines;
}

/** The value of `RateLimit-Policy`. @param labels of the limits, by `limitLabels` */
export function rateLimitPolicy(
  labels: readonly string[],
  limits: readonly Pick<LimitTaken, 'limit'>[],
): string {
  return limits.map(({ limit }, index) => `${labels[index]};${policyParameters(limit)}`).join(', ');
}

/** The value of `RateLimit`. @param labels of the limits, by `limitLabels` */
export function rateLimitStanding(
  labels: readonly string[],
  taken: readonly Pick<LimitTaken, 'verdict'>[],
): string {
  let text = '';
  for (let index = 0; index < taken.length; index++) {
    text += `${index === 0 ? '' : ', '}${labels[index]};${standing(taken[index]!.verdict)}`;
  }
  return text;
}

/** `Retry-After` in whole seconds, never early and never 0: a client that obeys it is admitted. */
export function retryAfterSeconds(retryAfterMs: number): string {
  return String(Math.max(1, wholeSeconds(retryAfterMs)));
}

function policyParameters(limit: RateLimit): string {
  const intervalMs = limit.perMs / limit.requests;
  const windowSeconds = Math.max(1, wholeSeconds(intervalMs * limit.burst));
  // The small addition repairs fractions: 60 s at 60 per minute are 60 requests and not 59.
  const quota = Math.max(1, Math.floor((windowSeconds * 1000) / intervalMs + 1e-9));
  return `q=${quota};w=${windowSeconds}`;
}

/** `t` is the time within which no more than `r` can be used; after a refusal it agrees with `Retry-After`. */
function standing(verdict: LimitVerdict): string {
  return verdict.kind === 'limited'
    ? `r=0;t=${retryAfterSeconds(verdict.retryAfterMs)}`
    : `r=${verdict.remaining};t=${wholeSeconds(verdict.resetMs)}`;
}

function wholeSeconds(ms: number): number {
  return Math.max(0, Math.ceil(ms / 1000 - 1e-9));
}

/** The names of limits as structured field strings; two limits per client become `"client"` and `"client-2"`. */
export function limitLabels(limits: readonly Pick<LimitTaken, 'name'>[]): readonly string[] {
  return limits.map(({ name }, index) => {
    const before = limits.slice(0, index).filter(other => other.name === name).length;
    return `"${before === 0 ? name : `${name}-${before + 1}`}"`;
  });
}
