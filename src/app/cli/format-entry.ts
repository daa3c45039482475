import type { EntryView } from '#service/ledger';
import type { Io } from './io.ts';
import { paint, type Colour } from './paint.ts';

type RecordView = Extract<EntryView, { kind: 'record' }>;
type GapView = Extract<EntryView, { kind: 'gap' }>;

const DECISION_COLOURS: Readonly<Record<RecordView['record']['decision'], Colour>> = {
  allowed: 'green',
  refused: 'red',
  failed: 'yellow',
};

/** One entry of the ledger as one line: index, time, point, direction, decision, status, who calls whom, and what. */
export function formatEntry(io: Io, entry: EntryView): string {
  const index = paint(io, 'dim', String(entry.index).padStart(8));
  switch (entry.kind) {
    case 'record':
      return `${index}  ${formatRecord(io, entry)}\n`;
    case 'gap':
      return `${index}  ${localTime(entry.gap.timeMs)}  ${paint(io, 'red', formatGap(entry))}\n`;
    case 'damaged':
      return `${index}  ${paint(io, 'red', 'this entry is damaged: run `ringwall audit verify`')}\n`;
  }
}

/** What is missing, in words. */
export function formatGap({ gap }: Pick<GapView, 'gap'>): string {
  const { cause, epoch, fromSeq, point, toSeq } = gap;
  const which =
    toSeq === fromSeq ? `record ${fromSeq}` : `records ${fromSeq} to ${toSeq ?? 'an unknown one'}`;
  const of = `${which} of ${showText(point)} (${epoch})`;
  switch (cause) {
    case 'lost':
      return `MISSING  ${of}: the point no longer has them`;
    case 'malformed':
      return `MISSING  ${of}: what the point sent was no record`;
    case 'journal-replaced':
      return `MISSING  ${of}: the point's journal was emptied or put back`;
    case 'ledger-damaged':
      return `MISSING  entries ${fromSeq - 1} to ${(toSeq ?? fromSeq) - 1}: control lost them before they were signed`;
  }
}

function formatRecord(io: Io, { point, record }: RecordView): string {
  const { caller, callee, client, decision, detail, direction, host, method, path, reason, status, user } =
    record;
  const isOperation = direction === 'operation';
  const who =
    lastPart(direction === 'edge' || isOperation ? client.id : caller) || `${client.kind} ${client.address}`;
  const whom = lastPart(callee) || (isOperation ? lastPart(user) || 'control' : host || '?');
  // A connection that ended before there was a request has a record too.
  const what = method === '' && path === '' ? 'no request' : `${method} ${path}`.trimEnd();
  const answer = status === 0 ? '---' : String(status);
  const why = [reason, detail].filter(text => text !== '').map(showText);
  return [
    localTime(record.timeMs),
    showText(point).padEnd(8),
    direction.padEnd(9),
    paint(io, DECISION_COLOURS[decision], decision.padEnd(7)),
    answer,
    `${showText(who)} → ${showText(whom)}`,
    showText(what),
    ...(why.length === 0 ? [] : [paint(io, 'yellow', why.join(': '))]),
    paint(io, 'dim', `${(record.durationUs / 1000).toFixed(1)} ms`),
    ...(record.requestId === '' ? [] : [paint(io, 'dim', showText(record.requestId))]),
  ].join('  ');
}

/** The subject of `issuer|subject`, the service of a SPIFFE ID. */
function lastPart(identity: string): string {
  const bar = identity.lastIndexOf('|');
  return bar >= 0
    ? identity.slice(bar + 1)
    : identity.startsWith('spiffe://')
      ? identity.slice(identity.lastIndexOf('/') + 1)
      : identity;
}

// UNTRUSTED: paths and hosts are what anyone sent. Control characters and marks that turn the direction of text
// around would let a request write to the operator's terminal.
const HOSTILE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/g;

export function showText(text: string): string {
  return text.replace(HOSTILE, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** ISO 8601 in the time zone of this machine, with its offset. */
export function localTime(timeMs: number): string {
  const offsetMinutes = -new Date(timeMs).getTimezoneOffset();
  const local = new Date(timeMs + offsetMinutes * 60_000);
  if (Number.isNaN(local.getTime())) return `${timeMs} ms`;
  const minutes = Math.abs(offsetMinutes);
  const two = (value: number) => String(value).padStart(2, '0');
  const offset = `${offsetMinutes < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
  return local.toISOString().replace('Z', offset);
}
