import type { Reason } from '#domain/decision';
import { readConnection } from './connection-options.ts';
import type { HttpFault } from './fault.ts';
import { FieldSection, octetFault } from './field-section.ts';
import {
  CHUNKED,
  NO_BODY,
  readContentLength,
  readTransferEncoding,
  UNTIL_CLOSE,
  type Framing,
} from './framing.ts';
import type { HeaderList } from './header-list.ts';
import type { HttpLimits } from './limits.ts';
import { ANY_VALUE, CR, LF, SP } from './octets.ts';

export type ResponseHead = {
  readonly version: '1.0' | '1.1';
  readonly status: number;
  /** The phrase as sent; means nothing (RFC 9112 §4). */
  readonly reason: string;
  readonly headers: HeaderList;
  readonly framing: Framing;
  /** Whether the connection may carry another request when the body has ended. */
  readonly keepAlive: boolean;
};

export type DecodedResponse =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'head'; readonly head: ResponseHead; readonly consumed: number }
  | { readonly kind: 'refused'; readonly reason: Reason; readonly fault: HttpFault };

const INCOMPLETE: DecodedResponse = { kind: 'incomplete' };
const FIRST_LOOK_BYTES = 2_048;

/**
 * Decodes the response head at the start of `buffer[start, end)`, as strictly as requests are decoded: a service that
 * an attacker steers must not be able to have one response read as two.
 *
 * @param requestMethod decides with the status whether a body follows (RFC 9112 §6.3)
 */
export function decodeResponseHead(
  buffer: Buffer,
  start: number,
  end: number,
  limits: HttpLimits,
  requestMethod: string,
): DecodedResponse {
  // UNTRUSTED: buffer
  const most = Math.min(end, start + limits.maxHeadBytes);
  const looked = Math.min(most, start + FIRST_LOOK_BYTES);
  let outcome = decode(buffer, start, looked, limits, requestMethod);
  if (outcome === 'incomplete' && looked < most) outcome = decode(buffer, start, most, limits, requestMethod);
  if (outcome === 'incomplete') {
    return most - start === limits.maxHeadBytes ? refused('head-too-large') : INCOMPLETE;
  }
  return typeof outcome === 'string' ? refused(outcome) : outcome;
}

function refused(fault: HttpFault): DecodedResponse {
  return { kind: 'refused', reason: 'upstream-malformed', fault };
}

function decode(
  buffer: Buffer,
  start: number,
  end: number,
  limits: HttpLimits,
  requestMethod: string,
): HttpFault | 'incomplete' | (DecodedResponse & { kind: 'head' }) {
  // Status line: HTTP/1.x SP 3DIGIT [ SP reason ] CRLF. RFC 9112 §4 wants the second SP; servers leave it out with the
  // reason, and no second reading comes of it.
  const expected = 'HTTP/1.';
  let at = start;
  for (let index = 0; index < expected.length; index++, at++) {
    if (at >= end) return 'incomplete';
    if (buffer[at] !== expected.charCodeAt(index)) return 'bad-status-line';
  }
  if (at >= end) return 'incomplete';
  const minor = buffer[at++];
  if (minor !== 0x30 && minor !== 0x31) return 'unknown-version';
  const version = minor === 0x31 ? '1.1' : '1.0';
  if (at >= end) return 'incomplete';
  if (buffer[at++] !== SP) return 'bad-status-line';
  let status = 0;
  for (let digits = 0; digits < 3; digits++, at++) {
    if (at >= end) return 'incomplete';
    const digit = buffer[at]! - 0x30;
    if (digit < 0 || digit > 9) return 'bad-status';
    status = status * 10 + digit;
  }
  if (status < 100 || status > 599) return 'bad-status';
  if (at >= end) return 'incomplete';
  if (buffer[at] !== SP && buffer[at] !== CR) return buffer[at] === LF ? 'bare-lf' : 'bad-status-line';
  const reasonStart = buffer[at] === SP ? at + 1 : at;
  at = reasonStart;
  while (at < end && ANY_VALUE[buffer[at]!] === 1) at++;
  if (at - start > limits.maxLineBytes) return 'line-too-long';
  if (at >= end) return 'incomplete';
  if (buffer[at] !== CR) return octetFault(buffer[at]!);
  if (at + 1 >= end) return 'incomplete';
  if (buffer[at + 1] !== LF) return 'bare-cr';
  const reasonEnd = at;
  at += 2;

  const text = buffer.toString('latin1', start, end);
  const section = new FieldSection('response', limits);
  const outcome = section.read(buffer, text, start, at, end);
  if (outcome !== 'read') return outcome;
  const { headers } = section;

  const framing = readFraming(headers, version, status, requestMethod);
  if (typeof framing === 'string') return framing;
  const connection = readConnection(headers.get('connection'));
  if (connection === undefined) return 'bad-connection';
  const persists = version === '1.1' ? !connection.close : connection.keepAlive && !connection.close;
  return {
    kind: 'head',
    head: {
      version,
      status,
      reason: text.slice(reasonStart - start, reasonEnd - start),
      headers,
      framing,
      keepAlive: persists && framing.kind !== 'until-close',
    },
    consumed: section.end - start,
  };
}

/** RFC 9112 §6.3, in its order; what it tells recipients to overlook is refused. */
function readFraming(
  headers: HeaderList,
  version: '1.0' | '1.1',
  status: number,
  requestMethod: string,
): Framing | HttpFault {
  const length = headers.get('content-length');
  const coding = headers.get('transfer-encoding');
  if (length !== undefined && coding !== undefined) return 'both-lengths';
  const bytes = length === undefined ? 0 : readContentLength(length);
  if (bytes < 0) return 'bad-length';
  if (coding !== undefined) {
    if (version === '1.0') return 'transfer-encoding-1.0';
    const meaning = readTransferEncoding(coding);
    if (meaning !== 'chunked')
      return meaning === 'unsupported' ? 'unsupported-transfer-encoding' : 'bad-transfer-encoding';
  }
  if (status < 200 || status === 204) {
    // RFC 9110 §8.6, RFC 9112 §6.1: neither may announce a body. Servers do write `Content-Length: 0`.
    return coding !== undefined || bytes > 0 ? 'body-not-allowed' : NO_BODY;
  }
  // Here the fields tell of the body that a GET would have had.
  if (status === 304 || requestMethod === 'HEAD') return NO_BODY;
  if (coding !== undefined) return CHUNKED;
  return length === undefined ? UNTIL_CLOSE : { kind: 'length', bytes };
}
