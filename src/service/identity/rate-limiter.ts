import type { Clock } from '#base/clock';
import { isFresh, NEVER_SEEN, takeOne, type LimitVerdict, type RateLimit } from '#domain/limit';
import { BoundedMap, boundKey } from './bounded-map.ts';

type Entry = { arrivalMs: number };

/**
 * Counts requests per key by GCRA, for at most `maxKeys` keys at a time.
 *
 * A key stands for one limit of one caller: the rule, the limit and the caller's id all belong into it. When more keys
 * than `maxKeys` are alive, an idle one is forgotten: its caller gets one fresh burst.
 */
export class RateLimiter {
  readonly #clock: Clock;
  readonly #entries: BoundedMap<Entry>;

  constructor(options: { readonly clock: Clock; readonly maxKeys: number }) {
    this.#clock = options.clock;
    this.#entries = new BoundedMap({
      maxKeys: options.maxKeys,
      isSpent: (entry, nowMs) => isFresh(entry.arrivalMs, nowMs),
    });
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Counts one request; a refused one costs nothing. */
  take(key: string, limit: RateLimit): LimitVerdict {
    const bounded = boundKey(key);
    const nowMs = this.#clock.monotonicMs();
    const entry = this.#entries.use(bounded);
    const { verdict, arrivalMs } = takeOne(limit, entry?.arrivalMs ?? NEVER_SEEN, nowMs);
    if (entry === undefined) this.#entries.set(bounded, { arrivalMs }, nowMs);
    else entry.arrivalMs = arrivalMs;
    return verdict;
  }
}
