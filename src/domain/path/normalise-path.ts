/** Why a path is refused. Stable: proofs and explanations hold these words. */
export type PathFault =
  | 'not-absolute'
  | 'bad-character'
  | 'bad-escape'
  | 'bad-utf8'
  | 'control-character'
  | 'empty-segment'
  | 'dot-segment'
  | 'encoded-slash'
  | 'backslash'
  | 'path-parameter'
  | 'fragment'
  | 'encoded-question-mark'
  | 'double-encoding';

export type NormalisedPath =
  { readonly kind: 'path'; readonly path: string } | { readonly kind: 'refused'; readonly reason: PathFault };

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;

/** 1: may stand in a path segment as it is (RFC 3986 §3.3 pchar, without `;`). */
const PLAIN = plainTable();

/**
 * Brings a raw request path (what stands before `?`) into its one normal form, or refuses it (RFC 3986 §6.2.2).
 *
 * Escapes of characters that may stand unescaped are decoded, the remaining escapes are written in upper case. A path
 * that needs any other repair is refused. Idempotent. The trailing slash is significant.
 */
export function normalisePath(raw: string): NormalisedPath {
  // UNTRUSTED: raw
  const length = raw.length;
  if (length === 0 || raw.charCodeAt(0) !== SLASH) return refused('not-absolute');

  let dots = 0; // dots of the current segment as long as it holds nothing else, else -1
  let segmentStart = 1;
  for (let index = 1; index < length; index++) {
    const code = raw.charCodeAt(index);
    if (code === SLASH) {
      if (index === segmentStart) return refused('empty-segment');
      if (dots === 1 || dots === 2) return refused('dot-segment');
      segmentStart = index + 1;
      dots = 0;
    } else if (code === DOT) {
      if (dots >= 0) dots++;
    } else if (code < 128 && PLAIN[code] === 1) {
      dots = -1;
    } else if (code === PERCENT) {
      return normaliseEscaped(raw);
    } else {
      return refused(faultOf(code));
    }
  }
  if (dots === 1 || dots === 2) return refused('dot-segment');
  return { kind: 'path', path: raw };
}

/** As above, for a path that holds at least one escape. */
function normaliseEscaped(raw: string): NormalisedPath {
  let path = '';
  let index = 0;
  while (index < raw.length) {
    const code = raw.charCodeAt(index);
    if (code !== PERCENT) {
      if (code !== SLASH && (code >= 128 || PLAIN[code] !== 1)) return refused(faultOf(code));
      path += raw.charAt(index);
      index++;
      continue;
    }
    const byte = escapeAt(raw, index);
    if (byte < 0) return refused('bad-escape');
    if (byte < 0x80) {
      if (PLAIN[byte] === 1) path += String.fromCharCode(byte);
      else if (byte === SLASH) return refused('encoded-slash');
      else if (FAULTS.has(byte) || byte < 0x20 || byte === 0x7f) return refused(faultOf(byte));
      else path += raw.slice(index, index + 3).toUpperCase();
      index += 3;
      continue;
    }
    const bytes = sequenceLength(raw, index, byte);
    if (bytes === 0) return refused('bad-utf8');
    // U+0080 to U+009F are control characters too.
    if (byte === 0xc2 && escapeAt(raw, index + 3) < 0xa0) return refused('control-character');
    path += raw.slice(index, index + 3 * bytes).toUpperCase();
    index += 3 * bytes;
  }
  return checkDecoded(path);
}

/** INVARIANT: judges what was decoded, not what was sent: `%2e%2e` and `%25%32%66` show only here. */
function checkDecoded(path: string): NormalisedPath {
  if (path.includes('//')) return refused('empty-segment');
  if (DOT_SEGMENT.test(path)) return refused('dot-segment');
  if (DOUBLE_ENCODING.test(path)) return refused('double-encoding');
  const lookalike = compatibilityFault(path);
  return lookalike === undefined ? { kind: 'path', path } : refused(lookalike);
}

const DOT_SEGMENT = /\/\.{1,2}(?:\/|$)/;
const DOUBLE_ENCODING = /%25[0-9A-Fa-f]{2}/;
const BEYOND_ASCII = /%[89A-F]/;

/** Letters such as U+FF0F (full-width `/`) turn into ASCII in backends that apply Unicode normalisation (NFKC). */
function compatibilityFault(path: string): PathFault | undefined {
  if (!BEYOND_ASCII.test(path)) return undefined;
  const folded = decodeURIComponent(path).normalize('NFKC');
  if (folded.includes('\\')) return 'backslash';
  if (count(folded, '/') !== count(path, '/')) return 'encoded-slash';
  return DOT_SEGMENT.test(folded) ? 'dot-segment' : undefined;
}

function count(text: string, character: string): number {
  let found = 0;
  for (let index = text.indexOf(character); index >= 0; index = text.indexOf(character, index + 1)) found++;
  return found;
}

/** The byte that the escape at `index` stands for, or -1. */
function escapeAt(raw: string, index: number): number {
  if (raw.charCodeAt(index) !== PERCENT) return -1;
  const high = hexValue(raw.charCodeAt(index + 1));
  const low = hexValue(raw.charCodeAt(index + 2));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** How many escapes form one character beyond ASCII, 0 when they form none (RFC 3629 §4: no overlong, no surrogates). */
function sequenceLength(raw: string, index: number, lead: number): number {
  const continuations =
    lead >= 0xc2 && lead <= 0xdf
      ? 1
      : lead >= 0xe0 && lead <= 0xef
        ? 2
        : lead >= 0xf0 && lead <= 0xf4
          ? 3
          : 0;
  if (continuations === 0) return 0;
  for (let nth = 1; nth <= continuations; nth++) {
    const byte = escapeAt(raw, index + 3 * nth);
    let least = 0x80;
    let most = 0xbf;
    if (nth === 1) {
      if (lead === 0xe0) least = 0xa0;
      else if (lead === 0xed) most = 0x9f;
      else if (lead === 0xf0) least = 0x90;
      else if (lead === 0xf4) most = 0x8f;
    }
    if (byte < least || byte > most) return 0;
  }
  return 1 + continuations;
}

/** Characters that some servers take for structure, refused plain and escaped: a later decoding would cut there. */
const FAULTS: ReadonlyMap<number, PathFault> = new Map([
  [0x5c, 'backslash'], // taken for `/` by browsers, IIS and Node's URL
  [0x3b, 'path-parameter'], // Tomcat and Jetty cut `;…` off a segment: `/..;/`
  [0x23, 'fragment'], // CVE-2021-39156
  [0x3f, 'encoded-question-mark'],
]);

function faultOf(code: number): PathFault {
  if (code < 0x20 || code === 0x7f) return 'control-character';
  return FAULTS.get(code) ?? 'bad-character';
}

function refused(reason: PathFault): NormalisedPath {
  return { kind: 'refused', reason };
}

function plainTable(): Uint8Array {
  const table = new Uint8Array(128);
  const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@";
  for (const character of plain) table[character.charCodeAt(0)] = 1;
  return table;
}
