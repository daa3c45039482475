const TAB = '    ';
const MAX_UNITS = 160;
const KEPT_BEFORE = 60;

/** A long line cut around the part that is meant; offsets in UTF-16 units. */
export function clipLine(
  text: string,
  start: number,
  length: number,
): { text: string; start: number; end: number } {
  const end = Math.min(text.length, start + length);
  if (text.length <= MAX_UNITS) return { text, start, end };
  const from = Math.max(0, Math.min(start - KEPT_BEFORE, text.length - MAX_UNITS));
  const to = Math.min(text.length, from + MAX_UNITS);
  const head = from > 0 ? '…' : '';
  const tail = to < text.length ? '…' : '';
  const shift = head.length - from;
  return {
    text: `${head}${text.slice(from, to)}${tail}`,
    start: start + shift,
    end: Math.min(end, to) + shift,
  };
}

/** Source text as it may be sent to a terminal: tabs as spaces, other control and direction characters as `�`. */
export function showLine(text: string): string {
  // Direction overrides could make a line read as what it is not (CVE-2021-42574).
  return text
    .replaceAll('\t', TAB)
    .replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, '\ufffd');
}

/** Columns that text takes in a terminal: combining marks none, wide East Asian characters and emoji two. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/^[\p{Mn}\p{Me}\p{Cf}]$/u.test(character)) continue;
    width += isWide(character.codePointAt(0) ?? 0) ? 2 : 1;
  }
  return width;
}

/** The large blocks of East Asian Width `W` and `F` (Unicode Standard Annex 11). */
function isWide(point: number): boolean {
  return (
    point >= 0x1100 &&
    (point <= 0x115f ||
      (point >= 0x2e80 && point <= 0xa4cf && point !== 0x303f) ||
      (point >= 0xac00 && point <= 0xd7a3) ||
      (point >= 0xf900 && point <= 0xfaff) ||
      (point >= 0xfe30 && point <= 0xfe6f) ||
      (point >= 0xff00 && point <= 0xff60) ||
      (point >= 0xffe0 && point <= 0xffe6) ||
      (point >= 0x1f300 && point <= 0x1faff) ||
      (point >= 0x20000 && point <= 0x3fffd))
  );
}
