/** How the end of a message's body is found (RFC 9112 §6.3). */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** Responses only. */
  | { readonly kind: 'until-close' };

export const NO_BODY: Framing = { kind: 'none' };
export const CHUNKED: Framing = { kind: 'chunked' };
export const UNTIL_CLOSE: Framing = { kind: 'until-close' };

/** The value of a Content-Length field, or -1 where it is not `1*DIGIT` within 2^53-1 (RFC 9110 §8.6). */
export function readContentLength(value: string): number {
  const digits = value.length;
  if (digits === 0 || digits > 16) return -1;
  let bytes = 0;
  for (let index = 0; index < digits; index++) {
    const digit = value.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    bytes = bytes * 10 + digit;
  }
  return bytes <= Number.MAX_SAFE_INTEGER ? bytes : -1;
}

/** What a Transfer-Encoding field asks for: only a single `chunked` is understood (RFC 9112 §6.1). */
export function readTransferEncoding(value: string): 'chunked' | 'unsupported' | 'ambiguous' {
  if (value === 'chunked' || value.toLowerCase() === 'chunked') return 'chunked';
  return KNOWN_CODINGS.test(value) ? 'unsupported' : 'ambiguous';
}

/** Registered codings that a recipient may lack (501). Everything else is an attempt to be read in two ways (400). */
const KNOWN_CODINGS = /^(?:gzip|x-gzip|deflate|compress|x-compress|identity)(?:, ?chunked)?$/i;
