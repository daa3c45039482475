import { calculateJwkThumbprint, importJWK, type CryptoKey, type JWK } from 'jose';
import type { BundleIssuer } from '#domain/bundle';
import { isJsonObject, member, parseStrictJson, type JsonObject } from '#domain/jwt';
import { IdentityError } from './identity-error.ts';

export type TokenAlgorithm = BundleIssuer['algorithm'];

/** A public key of an issuer, fit for its one algorithm. */
export type VerificationKey = {
  /** Empty when the key set gives none. */
  readonly kid: string;
  readonly key: CryptoKey;
  /** RFC 7638: tells whether a key of a later set is the same one. */
  readonly thumbprint: string;
  /** Set once, when the issuer no longer publishes the key: nothing that it signed is accepted any more. */
  withdrawn: boolean;
};

const MAX_DEPTH = 8;
const MAX_KEYS = 64;
const MAX_KID_CHARS = 255;
const MIN_RSA_BITS = 2048;
/** Verifying with larger moduli costs more than a caller should be able to make us pay. */
const MAX_RSA_BITS = 8192;

/** What a key must be, by algorithm (RFC 7518 §3.1, RFC 8037 §3.1). The table of all algorithms that exist for us. */
const KEY_SHAPES = {
  ES256: { kty: 'EC', crv: 'P-256', members: ['x', 'y'] },
  RS256: { kty: 'RSA', crv: undefined, members: ['n', 'e'] },
  PS256: { kty: 'RSA', crv: undefined, members: ['n', 'e'] },
  EdDSA: { kty: 'OKP', crv: 'Ed25519', members: ['x'] },
} as const satisfies Record<TokenAlgorithm, unknown>;

/**
 * Reads a JWK Set (RFC 7517 §5) and keeps the keys that can verify `algorithm`; what is for other uses is skipped.
 *
 * @throws {IdentityError} `issuer-keys` when it is no key set, too long, or uses one `kid` for two such keys
 */
export async function importKeySet(
  text: string,
  algorithm: TokenAlgorithm,
): Promise<readonly VerificationKey[]> {
  const json = parseStrictJson(text, MAX_DEPTH);
  const jwks = json.kind === 'json' && isJsonObject(json.value) ? member(json.value, 'keys') : undefined;
  if (!Array.isArray(jwks)) throw new IdentityError('issuer-keys', 'the key set is not a JWK Set');
  if (jwks.length > MAX_KEYS)
    throw new IdentityError('issuer-keys', `the key set has more than ${MAX_KEYS} keys`);

  const keys = new Map<string, VerificationKey>();
  for (const jwk of jwks) {
    const key = isJsonObject(jwk) ? await importKey(jwk, algorithm) : undefined;
    if (key === undefined) continue;
    if (keys.has(key.kid))
      throw new IdentityError('issuer-keys', 'the key set has two keys of the same "kid"');
    keys.set(key.kid, key);
  }
  return [...keys.values()];
}

/** The key, or `undefined` when it is not one for verifying `algorithm`. */
export async function importKey(
  jwk: JsonObject,
  algorithm: TokenAlgorithm,
): Promise<VerificationKey | undefined> {
  if (!isFor(jwk, algorithm)) return undefined;
  const kid = member(jwk, 'kid') ?? '';
  if (typeof kid !== 'string' || kid.length > MAX_KID_CHARS) return undefined;

  const shape = KEY_SHAPES[algorithm];
  const names: readonly string[] = ['kty', ...(shape.crv === undefined ? [] : ['crv']), ...shape.members];
  // Only the public members: whatever else the document holds never reaches the importer.
  const entries = names.map(name => [name, member(jwk, name)]);
  if (!entries.every(([, value]) => typeof value === 'string')) return undefined;
  const publicJwk = Object.fromEntries(entries) as JWK;
  try {
    const key = await importJWK(publicJwk, algorithm, { extractable: false });
    if (key instanceof Uint8Array || !isStrong(key)) return undefined;
    return { kid, key, thumbprint: await calculateJwkThumbprint(publicJwk), withdrawn: false };
  } catch {
    return undefined;
  }
}

function isFor(jwk: JsonObject, algorithm: TokenAlgorithm): boolean {
  const shape = KEY_SHAPES[algorithm];
  const use = member(jwk, 'use');
  const operations = member(jwk, 'key_ops');
  const alg = member(jwk, 'alg');
  return (
    member(jwk, 'kty') === shape.kty &&
    member(jwk, 'crv') === shape.crv &&
    (use === undefined || use === 'sig') &&
    (operations === undefined || (Array.isArray(operations) && operations.includes('verify'))) &&
    (alg === undefined || alg === algorithm)
  );
}

function isStrong(key: CryptoKey): boolean {
  const { modulusLength, publicExponent } = key.algorithm as Partial<RsaKeyAlgorithm>;
  if (modulusLength === undefined || publicExponent === undefined) return true;
  const exponent = Buffer.from(publicExponent).toString('hex').replace(/^0+/, '');
  const isTiny = exponent.length <= 1 && Number.parseInt(exponent || '0', 16) < 3;
  return modulusLength >= MIN_RSA_BITS && modulusLength <= MAX_RSA_BITS && !isTiny;
}

type RsaKeyAlgorithm = { readonly modulusLength: number; readonly publicExponent: Uint8Array };
