/**
 * JWT access tokens before and beside the signature: strict form, header rules, claims (RFC 7515, 7519, 8725, 9068).
 *
 * UNTRUSTED: every token. What passes here has one spelling only, may name a key of its issuer but brings none, and
 * says what it should; whether the issuer said so is for `#service/identity`, which holds the keys. The strict JSON
 * reader refuses duplicate keys and serves whoever must not be read differently by the next parser.
 */
export { checkAccessToken, isIdentifier, isScopeName, parseAccessToken } from './access-token.ts';
export type { AccessClaims, Expectations, UnverifiedToken } from './access-token.ts';
export { MAX_TOKEN_CHARS, parseJws } from './jws.ts';
export type { Jws } from './jws.ts';
export type { Refusal, TokenReason } from './refusal.ts';
export { isJsonObject, member, parseStrictJson, parseStrictObject } from './strict-json.ts';
export type { JsonObject, JsonValue, StrictJson } from './strict-json.ts';
