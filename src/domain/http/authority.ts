/** `host[:port]` in lower case, and its host (RFC 9110 §7.2). */
export type Authority = { readonly authority: string; readonly host: string };

const MAX_HOST_LENGTH = 255;
const COLON = 0x3a;

/** 1: letter or digit in lower case, `-`, `_`; 2: `.`; 3: upper-case letter. A reg-name without escapes or sub-delims. */
const HOST_CHARACTER: Uint8Array = Uint8Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code);
  return /^[a-z0-9\-_]$/.test(character) ? 1 : character === '.' ? 2 : /^[A-Z]$/.test(character) ? 3 : 0;
});

/**
 * Reads an authority: a DNS name, an IPv4 address or an IPv6 address in brackets, and optionally a port.
 *
 * Narrower than RFC 3986: no user information, no escapes, no empty labels, no empty, zero or zero-led port.
 */
export function readAuthority(value: string): Authority | undefined {
  // UNTRUSTED: value
  const length = value.length;
  if (length === 0 || length > MAX_HOST_LENGTH + 6) return undefined;
  if (value.startsWith('[')) return readIpv6(value.toLowerCase());

  let sawUpper = false;
  let afterDot = true;
  let end = 0;
  for (; end < length; end++) {
    const code = value.charCodeAt(end);
    if (code === COLON) break;
    const kind = code < 128 ? HOST_CHARACTER[code]! : 0;
    if (kind === 0 || (kind === 2 && afterDot)) return undefined;
    afterDot = kind === 2;
    if (kind === 3) sawUpper = true;
  }
  if (end === 0 || end > MAX_HOST_LENGTH || !isPort(value, end)) return undefined;
  const authority = sawUpper ? value.toLowerCase() : value;
  return { authority, host: end === length ? authority : authority.slice(0, end) };
}

function readIpv6(authority: string): Authority | undefined {
  const end = authority.indexOf(']') + 1;
  const host = authority.slice(0, end);
  if (!IPV6.test(host) || !isPort(authority, end)) return undefined;
  return { authority, host };
}

/** Enough to hold no delimiter; whether it is an address that we serve is found by comparing. */
const IPV6 = /^\[[0-9a-f:]{2,39}(?::\d{1,3}(?:\.\d{1,3}){3})?\]$/;

/** Whether nothing, or a colon and a port, stands from `from` to the end. */
function isPort(value: string, from: number): boolean {
  if (from === value.length) return true;
  const digits = value.length - from - 1;
  if (value.charCodeAt(from) !== COLON || digits < 1 || digits > 5) return false;
  let port = 0;
  for (let index = from + 1; index < value.length; index++) {
    const digit = value.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9 || (digit === 0 && port === 0)) return false;
    port = port * 10 + digit;
  }
  return port <= 65_535;
}
