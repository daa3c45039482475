import { quote } from '#base/error';
import { readAuthority } from './authority.ts';
import { HttpError } from './fault.ts';
import type { Framing } from './framing.ts';
import { entriesOf, linesOf, type HeaderList } from './header-list.ts';
import { TARGET } from './octets.ts';

/** The end of a chunked body without trailers (RFC 9112 §7.1). */
export const LAST_CHUNK = '0\r\n\r\n';

const LENGTH_LINE = '\r\ncontent-length: ';
const CHUNKED_LINE = '\r\ntransfer-encoding: chunked';
const END = '\r\n\r\n';

/**
 * Writes a request head, always of HTTP/1.1, to be sent as Latin-1.
 *
 * Host, the two lengths and the fields of the hop are written from the arguments; what `headers` says of them is passed
 * over.
 *
 * @throws {HttpError} `unencodable` for a byte that could end the line or be read in two ways
 */
export function encodeRequestHead(head: {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly headers: HeaderList;
  readonly framing: Framing;
}): string {
  const { method, target, authority, headers, framing } = head;
  checkMethod(method);
  checkTarget(method, target);
  if (readAuthority(authority)?.authority !== authority) {
    throw new HttpError(
      'unencodable',
      `${quote(authority)} is not a host in lower case with an optional port`,
    );
  }
  const text = `${method} ${target} HTTP/1.1\r\nhost: ${authority}${encodeFields(headers, false)}`;
  if (framing.kind === 'until-close')
    throw new HttpError('unencodable', 'a request cannot end with its connection');
  if (framing.kind === 'chunked') return `${text}${CHUNKED_LINE}${END}`;
  if (framing.kind === 'length') return `${text}${LENGTH_LINE}${checkLength(framing.bytes)}${END}`;
  // RFC 9110 §8.6: methods that anticipate content say that there is none.
  const anticipatesContent = method === 'POST' || method === 'PUT' || method === 'PATCH';
  return anticipatesContent ? `${text}${LENGTH_LINE}0${END}` : `${text}${END}`;
}

/**
 * Writes a response head of HTTP/1.1, to be sent as Latin-1.
 *
 * INVARIANT: `none` only where no body can follow: 1xx, 204, 304 and answers to HEAD. There a Content-Length in `headers`
 * tells of the body that a GET would have had, and stays. To a client of HTTP/1.0 send no `chunked`.
 *
 * @throws {HttpError} `unencodable`
 */
export function encodeResponseHead(head: {
  readonly status: number;
  readonly headers: HeaderList;
  readonly framing: Framing;
  readonly keepAlive: boolean;
}): string {
  const { status, headers, framing, keepAlive } = head;
  if (!Number.isInteger(status) || status < 100 || status > 599) {
    throw new HttpError('unencodable', `${status} is not a status code`);
  }
  const isBodiless = status < 200 || status === 204;
  if (isBodiless && framing.kind !== 'none') throw new HttpError('unencodable', `${status} has no body`);
  let text = `HTTP/1.1 ${status} ${PHRASES[status] ?? ''}`;
  text += encodeFields(headers, framing.kind === 'none' && !isBodiless);
  if (framing.kind === 'length') text += `${LENGTH_LINE}${checkLength(framing.bytes)}`;
  else if (framing.kind === 'chunked') text += CHUNKED_LINE;
  return keepAlive && framing.kind !== 'until-close' ? `${text}${END}` : `${text}\r\nconnection: close${END}`;
}

/** The line before `bytes` bytes of a chunked body, which are to be followed by CRLF. @param bytes at least 1 */
export function encodeChunkHead(bytes: number): string {
  // A chunk of size zero would end the body.
  if (checkLength(bytes) === 0) throw new HttpError('unencodable', 'a chunk holds at least one byte');
  return `${bytes.toString(16)}\r\n`;
}

/** The end of a chunked body with its trailers. */
export function encodeLastChunk(trailers: HeaderList | undefined): string {
  return trailers === undefined ? LAST_CHUNK : `0${encodeFields(trailers, false)}${END}`;
}

/**
 * All lines but those of this connection, each with the line end before it: fewer strings to join.
 *
 * INVARIANT: names and values in a `HeaderList` are checked when they enter it.
 */
function encodeFields(headers: HeaderList, withLength: boolean): string {
  let text = '';
  for (const { name, value, field } of entriesOf(headers)) {
    if (field === undefined) text += `\r\n${name}: ${value}`;
    else if (!field.isFraming || (withLength && name === 'content-length')) text += field.line + value;
  }
  return text + linesOf(headers);
}

function checkMethod(method: string): void {
  if (method === 'GET' || method === 'POST') return;
  if (!METHOD.test(method)) throw new HttpError('unencodable', `${quote(method)} is not a method`);
}

const METHOD = /^[A-Z-]{1,24}$/;

function checkTarget(method: string, target: string): void {
  if (target === '*' && method === 'OPTIONS') return;
  let isTarget = target.charCodeAt(0) === 0x2f;
  for (let index = 0; isTarget && index < target.length; index++) {
    const code = target.charCodeAt(index);
    isTarget = code < 0x80 && TARGET[code] === 1;
  }
  if (!isTarget)
    throw new HttpError('unencodable', `${quote(target)} is not a request target in origin-form`);
}

function checkLength(bytes: number): number {
  if (!Number.isSafeInteger(bytes) || bytes < 0)
    throw new HttpError('unencodable', `${bytes} is not a length`);
  return bytes;
}

/** The phrases of RFC 9110 §15; what is not here goes without (RFC 9112 §4). */
const PHRASES: Readonly<Record<number, string>> = {
  100: 'Continue',
  101: 'Switching Protocols',
  103: 'Early Hints',
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  206: 'Partial Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  416: 'Range Not Satisfiable',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  422: 'Unprocessable Content',
  428: 'Precondition Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};
