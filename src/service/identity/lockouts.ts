import type { Clock } from '#base/clock';
import {
  abandonAttempt,
  beginAttempt,
  failAttempt,
  isUnlocked,
  succeedAttempt,
  UNLOCKED,
  type LockoutRule,
  type LockoutState,
  type LockoutVerdict,
} from '#domain/limit';
import { BoundedMap, boundKey } from './bounded-map.ts';

/** A route's lockout: the rule, and what its keys are made of. */
export type Lockout = LockoutRule & { readonly per: readonly ('client' | 'account')[] };

type Entry = { readonly rule: LockoutRule; readonly state: LockoutState };

/**
 * Remembers failures per key and refuses further attempts, for at most `maxKeys` counting and `maxKeys` locked keys.
 *
 * The two are kept apart, so that a flood of keys that failed once cannot push out a lock; only `maxKeys` further locks
 * can, and then one that nobody asks for goes first.
 *
 * Every `check` that answers `open` must be followed by `failed`, `succeeded` or `abandoned` for the same key: until
 * then the attempt counts as a failure, for a minute at most.
 */
export class Lockouts {
  readonly #clock: Clock;
  readonly #counting: BoundedMap<Entry>;
  readonly #locked: BoundedMap<Entry>;

  constructor(options: { readonly clock: Clock; readonly maxKeys: number }) {
    this.#clock = options.clock;
    const bounds = {
      maxKeys: options.maxKeys,
      isSpent: ({ rule, state }: Entry, nowMs: number) => isUnlocked(rule, state, nowMs),
    };
    this.#counting = new BoundedMap(bounds);
    this.#locked = new BoundedMap(bounds);
  }

  get size(): number {
    return this.#counting.size + this.#locked.size;
  }

  /** Whether an attempt may go on; if so it is under way until it is settled. */
  check(key: string, lockout: Lockout): LockoutVerdict {
    const nowMs = this.#clock.monotonicMs();
    const { verdict, state } = beginAttempt(lockout, this.#stateOf(key), nowMs);
    this.#keep(key, lockout, state, nowMs);
    return verdict;
  }

  /** The service refused the credentials. */
  failed(key: string, lockout: Lockout): void {
    const nowMs = this.#clock.monotonicMs();
    this.#keep(key, lockout, failAttempt(lockout, this.#stateOf(key), nowMs), nowMs);
  }

  /**
   * The service accepted the credentials: earlier failures of this key are forgiven, if it names an account. A key
   * without account keeps them, else signing in to an account of his own would give a guesser new attempts.
   */
  succeeded(key: string, lockout: Lockout): void {
    const nowMs = this.#clock.monotonicMs();
    const settle = lockout.per.includes('account') ? succeedAttempt : abandonAttempt;
    this.#keep(key, lockout, settle(lockout, this.#stateOf(key), nowMs), nowMs);
  }

  /** The attempt ended without a word on the credentials: the service failed, or the client went away. */
  abandoned(key: string, lockout: Lockout): void {
    const nowMs = this.#clock.monotonicMs();
    this.#keep(key, lockout, abandonAttempt(lockout, this.#stateOf(key), nowMs), nowMs);
  }

  #stateOf(key: string): LockoutState {
    const bounded = boundKey(key);
    return (this.#locked.use(bounded) ?? this.#counting.use(bounded))?.state ?? UNLOCKED;
  }

  #keep(key: string, rule: LockoutRule, state: LockoutState, nowMs: number): void {
    const bounded = boundKey(key);
    const [home, other] =
      state.lockedUntilMs > nowMs ? [this.#locked, this.#counting] : [this.#counting, this.#locked];
    other.delete(bounded);
    if (isUnlocked(rule, state, nowMs)) home.delete(bounded);
    else home.set(bounded, { rule, state }, nowMs);
  }
}
