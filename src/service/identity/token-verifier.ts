import { sha256 } from '#base/bytes';
import type { Clock } from '#base/clock';
import { assertNever, quote } from '#base/error';
import type { Log } from '#base/log';
import type { BundleIssuer } from '#domain/bundle';
import type { Reason } from '#domain/decision';
import { checkAccessToken, MAX_TOKEN_CHARS, parseAccessToken, type AccessClaims } from '#domain/jwt';
import { BoundedMap } from './bounded-map.ts';
import type { FetchOptions } from './fetch-text.ts';
import { IdentityError } from './identity-error.ts';
import { IssuerKeys } from './issuer-keys.ts';
import type { VerificationKey } from './key-set.ts';
import { signatureVerifies } from './signature.ts';

/** A user as an access token of a declared issuer names him. */
export type UserIdentity = AccessClaims;

export type TokenVerdict =
  | { readonly kind: 'verified'; readonly user: UserIdentity }
  /** `detail` is for operators; it holds no part of the token. */
  | { readonly kind: 'refused'; readonly reason: Reason; readonly detail: string };

const HTTP: FetchOptions = { timeoutMs: 3000, maxBytes: 256 * 1024 };
const MAX_VERIFIED = 20_000;
const MAX_FORGED = 1000;
/** Tokens found by their text, which saves the digest; at most so long, so that they take 4 MB at most. */
const MAX_BUSY = 2000;
const MAX_BUSY_CHARS = 2048;
/** Tokens of one issuer being checked, and waiting for its keys; what comes on top is turned away, not queued. */
const MAX_PENDING = 1024;

type Cached = {
  readonly verdict: TokenVerdict;
  readonly keys: IssuerKeys;
  readonly key: VerificationKey;
  readonly expiresAtMs: number;
};

/** One issuer's tokens under way, by digest: those of a slow issuer are in nobody else's way. */
type Lane = {
  readonly keys: IssuerKeys;
  readonly checking: Map<string, Promise<TokenVerdict>>;
  readonly waiting: Map<string, Promise<TokenVerdict>>;
};

type Task = {
  readonly token: string;
  readonly digest: string;
  readonly kid: string | undefined;
  readonly keys: IssuerKeys;
  readonly claims: AccessClaims;
};

/**
 * Verifies JWT access tokens (RFC 9068) of the declared issuers.
 *
 * Order: form and claims first, for they are cheap; the issuer's key next; the signature last. Tokens whose signature
 * was checked are remembered by their SHA-256, the good ones until they expire, a few of the forged ones so that
 * sending one again costs nothing; the busiest by their text, too. No memory outlives the key: a withdrawn key takes all
 * with it.
 */
export class TokenVerifier {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #http: FetchOptions;
  #lanes: ReadonlyMap<string, Lane> = new Map();
  readonly #verified: BoundedMap<Cached>;
  readonly #busy: BoundedMap<Cached>;
  readonly #forged: BoundedMap<Cached>;
  /** Grows with each purge: what was being verified before it is not remembered after it. */
  #generation = 0;

