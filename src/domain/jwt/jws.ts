import { decodeBase64Url } from '#base/bytes';
import { invalid, malformed, type Refusal } from './refusal.ts';
import { member, parseStrictObject, type JsonObject } from './strict-json.ts';

/** Access tokens of large issuers with many groups reach 4 KiB; what is longer is an attack or a mistake. */
export const MAX_TOKEN_CHARS = 8192;
const MAX_DEPTH = 8;
const MAX_NAME_CHARS = 255;

/** A compact JWS (RFC 7515 §7.1) whose form is strict; its signature is not verified. */
export type Jws = {
  readonly alg: string;
  readonly typ: string | undefined;
  readonly kid: string | undefined;
  readonly payload: Uint8Array;
};

/** Header parameters by which a token would bring its own key, or its own rules (RFC 8725 §3.10, RFC 7797). */
const FORBIDDEN_PARAMETERS = ['jku', 'jwk', 'x5u', 'x5c', 'x5t', 'x5t#S256', 'crit', 'b64', 'zip'] as const;

/**
 * Takes a compact JWS apart, strictly: three parts, each in the only canonical base64url, a header object without
 * duplicate keys, no key and no extension in it.
 *
 * Two texts that pass are the same token only if they are the same text; so the text may be the key of a cache.
 */
export function parseJws(text: string): { readonly kind: 'jws'; readonly jws: Jws } | Refusal {
  if (text.length > MAX_TOKEN_CHARS) return malformed('longer than 8192 characters');
  const parts = text.split('.');
  const [headerPart, payloadPart, signaturePart] = parts;
  if (
    parts.length !== 3 ||
    headerPart === undefined ||
    payloadPart === undefined ||
    signaturePart === undefined
  ) {
    return malformed('not three parts separated by dots');
  }
  const headerBytes = decodeBase64Url(headerPart);
  const payload = decodeBase64Url(payloadPart);
  const signature = decodeBase64Url(signaturePart);
  if (headerBytes === undefined || payload === undefined || signature === undefined) {
    return malformed('a part is not canonical base64url');
  }
  if (signature.byteLength === 0) return malformed('no signature');

  const header = parseStrictObject(headerBytes, MAX_DEPTH);
  if (header.kind === 'refused') return malformed(`header: ${header.fault}`);
  return readHeader(header.value, payload);
}

function readHeader(
  header: JsonObject,
  payload: Uint8Array,
): { readonly kind: 'jws'; readonly jws: Jws } | Refusal {
  for (const name of FORBIDDEN_PARAMETERS) {
    if (Object.hasOwn(header, name)) return invalid(`header parameter "${name}" is not accepted`);
  }
  const alg = member(header, 'alg');
  const typ = member(header, 'typ');
  const kid = member(header, 'kid');
  if (!isName(alg)) return malformed('header: "alg" is not a name');
  if (typ !== undefined && !isName(typ)) return malformed('header: "typ" is not a name');
  if (kid !== undefined && !isName(kid)) return malformed('header: "kid" is not a short text');
  return { kind: 'jws', jws: { alg, typ, kid, payload } };
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_NAME_CHARS;
}
