import { quote } from '#base/error';
import type { Parsed } from './grammar.ts';

/**
 * `https://bank.example` or, on loopback only, `http://127.0.0.1:4445`: scheme, host and port (RFC 6454 §6.2).
 * The written form must be the serialised one, so that text comparison decides.
 */
export function parseOrigin(text: string): Parsed<string> {
  const url = parseUrl(text);
  if (url === undefined)
    return refuse(text, `${quote(text)} is not an origin`, 'write it like `https://bank.example`');
  const fault = faultOf(url);
  if (fault !== undefined) return refuse(text, fault.message, fault.hint);
  if (text !== url.origin) {
    return refuse(text, `${quote(text)} is more than scheme, host and port`, `write \`${url.origin}\``);
  }
  return { kind: 'parsed', value: text };
}

/** The URL of an issuer: https, or http on loopback; no query, no fragment (RFC 8414 §2). Kept exactly as written. */
export function parseIssuerUrl(text: string): Parsed<string> {
  const url = parseUrl(text);
  if (url === undefined) {
    return refuse(text, `${quote(text)} is not an issuer`, 'write its URL, or `local` for the built-in one');
  }
  const fault = faultOf(url);
  if (fault !== undefined) return refuse(text, fault.message, fault.hint);
  if (text.includes('?') || text.includes('#')) return refuse(text, 'an issuer has no query and no fragment');
  return { kind: 'parsed', value: text };
}

/** What is wrong with a URL as a destination, whatever its path. */
function faultOf(url: URL): { message: string; hint?: string } | undefined {
  if (url.username !== '' || url.password !== '')
    return { message: 'credentials do not belong into a model' };
  if (url.hostname.includes('*')) return { message: 'hosts are written out, one by one' };
  if (url.protocol === 'https:') return undefined;
  if (url.protocol !== 'http:') return { message: 'the scheme must be https' };
  return isLoopback(url.hostname)
    ? undefined
    : { message: 'plain http is possible on loopback only', hint: `write \`https://${url.host}\`` };
}

function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname === '[::1]' ||
    /^127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}$/.test(hostname)
  );
}

function parseUrl(text: string): URL | undefined {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#]/i.test(text)) return undefined;
  return URL.canParse(text) ? new URL(text) : undefined;
}

function refuse(text: string, message: string, hint?: string): Parsed<never> {
  const wrong = { kind: 'wrong', code: 'bad-origin', message, index: 0, length: text.length } as const;
  return hint === undefined ? wrong : { ...wrong, hint };
}
