import type { Inbox } from './inbox.ts';

const MAX_SHOWN_CHARS = 128;

/** The beginning of what could not be read, printable. */
export function shownLine(inbox: Inbox): string {
  const text = inbox.bytes.toString(
    'latin1',
    inbox.start,
    Math.min(inbox.end, inbox.start + MAX_SHOWN_CHARS),
  );
  // Without the query: it may hold what no record may hold.
  const line = text.split(/[\r\n?]/, 1)[0] ?? '';
  return line.replace(/[^\x21-\x7e]/g, unit => `\\x${unit.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
