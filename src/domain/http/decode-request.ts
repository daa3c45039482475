import type { Reason } from '#domain/decision';
import { readAuthority } from './authority.ts';
import { readConnection } from './connection-options.ts';
import { HTTP_FAULTS, type HttpFault } from './fault.ts';
import { FieldSection, octetFault } from './field-section.ts';
import { CHUNKED, NO_BODY, readContentLength, readTransferEncoding, type Framing } from './framing.ts';
import type { HeaderList } from './header-list.ts';
import type { HttpLimits } from './limits.ts';
import { CR, LF, SP, TARGET } from './octets.ts';
import { readTarget } from './request-target.ts';

export type RequestHead = {
  readonly method: string;
  /** In origin-form, or `*` of an OPTIONS request. Not normalised. */
  readonly target: string;
  readonly rawPath: string;
  /** With its `?`, or empty. */
  readonly rawQuery: string;
  /** `host[:port]` in lower case. */
  readonly authority: string;
  readonly host: string;
  readonly version: '1.0' | '1.1' | '2.0';
  readonly headers: HeaderList;
  readonly framing: Framing;
  /** Whether the client lets the connection go on; never for HTTP/1.0 (RFC 9112 §9.3). */
  readonly keepAlive: boolean;
  readonly expectContinue: boolean;
  /** The protocols asked for, where `Connection: upgrade` asks for any. */
  readonly upgrade: string | undefined;
};

export type DecodedRequest =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'head'; readonly head: RequestHead; readonly consumed: number }
  | { readonly kind: 'refused'; readonly reason: Reason; readonly fault: HttpFault };

const INCOMPLETE: DecodedRequest = { kind: 'incomplete' };
/** Most heads are shorter; longer ones are looked at a second time. */
const FIRST_LOOK_BYTES = 2_048;
const MAX_METHOD_BYTES = 24;

/**
 * Decodes the request head at the start of `buffer[start, end)`: whole, not yet whole, or refused.
 *
 * A refusal is final, as is everything before it: more bytes do not change it. One empty line before the request line
 * is passed over (RFC 9112 §2.2).
 */
export function decodeRequestHead(
  buffer: Buffer,
  start: number,
  end: number,
  limits: HttpLimits,
): DecodedRequest {
  // UNTRUSTED: buffer
  const looked = Math.min(end, start + FIRST_LOOK_BYTES, start + limits.maxHeadBytes);
  const outcome = decode(buffer, start, looked, limits);
  if (outcome !== 'incomplete') return typeof outcome === 'string' ? refused(outcome) : outcome;
  if (looked === end && end - start < limits.maxHeadBytes) return INCOMPLETE;

  const most = Math.min(end, start + limits.maxHeadBytes);
  const again = looked === most ? 'incomplete' : decode(buffer, start, most, limits);
  if (again !== 'incomplete') return typeof again === 'string' ? refused(again) : again;
  return most - start === limits.maxHeadBytes ? refused('head-too-large') : INCOMPLETE;
}

function refused(fault: HttpFault): DecodedRequest {
  return { kind: 'refused', reason: HTTP_FAULTS[fault].reason, fault };
}

