import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import type { BundleIssuer } from '#domain/bundle';
import { discoverKeys } from './discovery.ts';
import { fetchText, type FetchOptions } from './fetch-text.ts';
import { importKeySet, type VerificationKey } from './key-set.ts';

/** After this age the keys are fetched again, in the background. */
const REFRESH_AFTER_MS = 10 * 60_000;
/** After this age verification waits for that fetch, unless it keeps failing. */
const WAIT_AFTER_MS = 20 * 60_000;
/** Keys that could not be confirmed for so long are no longer believed. */
const DISCARD_AFTER_MS = 24 * 3_600_000;
/** Unknown key ids cause no more than one fetch in this time: strangers choose them. */
const COOLDOWN_MS = 30_000;
const FIRST_RETRY_MS = 1000;

export type KeyLookup =
  | { readonly kind: 'key'; readonly key: VerificationKey }
  /** Look again when the promise has settled; it never rejects. */
  | { readonly kind: 'wait'; readonly refreshed: Promise<void> }
  | { readonly kind: 'unknown-key' }
  | { readonly kind: 'unavailable' };

/**
 * The keys of one issuer, fetched on first need and kept current without timers: an issuer that nobody uses is not
 * asked. All times are monotonic.
 *
 * INVARIANT: a key that the latest key set does not have verifies nothing any more.
 */
export class IssuerKeys {
  readonly issuer: BundleIssuer;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #http: FetchOptions;
  readonly #closing = new AbortController();

  #keys: ReadonlyMap<string, VerificationKey> = new Map();
  #confirmedAtMs = Number.NEGATIVE_INFINITY;
  #nextFetchAtMs = Number.NEGATIVE_INFINITY;
  #retryMs = FIRST_RETRY_MS;
  #refreshing: Promise<void> | undefined;

  constructor(options: {
    readonly issuer: BundleIssuer;
    readonly clock: Clock;
    readonly log: Log;
    readonly http: FetchOptions;
  }) {
    this.issuer = options.issuer;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#http = { ...options.http, signal: this.#closing.signal };
  }

  /** @param kid the token's key id; without one, the issuer must have exactly one key */
  find(kid: string | undefined): KeyLookup {
    const freshness = this.#freshness();
    if (freshness === 'stale' || freshness === 'none') {
      const refreshed = this.#refresh();
      if (refreshed !== undefined) return { kind: 'wait', refreshed };
      if (freshness === 'none') return { kind: 'unavailable' };
    }
    const key = kid === undefined ? this.#onlyKey() : this.#keys.get(kid);
    if (key !== undefined) return { kind: 'key', key };
    const refreshed = this.#refresh();
    return refreshed === undefined ? { kind: 'unknown-key' } : { kind: 'wait', refreshed };
  }

  /** Whether what `key` once verified still counts; the synchronous check of cached tokens. */
  stillTrusts(key: VerificationKey): boolean {
    if (key.withdrawn) return false;
    const freshness = this.#freshness();
    return freshness === 'fresh' || (freshness === 'stale' && this.#refresh() === undefined);
  }

  close(): void {
    this.#closing.abort();
    this.#withdrawAll();
  }

  #freshness(): 'fresh' | 'stale' | 'none' {
    const ageMs = this.#clock.monotonicMs() - this.#confirmedAtMs;
    if (ageMs >= DISCARD_AFTER_MS) return 'none';
    if (ageMs >= WAIT_AFTER_MS) return 'stale';
    if (ageMs >= REFRESH_AFTER_MS) void this.#refresh();
    return 'fresh';
  }

  #onlyKey(): VerificationKey | undefined {
    return this.#keys.size === 1 ? this.#keys.values().next().value : undefined;
  }

  /** The fetch under way or a new one, for all who ask meanwhile; `undefined` when it is too early for another. */
  #refresh(): Promise<void> | undefined {
    if (this.#refreshing !== undefined) return this.#refreshing;
    if (this.#clock.monotonicMs() < this.#nextFetchAtMs || this.#closing.signal.aborted) return undefined;
    this.#refreshing = this.#fetch().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #fetch(): Promise<void> {
    const { issuer, algorithm } = this.issuer;
    try {
      const location = await discoverKeys(issuer, this.#http);
      const keys = await importKeySet(await fetchText(location, this.#http), algorithm);
      if (this.#closing.signal.aborted) return;
      this.#adopt(keys);
      this.#confirmedAtMs = this.#clock.monotonicMs();
      this.#nextFetchAtMs = this.#confirmedAtMs + COOLDOWN_MS;
      this.#retryMs = FIRST_RETRY_MS;
      if (keys.length === 0) this.#log.warn('the issuer publishes no usable key', { issuer, algorithm });
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#nextFetchAtMs = this.#clock.monotonicMs() + this.#retryMs;
      this.#retryMs = Math.min(this.#retryMs * 2, COOLDOWN_MS);
      this.#log.warn('keys of the issuer could not be fetched', { issuer, error: describe(error) });
    }
  }

  #adopt(keys: readonly VerificationKey[]): void {
    const previous = this.#keys;
    this.#keys = new Map(
      keys.map(key => {
        const known = previous.get(key.kid);
        return [key.kid, known !== undefined && known.thumbprint === key.thumbprint ? known : key];
      }),
    );
    for (const key of previous.values()) {
      if (this.#keys.get(key.kid) !== key) key.withdrawn = true;
    }
  }

  #withdrawAll(): void {
    for (const key of this.#keys.values()) key.withdrawn = true;
    this.#keys = new Map();
    this.#confirmedAtMs = Number.NEGATIVE_INFINITY;
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown failure';
}
