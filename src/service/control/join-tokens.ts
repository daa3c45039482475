import { randomBytes } from 'node:crypto';
import { encodeBase64Url, equalBytes, sha256 } from '#base/bytes';
import type { Clock } from '#base/clock';

/** An enforcement point by its name in the placement. */
export type PointName = { readonly name: string; readonly kind: 'gateway' | 'agent' };

export type Redemption =
  | { readonly kind: 'redeemed'; readonly point: PointName }
  | { readonly kind: 'refused'; readonly reason: 'unknown' | 'expired' | 'wrong-point' };

type Pending = { readonly digest: Uint8Array; readonly point: PointName; readonly expiresAtMs: number };

const LIFETIME_MS = 120_000;
const MAX_PENDING = 4096;

/** One-time tokens with which points enrol. Only their digests are kept, in memory: a restart voids them all. */
export class JoinTokens {
  readonly #clock: Clock;
  #pending: Pending[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns a token of 256 random bits that enrols `point` once, within two minutes */
  create(point: PointName): string {
    const nowMs = this.#clock.monotonicMs();
    const token = encodeBase64Url(randomBytes(32));
    const live = this.#pending.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
    this.#pending = [
      ...live.slice(-MAX_PENDING + 1),
      { digest: sha256(token), point, expiresAtMs: nowMs + LIFETIME_MS },
    ];
    return token;
  }

  /** Spends a token: whatever the answer, it does not work a second time. */
  redeem(token: string, name: string): Redemption {
    const digest = sha256(token);
    let found: Pending | undefined;
    // All of them are compared, so that the time taken does not tell which one came close.
    for (const pending of this.#pending) if (equalBytes(pending.digest, digest)) found = pending;
    if (found === undefined) return { kind: 'refused', reason: 'unknown' };
    this.#pending = this.#pending.filter(pending => pending !== found);
    if (found.expiresAtMs <= this.#clock.monotonicMs()) return { kind: 'refused', reason: 'expired' };
    if (found.point.name !== name) return { kind: 'refused', reason: 'wrong-point' };
    return { kind: 'redeemed', point: found.point };
  }
}
