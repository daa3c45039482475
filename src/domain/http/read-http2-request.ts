import type { Reason } from '#domain/decision';
import { readAuthority } from './authority.ts';
import type { RequestHead } from './decode-request.ts';
import { HTTP_FAULTS, type HttpFault } from './fault.ts';
import { CHUNKED, NO_BODY, readContentLength, type Framing } from './framing.ts';
import { HeaderList, tryPush } from './header-list.ts';
import type { HttpLimits } from './limits.ts';
import { TARGET } from './octets.ts';
import { readTarget } from './request-target.ts';
import { isTrailerName } from './untrusted.ts';

export type ReadHttp2Request =
  | { readonly kind: 'head'; readonly head: RequestHead }
  | { readonly kind: 'refused'; readonly reason: Reason; readonly fault: HttpFault };

const PSEUDO = [':method', ':scheme', ':authority', ':path'] as const;
type Pseudo = Partial<Record<(typeof PSEUDO)[number], string>>;

const METHOD = /^[A-Z-]{1,24}$/;
/** RFC 9113 §6.5.2: what a field counts for besides its octets. */
const FIELD_OVERHEAD = 32;

/**
 * Reads the header section of an HTTP/2 request into the same head as one of HTTP/1.1, by the same rules, so that
 * nothing which follows can tell them apart: what could not be said in HTTP/1.1 without doubt is refused (RFC 9113 §8.2
 * and §8.3, §10.3).
 *
 * @param fields names and values in turn, in the order of the wire, as Latin-1
 * @param endsHere whether the stream has no content
 * @param scheme of the connection
 */
export function readHttp2Request(
  fields: readonly string[],
  endsHere: boolean,
  scheme: 'http' | 'https',
  limits: HttpLimits,
): ReadHttp2Request {
  // UNTRUSTED: fields
  const head = read(fields, endsHere, scheme, limits);
  return typeof head === 'string'
    ? { kind: 'refused', reason: HTTP_FAULTS[head].reason, fault: head }
    : { kind: 'head', head };
}

function read(
  fields: readonly string[],
  endsHere: boolean,
  scheme: 'http' | 'https',
  limits: HttpLimits,
): RequestHead | HttpFault {
  const section = readSection(fields, limits);
  if (typeof section === 'string') return section;
  const { pseudo, headers } = section;
  const { ':method': method, ':path': path } = pseudo;
  if (method === undefined || path === undefined || pseudo[':scheme'] === undefined)
    return 'bad-pseudo-header';
  if (!METHOD.test(method)) return 'bad-method';
  if (method === 'CONNECT' || method === 'TRACE') return 'refused-method';
  // RFC 9113 §8.3.1: another scheme would be a request for another server.
  if (pseudo[':scheme'] !== scheme) return 'bad-pseudo-header';
  const pathFault = faultOfPath(path);
  if (pathFault !== undefined) return pathFault;
  const target = readTarget(method, path, path.indexOf('?'));
  if (typeof target === 'string') return target;
  // Only HTTP/1.1 has the absolute form.
  if (target.authority !== undefined) return 'bad-target';

  const authority = readHost(pseudo[':authority'], headers.get('host'));
  if (typeof authority === 'string') return authority;
  const framing = readFraming(headers.get('content-length'), endsHere);
  if (typeof framing === 'string') return framing;
  const expect = headers.get('expect');
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') return 'unknown-expectation';
  joinCookies(headers);
  return {
    method,
    target: target.target,
    rawPath: target.rawPath,
    rawQuery: target.rawQuery,
    authority: authority.authority,
    host: authority.host,
    version: '2.0',
    headers,
    framing,
    keepAlive: true,
    expectContinue: expect !== undefined,
    upgrade: undefined,
  };
}

