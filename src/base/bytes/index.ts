/**
 * Bytes and their text forms: strict base64, base64url and hex, constant-time comparison, SHA-256.
 *
 * Decoders accept only the canonical form: one byte string has exactly one accepted text, so that a denylist or
 * cache keyed on the text cannot be dodged by another spelling (RFC 4648 §3.5).
 */
export {
  decodeBase64,
  decodeBase64Url,
  decodeHex,
  encodeBase64,
  encodeBase64Url,
  encodeHex,
} from './encoding.ts';
export { equalBytes } from './equal.ts';
export { sha256 } from './sha256.ts';
