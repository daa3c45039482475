import { readConnection } from './connection-options.ts';
import { FIELDS, isReservedPrefix } from './fields.ts';
import { keepWhere, type HeaderList } from './header-list.ts';

/**
 * Removes from a request what its sender must not tell the service behind: the fields of this hop (RFC 9110 §7.6.1) and
 * those that Connection names, every name that is reserved, and every name with characters besides letters, digits
 * and `-`.
 *
 * The last because CGI, WSGI, Rack and PHP write `-`, `_` and `.` alike: `x.ringwall_user` would arrive as ours.
 */
export function dropUntrusted(headers: HeaderList): void {
  const listed = namesListed(headers);
  keepWhere(headers, ({ name, field }) => {
    if (field === undefined ? !isUnambiguous(name) || isReservedPrefix(name) : field.drop !== undefined)
      return false;
    return listed.length === 0 || !listed.includes(name);
  });
}

/** Removes from a response the fields of this hop and the names that only Ringwall sets. */
export function dropUntrustedOfResponse(headers: HeaderList): void {
  const listed = namesListed(headers);
  keepWhere(headers, ({ name, field }) => {
    // Known names have their one spelling.
    if (field === undefined ? mayBeOurs(name) : field.drop === 'hop-by-hop' || field.drop === 'ringwall')
      return false;
    return listed.length === 0 || !listed.includes(name);
  });
}

/** @param name a token in lower case */
function mayBeOurs(name: string): boolean {
  return name.length >= OURS.length && name.charCodeAt(0) === 0x78 && foldAliases(name).startsWith(OURS);
}

const OURS = 'x-ringwall-';

/**
 * Whether only Ringwall may set `name`, or a name that some server takes for the same: letter case, `_`, `.` and `-`
 * make no difference.
 */
export function isReservedName(name: string): boolean {
  const folded = foldAliases(name);
  const drop = FIELDS.get(folded)?.drop;
  return (drop !== undefined && drop !== 'hop-by-hop') || isReservedPrefix(folded);
}

/** Whether `name` may stand in a trailer section: never what routes, frames, authenticates or is reserved (RFC 9110 §6.5.1). */
export function isTrailerName(name: string): boolean {
  const field = FIELDS.get(name);
  if (field !== undefined) return !field.single && field.drop === undefined && !NOT_IN_TRAILERS.has(name);
  return isUnambiguous(name) && !isReservedPrefix(name);
}

/** Control of the message, the cache or the session, beside what is single-valued or dropped anyway. */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  'age',
  'cache-control',
  'content-encoding',
  'content-language',
  'cookie',
  'expires',
  'if-match',
  'if-none-match',
  'pragma',
  'retry-after',
  'set-cookie',
  'trailer',
  'vary',
  'via',
  'www-authenticate',
  'access-control-allow-origin',
  'content-security-policy',
  'strict-transport-security',
]);

function namesListed(headers: HeaderList): readonly string[] {
  const value = headers.get('connection');
  return value === undefined ? NO_NAMES : (readConnection(value)?.names ?? NO_NAMES);
}

const NO_NAMES: readonly string[] = [];

/** @param name a token in lower case */
function isUnambiguous(name: string): boolean {
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index);
    const isLetterOrDigit = (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39);
    if (!isLetterOrDigit && code !== 0x2d) return false;
  }
  return true;
}

function foldAliases(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '-');
}