/** Reads the trailer section of an HTTP/2 request; a fault where it holds what no trailer may (RFC 9110 §6.5.1). */
export function readHttp2Trailers(
  fields: readonly string[],
  limits: HttpLimits,
): HeaderList | undefined | HttpFault {
  const section = readSection(fields, { ...limits, maxHeadBytes: limits.maxTrailerBytes });
  if (typeof section === 'string') return section === 'head-too-large' ? 'trailers-too-large' : section;
  if (Object.keys(section.pseudo).length > 0) return 'bad-pseudo-header';
  for (const [name] of section.headers.entries()) if (!isTrailerName(name)) return 'forbidden-trailer';
  return section.headers.size === 0 ? undefined : section.headers;
}

function readSection(
  fields: readonly string[],
  limits: HttpLimits,
): { readonly pseudo: Pseudo; readonly headers: HeaderList } | HttpFault {
  const pseudo: Pseudo = {};
  const headers = new HeaderList();
  let bytes = 0;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at]!;
    const value = fields[at + 1]!;
    bytes += name.length + value.length + FIELD_OVERHEAD;
    if (bytes > limits.maxHeadBytes) return 'head-too-large';
    if (name.length + value.length > limits.maxLineBytes)
      return name === ':path' ? 'target-too-long' : 'line-too-long';
    const fault = name.startsWith(':')
      ? takePseudo(pseudo, name, value, headers)
      : takeField(headers, name, value, limits);
    if (fault !== undefined) return fault;
  }
  return { pseudo, headers };
}

function takePseudo(pseudo: Pseudo, name: string, value: string, headers: HeaderList): HttpFault | undefined {
  const known = PSEUDO.find(one => one === name);
  // §8.3: once each, known ones only, and before all regular fields.
  if (known === undefined || pseudo[known] !== undefined || headers.size > 0) return 'bad-pseudo-header';
  pseudo[known] = value;
  return undefined;
}

function takeField(
  headers: HeaderList,
  name: string,
  value: string,
  limits: HttpLimits,
): HttpFault | undefined {
  if (headers.size === limits.maxHeaders) return 'too-many-headers';
  // §8.2.2: what frames or concerns an HTTP/1.1 connection has no place here; `te` only as `trailers`.
  if (CONNECTION_SPECIFIC.has(name) || (name === 'te' && value !== 'trailers'))
    return 'connection-specific-field';
  const pushed = tryPush(headers, name, value);
  if (pushed === 'pushed') return undefined;
  if (pushed === 'second-of-a-single-field')
    return name === 'content-length' ? 'duplicate-length' : 'duplicate-field';
  return pushed === 'bad-value' ? 'control-character' : 'bad-name';
}

const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

function faultOfPath(path: string): HttpFault | undefined {
  if (path === '') return 'bad-target';
  for (let index = 0; index < path.length; index++) {
    const code = path.charCodeAt(index);
    if (code === 0x23) return 'target-fragment';
    if (code >= 0x80) return 'non-ascii';
    if (TARGET[code] !== 1) return 'bad-target';
  }
  return undefined;
}

/** §8.3.1: `:authority` and Host are one; either alone will do. */
function readHost(authority: string | undefined, host: string | undefined) {
  const written = authority ?? host;
  if (written === undefined) return 'missing-host';
  const read = readAuthority(written);
  if (read === undefined) return 'bad-host';
  return host !== undefined && readAuthority(host)?.authority !== read.authority ? 'host-mismatch' : read;
}

function readFraming(length: string | undefined, endsHere: boolean): Framing | HttpFault {
  if (length === undefined) return endsHere ? NO_BODY : CHUNKED;
  const bytes = readContentLength(length);
  // §8.1.1: a length that the content will not have makes the request malformed.
  if (bytes < 0 || (endsHere && bytes > 0)) return 'bad-length';
  return { kind: 'length', bytes };
}

/** §8.2.3: crumbs become one field before they leave HTTP/2. */
function joinCookies(headers: HeaderList): void {
  const crumbs = headers.all('cookie');
  if (crumbs.length < 2) return;
  headers.remove('cookie');
  const cookie = crumbs.filter(crumb => crumb !== '').join('; ');
  if (cookie !== '') headers.push('cookie', cookie);
}
