import { expired, invalid, malformed, type Refusal } from './refusal.ts';
import { parseJws, type Jws } from './jws.ts';
import { member, parseStrictObject, type JsonObject } from './strict-json.ts';

const MAX_DEPTH = 16;
const MAX_AUDIENCES = 32;
const MAX_SCOPES = 256;
const MAX_NAME_CHARS = 255;
/** How far an issuer's clock may run ahead of ours. A token's end gets no such grace. */
const SKEW_MS = 30_000;

/** An access token whose form is right; nothing in it is verified. */
export type UnverifiedToken = { readonly jws: Jws; readonly issuer: string; readonly claims: JsonObject };

/** What an access token says, once its signature holds. */
export type AccessClaims = {
  readonly issuer: string;
  readonly subject: string;
  readonly clientId: string;
  readonly scopes: ReadonlySet<string>;
  /** `jti`: unique per issuer. */
  readonly tokenId: string;
  readonly expiresAtMs: number;
};

export type Expectations = {
  readonly issuer: string;
  readonly audience: string;
  /** The one algorithm accepted of this issuer (RFC 8725 §3.1). */
  readonly algorithm: string;
};

/**
 * Reads a JWT access token (RFC 9068) up to the point where its issuer's key is needed.
 *
 * UNTRUSTED: all of it. `issuer` only says whose expectations and keys to check it against.
 */
export function parseAccessToken(
  text: string,
): { readonly kind: 'parsed'; readonly token: UnverifiedToken } | Refusal {
  const parsed = parseJws(text);
  if (parsed.kind === 'refused') return parsed;
  const { jws } = parsed;
  // RFC 9068 §4: an ID token or any other JWT of the same issuer is not an access token.
  if (!isAccessTokenType(jws.typ)) return invalid('header: "typ" is not at+jwt');

  const payload = parseStrictObject(jws.payload, MAX_DEPTH);
  if (payload.kind === 'refused') return malformed(`payload: ${payload.fault}`);
  const issuer = member(payload.value, 'iss');
  if (typeof issuer !== 'string') return malformed('payload: "iss" is not a text');
  return { kind: 'parsed', token: { jws, issuer, claims: payload.value } };
}

/**
 * Checks all that can be checked without a key (RFC 9068 §4, RFC 7519 §7.2, RFC 8725 §3).
 *
 * INVARIANT: the result counts only together with a signature that verified.
 *
 * @param nowMs wall clock time
 */
export function checkAccessToken(
  token: UnverifiedToken,
  expected: Expectations,
  nowMs: number,
): { readonly kind: 'acceptable'; readonly claims: AccessClaims } | Refusal {
  const { jws, claims } = token;
  if (jws.alg !== expected.algorithm) return invalid('header: "alg" is not the issuer\'s algorithm');
  if (token.issuer !== expected.issuer) return invalid('payload: "iss" is another issuer');

  const audience = checkAudience(claims, expected.audience);
  if (audience !== undefined) return audience;
  // A sender-constrained token as a plain bearer token is a stolen one (RFC 9449 §7.1, RFC 8705 §3).
  if (Object.hasOwn(claims, 'cnf'))
    return invalid('payload: bound to a key by "cnf", but presented as bearer token');

  const times = checkTimes(claims, nowMs);
  if (times.kind === 'refused') return times;

  const subject = member(claims, 'sub');
  const clientId = member(claims, 'client_id');
  const tokenId = member(claims, 'jti');
  if (!isIdentifier(subject))
    return malformed('payload: "sub" is not a printable text of 1 to 255 characters');
  if (!isIdentifier(clientId))
    return malformed('payload: "client_id" is not a printable text of 1 to 255 characters');
  if (!isIdentifier(tokenId))
    return malformed('payload: "jti" is not a printable text of 1 to 255 characters');
  const scopes = readScopes(claims);
  if (scopes === undefined) return malformed('payload: "scope" is not a list of scope names');

  return {
    kind: 'acceptable',
    claims: { issuer: token.issuer, subject, clientId, scopes, tokenId, expiresAtMs: times.expiresAtMs },
  };
}

function isAccessTokenType(typ: string | undefined): boolean {
  const type = typ?.toLowerCase();
  return type === 'at+jwt' || type === 'application/at+jwt';
}

function checkAudience(claims: JsonObject, expected: string): Refusal | undefined {
  const aud = member(claims, 'aud');
  const audiences = typeof aud === 'string' ? [aud] : aud;
  if (!Array.isArray(audiences) || audiences.length > MAX_AUDIENCES)
    return malformed('payload: "aud" is not a text or list');
  if (!audiences.every(audience => typeof audience === 'string'))
    return malformed('payload: "aud" holds other than texts');
  return audiences.includes(expected) ? undefined : invalid('payload: "aud" names another audience');
}

function checkTimes(
  claims: JsonObject,
  nowMs: number,
): { readonly kind: 'current'; readonly expiresAtMs: number } | Refusal {
  const expiresAtMs = readTime(claims, 'exp');
  const issuedAtMs = readTime(claims, 'iat');
  const notBeforeMs = Object.hasOwn(claims, 'nbf') ? readTime(claims, 'nbf') : issuedAtMs;
  if (expiresAtMs === undefined) return malformed('payload: "exp" is not a time');
  if (issuedAtMs === undefined) return malformed('payload: "iat" is not a time');
  if (notBeforeMs === undefined) return malformed('payload: "nbf" is not a time');

  if (expiresAtMs <= nowMs) return expired('payload: "exp" has passed');
  if (notBeforeMs > nowMs + SKEW_MS) return invalid('payload: "nbf" is in the future');
  if (issuedAtMs > nowMs + SKEW_MS) return invalid('payload: "iat" is in the future');
  return { kind: 'current', expiresAtMs };
}

/** A NumericDate (RFC 7519 §2) up to the year 9999, in milliseconds. */
function readTime(claims: JsonObject, name: string): number | undefined {
  const seconds = member(claims, name);
  if (typeof seconds !== 'number' || !(seconds >= 0 && seconds <= 253_402_300_799)) return undefined;
  return seconds * 1000;
}

/** Printable ASCII without outer spaces: it goes into headers, logs and keys as it is (OpenID Connect Core §2, `sub`). */
export function isIdentifier(value: unknown): value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > MAX_NAME_CHARS) return false;
  if (value.startsWith(' ') || value.endsWith(' ')) return false;
  for (let at = 0; at < value.length; at++) {
    const unit = value.charCodeAt(at);
    if (unit < 0x20 || unit > 0x7e) return false;
  }
  return true;
}

/** A space-delimited text (RFC 8693 §4.2) or, as some issuers write it, a list. No scope is an empty set. */
function readScopes(claims: JsonObject): ReadonlySet<string> | undefined {
  const scope = member(claims, 'scope');
  if (scope === undefined || scope === '') return new Set();
  const names = typeof scope === 'string' ? scope.split(' ') : scope;
  if (!Array.isArray(names) || names.length > MAX_SCOPES) return undefined;
  return names.every(isScopeName) ? new Set<string>(names) : undefined;
}

/** `scope-token` of RFC 6749 §3.3. */
export function isScopeName(value: unknown): value is string {
  return (
    typeof value === 'string' && value.length <= MAX_NAME_CHARS && /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(value)
  );
}
