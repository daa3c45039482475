export const CR = 0x0d;
export const LF = 0x0a;
export const SP = 0x20;
export const HTAB = 0x09;
export const DEL = 0x7f;
export const COLON = 0x3a;

/** For token characters their lower-case code, else 0 (RFC 9110 §5.6.2). */
export const TOKEN: Uint8Array = table(code => {
  const character = String.fromCharCode(code);
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]$/.test(character) ? character.toLowerCase().charCodeAt(0) : 0;
});

/** 1 for what may stand in a field value of a request: VCHAR, SP, HTAB (RFC 9110 §5.5, without obs-text). */
export const ASCII_VALUE: Uint8Array = table(code => ((code >= SP && code < DEL) || code === HTAB ? 1 : 0));

/** As above, with obs-text: Latin-1 in responses still occurs and is passed on byte by byte. */
export const ANY_VALUE: Uint8Array = table(code => (ASCII_VALUE[code] === 1 || code >= 0x80 ? 1 : 0));

/** 1 for what may stand in a request target: VCHAR without `#` (RFC 9112 §3.2). The path is vetted by `#domain/path`. */
export const TARGET: Uint8Array = table(code => (code > SP && code < DEL && code !== 0x23 ? 1 : 0));

function table(entry: (code: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => entry(code));
}