function decode(
  buffer: Buffer,
  start: number,
  end: number,
  limits: HttpLimits,
): HttpFault | 'incomplete' | (DecodedRequest & { kind: 'head' }) {
  let at = start;
  if (at >= end) return 'incomplete';
  if (buffer[at] === CR) {
    if (at + 1 >= end) return 'incomplete';
    if (buffer[at + 1] !== LF) return 'bare-cr';
    at += 2;
  }

  // Request line: method SP target SP version CRLF, one SP each (RFC 9112 §3).
  const lineStart = at;
  while (at < end && isMethodCode(buffer[at]!)) at++;
  const methodEnd = at;
  if (methodEnd - lineStart > MAX_METHOD_BYTES) return 'bad-method';
  if (at >= end) return 'incomplete';
  if (buffer[at] !== SP || at === lineStart) return 'bad-method';
  at++;
  const targetStart = at;
  let query = -1;
  while (at < end && TARGET[buffer[at]!] === 1) {
    if (query < 0 && buffer[at] === 0x3f) query = at;
    at++;
  }
  const targetEnd = at;
  if (at - lineStart > limits.maxLineBytes) return 'target-too-long';
  if (at >= end) return 'incomplete';
  if (buffer[at] !== SP) return targetFault(buffer, at, end);
  if (at === targetStart) return 'bad-request-line';
  at++;
  const versionStart = at;
  while (at < end && at - versionStart <= 8 && TARGET[buffer[at]!] === 1) at++;
  if (at - lineStart > limits.maxLineBytes) return 'target-too-long';
  if (at - versionStart > 8) return 'bad-version';
  if (at >= end) return 'incomplete';
  if (buffer[at] !== CR) return buffer[at] === SP ? 'bad-request-line' : octetFault(buffer[at]!);
  if (at + 1 >= end) return 'incomplete';
  if (buffer[at + 1] !== LF) return 'bare-cr';
  const version = readVersion(buffer, versionStart, at);
  if (version !== '1.1' && version !== '1.0') return version;
  at += 2;

  const text = buffer.toString('latin1', start, end);
  const method = text.slice(lineStart - start, methodEnd - start);
  // RFC 9110 §9.3.6, §9.3.8: a tunnel past every decision, and an echo of credentials.
  if (method === 'CONNECT' || method === 'TRACE') return 'refused-method';
  const written = text.slice(targetStart - start, targetEnd - start);
  const target = readTarget(method, written, query < 0 ? -1 : query - targetStart);
  if (typeof target === 'string') return target;

  const section = new FieldSection('request', limits);
  const outcome = section.read(buffer, text, start, at, end);
  if (outcome !== 'read') return outcome;
  const { headers } = section;

  const host = headers.get('host');
  if (host === undefined) return 'missing-host';
  const authority = readAuthority(host);
  if (authority === undefined) return 'bad-host';
  // RFC 9112 §3.2.2 lets the target win; then who checked Host checked another host.
  if (target.authority !== undefined && target.authority !== authority.authority) return 'host-mismatch';

  const framing = readFraming(headers, version);
  if (typeof framing === 'string') return framing;
  const connection = readConnection(headers.get('connection'));
  if (connection === undefined) return 'bad-connection';
  const expect = headers.get('expect');
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') return 'unknown-expectation';

  return {
    kind: 'head',
    head: {
      method,
      target: target.target,
      rawPath: target.rawPath,
      rawQuery: target.rawQuery,
      authority: authority.authority,
      host: authority.host,
      version,
      headers,
      framing,
      keepAlive: version === '1.1' && !connection.close,
      // RFC 9110 §10.1.1: ignored in HTTP/1.0
      expectContinue: expect !== undefined && version === '1.1',
      upgrade: connection.upgrade && version === '1.1' ? headers.get('upgrade') : undefined,
    },
    consumed: section.end - start,
  };
}

function readFraming(headers: HeaderList, version: '1.0' | '1.1'): Framing | HttpFault {
  const length = headers.get('content-length');
  const coding = headers.get('transfer-encoding');
  if (coding === undefined) {
    if (length === undefined) return NO_BODY;
    const bytes = readContentLength(length);
    return bytes < 0 ? 'bad-length' : { kind: 'length', bytes };
  }
  // RFC 9112 §6.1: both lengths present is an attack, not a choice.
  if (length !== undefined) return 'both-lengths';
  if (version === '1.0') return 'transfer-encoding-1.0';
  const meaning = readTransferEncoding(coding);
  if (meaning === 'chunked') return CHUNKED;
  return meaning === 'unsupported' ? 'unsupported-transfer-encoding' : 'bad-transfer-encoding';
}

/** Methods are case-sensitive, and every registered one is of upper-case letters and `-`. */
function isMethodCode(code: number): boolean {
  return (code >= 0x41 && code <= 0x5a) || code === 0x2d;
}

function targetFault(buffer: Buffer, at: number, end: number): HttpFault | 'incomplete' {
  const code = buffer[at]!;
  if (code === 0x23) return 'target-fragment';
  // The line ends where a version should follow: a request of HTTP/0.9.
  if (code === CR) return at + 1 >= end ? 'incomplete' : buffer[at + 1] === LF ? 'http-0.9' : 'bare-cr';
  return octetFault(code);
}

function readVersion(buffer: Buffer, start: number, end: number): '1.0' | '1.1' | HttpFault {
  const major = buffer[start + 5]!;
  const minor = buffer[start + 7]!;
  const isVersion =
    end - start === 8 &&
    buffer[start] === 0x48 &&
    buffer[start + 1] === 0x54 &&
    buffer[start + 2] === 0x54 &&
    buffer[start + 3] === 0x50 &&
    buffer[start + 4] === 0x2f &&
    buffer[start + 6] === 0x2e &&
    isDigit(major) &&
    isDigit(minor);
  if (!isVersion) return 'bad-version';
  if (major === 0x31 && minor === 0x31) return '1.1';
  return major === 0x31 && minor === 0x30 ? '1.0' : 'unknown-version';
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}
