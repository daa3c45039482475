const MAX_MEMBERS = 32;
/** §3.3.1.5: what every vendor should pass on at least. We pass on no more. */
const MAX_CHARACTERS = 512;
const LONG_MEMBER = 128;

/** §3.3.1.3.1: `key` or `tenant@system`. */
const KEY = /^(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})$/;
/** §3.3.1.3.2: printable without `,` and `=`, not ending in a space. */
const VALUE = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** The list that `tracestate` holds, in one spelling and within bounds; empty where any of it is wrong (§3.3.1). */
export function readTracestate(value: string): string {
  if (value === '') return '';
  const members: string[] = [];
  const keys = new Set<string>();
  const elements = value.split(',', 2 * MAX_MEMBERS + 1);
  if (elements.length > 2 * MAX_MEMBERS) return '';
  for (const element of elements) {
    const member = trimWhitespace(element);
    if (member === '') continue;
    const equals = member.indexOf('=');
    const key = member.slice(0, Math.max(0, equals));
    if (!KEY.test(key) || !VALUE.test(member.slice(equals + 1)) || keys.has(key)) return '';
    keys.add(key);
    members.push(member);
  }
  return members.length > MAX_MEMBERS ? '' : shorten(members);
}

/** §3.3.1.5: whole members go, the long ones first, then from the end. */
function shorten(members: readonly string[]): string {
  let kept = members;
  if (lengthOf(kept) > MAX_CHARACTERS) kept = kept.filter(member => member.length <= LONG_MEMBER);
  let count = kept.length;
  while (lengthOf(kept.slice(0, count)) > MAX_CHARACTERS) count--;
  return kept.slice(0, count).join(',');
}

function lengthOf(members: readonly string[]): number {
  return members.reduce((length, member) => length + member.length + 1, -1);
}

/** By hand: `trim()` also removes what is no whitespace of HTTP, and a regex for the end would not be linear. */
function trimWhitespace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isWhitespace(text.charCodeAt(start))) start++;
  while (end > start && isWhitespace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isWhitespace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
