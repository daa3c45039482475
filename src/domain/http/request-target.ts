import { readAuthority } from './authority.ts';
import type { HttpFault } from './fault.ts';

export type RequestTarget = {
  /** Origin-form, or `*`. */
  readonly target: string;
  readonly rawPath: string;
  readonly rawQuery: string;
  /** Of a target in absolute-form; must be that of Host. */
  readonly authority: string | undefined;
};

/**
 * Reads a request target and reduces absolute-form to origin-form (RFC 9112 §3.2).
 *
 * @param query where the first `?` stands, or -1
 */
export function readTarget(method: string, written: string, query: number): RequestTarget | HttpFault {
  if (written.charCodeAt(0) === 0x2f) {
    if (query < 0) return { target: written, rawPath: written, rawQuery: '', authority: undefined };
    return {
      target: written,
      rawPath: written.slice(0, query),
      rawQuery: written.slice(query),
      authority: undefined,
    };
  }
  if (written === '*') {
    if (method !== 'OPTIONS') return 'bad-target';
    return { target: '*', rawPath: '*', rawQuery: '', authority: undefined };
  }
  const absolute = ABSOLUTE.exec(written);
  if (absolute !== null) return readAbsolute(method, absolute[1]!, absolute[2]!, absolute[3]!);
  return written.includes('://')
    ? 'bad-absolute-form'
    : written.includes(':')
      ? 'authority-form'
      : 'bad-target';
}

const ABSOLUTE = /^https?:\/\/([^/?]*)([^?]*)(.*)$/i;

function readAbsolute(
  method: string,
  host: string,
  path: string,
  rawQuery: string,
): RequestTarget | HttpFault {
  const authority = readAuthority(host)?.authority;
  if (authority === undefined) return 'bad-absolute-form';
  // RFC 9112 §3.2.4: OPTIONS with neither path nor query asks for the server as a whole.
  if (method === 'OPTIONS' && path === '' && rawQuery === '')
    return { target: '*', rawPath: '*', rawQuery, authority };
  const rawPath = path === '' ? '/' : path;
  return { target: rawPath + rawQuery, rawPath, rawQuery, authority };
}
