/** After `failures` failures within `windowMs`, everything is refused until `windowMs` have passed since the last one. */
export type LockoutRule = { readonly failures: number; readonly windowMs: number };

export type LockoutVerdict =
  { readonly kind: 'open' } | { readonly kind: 'locked'; readonly retryAfterMs: number };

/**
 * What is known of one key.
 *
 * Attempts under way count as failures until they are settled: else a thousand guesses sent at once would all pass
 * before the first one failed.
 */
export type LockoutState = {
  /** Ascending; at most `failures` of them. */
  readonly failedAtMs: readonly number[];
  /** Starts of the attempts whose outcome is not known yet; ascending, at most `failures`. */
  readonly pendingSinceMs: readonly number[];
  readonly lockedUntilMs: number;
};

export const UNLOCKED: LockoutState = {
  failedAtMs: [],
  pendingSinceMs: [],
  lockedUntilMs: Number.NEGATIVE_INFINITY,
};

/** An attempt that nobody settled (a crashed handler) stops counting after this time. */
export const MAX_PENDING_MS = 60_000;
/** When only attempts under way stand in the way, the answer to them will come soon. */
const PENDING_RETRY_MS = 1000;

/** Decides whether an attempt may start and, if so, counts it as under way. */
export function beginAttempt(
  rule: LockoutRule,
  state: LockoutState,
  nowMs: number,
): { readonly verdict: LockoutVerdict; readonly state: LockoutState } {
  const current = expire(rule, state, nowMs);
  if (current.lockedUntilMs > nowMs) {
    return { verdict: { kind: 'locked', retryAfterMs: current.lockedUntilMs - nowMs }, state: current };
  }
  if (current.failedAtMs.length + current.pendingSinceMs.length >= rule.failures) {
    return { verdict: { kind: 'locked', retryAfterMs: PENDING_RETRY_MS }, state: current };
  }
  return {
    verdict: { kind: 'open' },
    state: { ...current, pendingSinceMs: [...current.pendingSinceMs, nowMs] },
  };
}

/** Settles one attempt as failed; the last permitted failure locks. */
export function failAttempt(rule: LockoutRule, state: LockoutState, nowMs: number): LockoutState {
  const current = expire(rule, settleOne(state), nowMs);
  const failedAtMs = [...current.failedAtMs, nowMs].slice(-rule.failures);
  const locks = failedAtMs.length >= rule.failures;
  return { ...current, failedAtMs, lockedUntilMs: locks ? nowMs + rule.windowMs : current.lockedUntilMs };
}

/**
 * Settles one attempt as succeeded. Earlier failures are forgiven, a lock is not: a success that was under way when
 * the lock fell is no proof that the guesses were its owner's.
 */
export function succeedAttempt(rule: LockoutRule, state: LockoutState, nowMs: number): LockoutState {
  const current = expire(rule, settleOne(state), nowMs);
  return current.lockedUntilMs > nowMs ? current : { ...current, failedAtMs: [] };
}

/** Settles one attempt as neither: the answer said nothing about the credentials. */
export function abandonAttempt(rule: LockoutRule, state: LockoutState, nowMs: number): LockoutState {
  return expire(rule, settleOne(state), nowMs);
}

/** Whether the state says no more than `UNLOCKED` would. */
export function isUnlocked(rule: LockoutRule, state: LockoutState, nowMs: number): boolean {
  const current = expire(rule, state, nowMs);
  return (
    current.lockedUntilMs <= nowMs && current.failedAtMs.length === 0 && current.pendingSinceMs.length === 0
  );
}

function expire(rule: LockoutRule, state: LockoutState, nowMs: number): LockoutState {
  const failedAtMs = dropUntil(state.failedAtMs, nowMs - rule.windowMs);
  const pendingSinceMs = dropUntil(state.pendingSinceMs, nowMs - MAX_PENDING_MS);
  if (failedAtMs === state.failedAtMs && pendingSinceMs === state.pendingSinceMs) return state;
  return { failedAtMs, pendingSinceMs, lockedUntilMs: state.lockedUntilMs };
}

function dropUntil(timesMs: readonly number[], untilMs: number): readonly number[] {
  const first = timesMs[0];
  return first !== undefined && first <= untilMs ? timesMs.filter(timeMs => timeMs > untilMs) : timesMs;
}

function settleOne(state: LockoutState): LockoutState {
  return state.pendingSinceMs.length === 0
    ? state
    : { ...state, pendingSinceMs: state.pendingSinceMs.slice(1) };
}