  /**
   * @param options.http bounds for talking to issuers, and private roots to trust
   * @throws {IdentityError} `duplicate-issuer`
   */
  constructor(options: {
    readonly issuers: readonly BundleIssuer[];
    readonly clock: Clock;
    readonly log: Log;
    readonly http?: Partial<FetchOptions>;
    readonly maxVerified?: number;
  }) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#http = { ...HTTP, ...options.http };
    const isSpent = (entry: Cached, nowMs: number) => entry.expiresAtMs <= nowMs || entry.key.withdrawn;
    this.#verified = new BoundedMap({ maxKeys: options.maxVerified ?? MAX_VERIFIED, isSpent });
    this.#busy = new BoundedMap({ maxKeys: MAX_BUSY, isSpent });
    this.#forged = new BoundedMap({ maxKeys: MAX_FORGED, isSpent });
    this.setIssuers(options.issuers);
  }

  /** Tokens remembered, good and forged; for metrics. */
  get size(): number {
    return this.#verified.size + this.#forged.size;
  }

  /**
   * Verifies one token: at once when it is remembered or refused for its form, else by a promise that never rejects.
   *
   * UNTRUSTED: `token` is whatever followed `Bearer `.
   */
  verify(token: string): TokenVerdict | Promise<TokenVerdict> {
    const busy = this.#busy.use(token);
    if (busy !== undefined && this.#stillHolds(busy)) return busy.verdict;
    if (token.length > MAX_TOKEN_CHARS) return refused('token-malformed', 'longer than 8192 characters');
    const digest = sha256(token).toString('latin1');
    return this.#recall(token, digest) ?? this.#examine(token, digest);
  }

  /** Replaces the issuers; those that stay the same keep their keys, the tokens of the others are forgotten. */
  setIssuers(issuers: readonly BundleIssuer[]): void {
    const next = new Map<string, Lane>();
    for (const issuer of issuers) {
      if (next.has(issuer.issuer)) {
        throw new IdentityError('duplicate-issuer', `issuer ${quote(issuer.issuer)} is declared twice`);
      }
      const known = this.#lanes.get(issuer.issuer);
      const stays = known !== undefined && isSame(known.keys.issuer, issuer);
      next.set(issuer.issuer, stays ? known : this.#openLane(issuer));
    }
    for (const [name, lane] of this.#lanes) {
      if (next.get(name) !== lane) lane.keys.close();
    }
    this.#lanes = next;
    this.purge();
  }

  /** Forgets every remembered token; the next use of each is verified anew. */
  purge(): void {
    this.#generation += 1;
    this.#verified.clear();
    this.#busy.clear();
    this.#forged.clear();
  }

  /** Stops fetching keys; every token is refused from now on. */
  close(): void {
    for (const { keys } of this.#lanes.values()) keys.close();
    this.#lanes = new Map();
    this.purge();
  }

  #openLane(issuer: BundleIssuer): Lane {
    const keys = new IssuerKeys({ issuer, clock: this.#clock, log: this.#log, http: this.#http });
    return { keys, checking: new Map(), waiting: new Map() };
  }

  #recall(token: string, digest: string): TokenVerdict | undefined {
    const good = this.#verified.use(digest);
    if (good === undefined) {
      const forged = this.#forged.use(digest);
      return forged !== undefined && !forged.key.withdrawn ? forged.verdict : undefined;
    }
    if (!this.#stillHolds(good)) {
      this.#verified.delete(digest);
      return undefined;
    }
    // A copy: the token is a part of its request's head, all of which would be kept with it.
    if (token.length <= MAX_BUSY_CHARS)
      this.#busy.set(Buffer.from(token, 'latin1').toString('latin1'), good, this.#clock.nowMs());
    return good.verdict;
  }

  #stillHolds({ expiresAtMs, keys, key }: Cached): boolean {
    return expiresAtMs > this.#clock.nowMs() && keys.stillTrusts(key);
  }

  #examine(token: string, digest: string): TokenVerdict | Promise<TokenVerdict> {
    const parsed = parseAccessToken(token);
    if (parsed.kind === 'refused') return parsed;
    const lane = this.#lanes.get(parsed.token.issuer);
    if (lane === undefined) return refused('token-invalid', 'payload: "iss" is not a declared issuer');
    const checked = checkAccessToken(parsed.token, lane.keys.issuer, this.#clock.nowMs());
    if (checked.kind === 'refused') return checked;

    const underWay = lane.checking.get(digest) ?? lane.waiting.get(digest);
    if (underWay !== undefined) return underWay;
    const { kid } = parsed.token.jws;
    const task: Task = { token, digest, kid, keys: lane.keys, claims: checked.claims };
    const lookup = lane.keys.find(kid);
    switch (lookup.kind) {
      case 'key':
        return admit(lane.checking, digest, () => this.#check(task, lookup.key));
      case 'wait':
        return admit(lane.waiting, digest, () => this.#waitAndCheck(task, lookup.refreshed));
      case 'unknown-key':
      case 'unavailable':
        return refusalOf(lookup.kind);
      default:
        return assertNever(lookup);
    }
  }

  async #waitAndCheck(task: Task, refreshed: Promise<void>): Promise<TokenVerdict> {
    await refreshed;
    const lookup = task.keys.find(task.kid);
    if (lookup.kind === 'key') return this.#check(task, lookup.key);
    // One fetch has to be enough: whoever waited once is not made to wait again.
    return refusalOf(lookup.kind === 'wait' ? 'unavailable' : lookup.kind);
  }

  async #check({ token, digest, keys, claims }: Task, key: VerificationKey): Promise<TokenVerdict> {
    const generation = this.#generation;
    const result = await signatureVerifies(token, key, keys.issuer.algorithm);
    if (result === 'error') {
      this.#log.error('a signature could not be checked', { issuer: keys.issuer.issuer });
      return refused('token-invalid', 'the signature could not be checked');
    }
    // Withdrawn while its signature was being checked: the issuer has the last word.
    if (key.withdrawn) return refused('token-invalid', 'the key was withdrawn');

    const isGood = result === 'good';
    const verdict: TokenVerdict = isGood
      ? { kind: 'verified', user: claims }
      : refused('token-invalid', 'the signature does not verify');
    if (generation === this.#generation) {
      const entry: Cached = { verdict, keys, key, expiresAtMs: claims.expiresAtMs };
      (isGood ? this.#verified : this.#forged).set(digest, entry, this.#clock.nowMs());
    }
    return verdict;
  }
}

function admit(
  room: Map<string, Promise<TokenVerdict>>,
  digest: string,
  start: () => Promise<TokenVerdict>,
): TokenVerdict | Promise<TokenVerdict> {
  if (room.size >= MAX_PENDING)
    return refused('overloaded', 'too many tokens of this issuer are being verified');
  const verdict = start().finally(() => room.delete(digest));
  room.set(digest, verdict);
  return verdict;
}

function refusalOf(kind: 'unknown-key' | 'unavailable'): TokenVerdict {
  return kind === 'unavailable'
    ? refused('issuer-unavailable', 'the keys of the issuer could not be fetched')
    : refused('token-invalid', 'header: "kid" names no key of the issuer');
}

function isSame(a: BundleIssuer, b: BundleIssuer): boolean {
  return a.issuer === b.issuer && a.audience === b.audience && a.algorithm === b.algorithm;
}

function refused(reason: Reason, detail: string): TokenVerdict {
  return { kind: 'refused', reason, detail };
}
