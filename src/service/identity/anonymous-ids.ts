import { createHmac, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { decodeBase64Url, encodeBase64Url, equalBytes } from '#base/bytes';
import type { Clock } from '#base/clock';
import type { RateLimit } from '#domain/limit';
import { addressKey, networkOf } from './address.ts';
import { BoundedMap } from './bounded-map.ts';
import { RateLimiter } from './rate-limiter.ts';

export const ANONYMOUS_COOKIE = '__Host-ringwall-anon';
export const ANONYMOUS_HEADER = 'x-ringwall-anonymous';

const VERSION = 1;
const ID_BYTES = 16;
const TIME_BYTES = 6;
const SIGNED_BYTES = 1 + ID_BYTES + TIME_BYTES;
const MAC_BYTES = 32;
const TOKEN_CHARS = Math.ceil(((SIGNED_BYTES + MAC_BYTES) * 8) / 6);
const MIN_KEY_BYTES = 32;
const LIFETIME_MS = 30 * 86_400_000;
const SKEW_MS = 30_000;
/** A household or an office behind one address gets new ids at this rate. */
const MINTING: RateLimit = { requests: 60, perMs: 60_000, burst: 60 };
const MAX_ADDRESSES = 50_000;
const MAX_REMEMBERED = 20_000;

export type AnonymousIdentity = {
  /** `over-minted`: the address asked for too many ids and is treated as one caller until it slows down. */
  readonly kind: 'known' | 'minted' | 'over-minted';
  /** 22 characters of base64url, or `address:<address>`. */
  readonly id: string;
  /** The value of `Set-Cookie`, when an id was minted. */
  readonly setCookie?: string;
  /** The value of the `x-ringwall-anonymous` header, when an id was minted. */
  readonly token?: string;
};

/**
 * Gives callers without credentials an id of their own that nobody can forge, guess or take to another network.
 *
 * A token is version ‖ random id ‖ time of issue ‖ HMAC-SHA-256 over these and the network of the address it was
 * issued to. It proves nothing about a person; it makes limits and records per caller possible.
 */
export class AnonymousIds {
  readonly #key: KeyObject;
  readonly #clock: Clock;
  readonly #minting: RateLimiter;
  /** Tokens that were found good, by address and token: most callers send theirs many times. */
  readonly #known: BoundedMap<{ readonly id: string; readonly expiresAtMs: number }>;

  /** @param options.key at least 32 random bytes, the same on every point that shares callers */
  constructor(options: { readonly key: Uint8Array; readonly clock: Clock }) {
    if (options.key.byteLength < MIN_KEY_BYTES)
      throw new TypeError(`the key must have at least ${MIN_KEY_BYTES} bytes`);
    this.#key = createSecretKey(options.key);
    this.#clock = options.clock;
    this.#minting = new RateLimiter({ clock: options.clock, maxKeys: MAX_ADDRESSES });
    this.#known = new BoundedMap({
      maxKeys: MAX_REMEMBERED,
      isSpent: (entry, nowMs) => entry.expiresAtMs <= nowMs,
    });
  }

  /**
   * UNTRUSTED: all three.
   *
   * @param cookieHeader the request's `Cookie` header; of several, joined by `; ` (RFC 9113 §8.2.3)
   * @param header the request's `x-ringwall-anonymous` header
   * @param address the peer's IP address
   */
  identify(cookieHeader: string | undefined, header: string | undefined, address: string): AnonymousIdentity {
    const cookie = cookieHeader === undefined ? undefined : readCookie(cookieHeader, ANONYMOUS_COOKIE);
    const id = this.#open(cookie, address) ?? this.#open(header, address);
    if (id !== undefined) return { kind: 'known', id };

    const source = addressKey(address);
    if (this.#minting.take(source, MINTING).kind === 'limited')
      return { kind: 'over-minted', id: `address:${source}` };
    return this.#mint(networkOf(address));
  }

  #mint(network: string): AnonymousIdentity {
    const signed = Buffer.alloc(SIGNED_BYTES);
    signed.writeUInt8(VERSION);
    randomBytes(ID_BYTES).copy(signed, 1);
    signed.writeUIntBE(this.#clock.nowMs(), 1 + ID_BYTES, TIME_BYTES);
    const token = encodeBase64Url(Buffer.concat([signed, this.#mac(signed, network)]));
    return {
      kind: 'minted',
      id: encodeBase64Url(idOf(signed)),
      token,
      // The `__Host-` prefix lets browsers refuse it from anybody but this very host (RFC 6265bis §4.1.3.2).
      setCookie: `${ANONYMOUS_COOKIE}=${token}; Path=/; Max-Age=${LIFETIME_MS / 1000}; Secure; HttpOnly; SameSite=Lax`,
    };
  }

  #open(token: string | undefined, address: string): string | undefined {
    if (token === undefined || token.length !== TOKEN_CHARS) return undefined;
    const nowMs = this.#clock.nowMs();
    const known = this.#known.use(`${address} ${token}`);
    if (known !== undefined && known.expiresAtMs > nowMs) return known.id;

    const bytes = decodeBase64Url(token);
    if (bytes === undefined || bytes[0] !== VERSION) return undefined;
    const signed = Buffer.from(bytes.buffer, bytes.byteOffset, SIGNED_BYTES);
    if (!equalBytes(bytes.subarray(SIGNED_BYTES), this.#mac(signed, networkOf(address)))) return undefined;
    const issuedAtMs = signed.readUIntBE(1 + ID_BYTES, TIME_BYTES);
    const expiresAtMs = issuedAtMs + LIFETIME_MS;
    if (expiresAtMs <= nowMs || issuedAtMs > nowMs + SKEW_MS) return undefined;

    const id = encodeBase64Url(idOf(signed));
    this.#known.set(`${address} ${token}`, { id, expiresAtMs }, nowMs);
    return id;
  }

  #mac(signed: Uint8Array, network: string): Buffer {
    return createHmac('sha256', this.#key)
      .update('ringwall anonymous id\0')
      .update(signed)
      .update(network)
      .digest();
  }
}

function idOf(signed: Uint8Array): Uint8Array {
  return signed.subarray(1, 1 + ID_BYTES);
}

/** The cookie's value, if it is there exactly once: of two, nobody knows which the browser was given by us. */
function readCookie(cookieHeader: string, name: string): string | undefined {
  if (!cookieHeader.includes(name)) return undefined;
  const prefix = `${name}=`;
  const values = cookieHeader
    .split(';')
    .map(pair => pair.trim())
    .filter(pair => pair.startsWith(prefix));
  return values.length === 1 ? values[0]?.slice(prefix.length) : undefined;
}
