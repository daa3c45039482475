import { sha256 } from '#base/bytes';
import { MAX_UNITS } from './limits.ts';
import type { TransactionRecord } from './record.ts';

export const RECORD_VERSION = 1;

/**
 * Writes a record as its one canonical line: a JSON object with fixed key order, printable ASCII only, no newline.
 * Texts that are too long are cut, numbers that are no counts become the nearest count; it never throws, because a
 * record that cannot be written would be a transaction that nobody sees.
 */
export function encodeRecord(record: TransactionRecord): string {
  const { client } = record;
  return (
    `{"v":1,"timeMs":${count(record.timeMs)},"requestId":${text(record.requestId, MAX_UNITS.requestId)}` +
    `,"traceId":${text(record.traceId, MAX_UNITS.traceId)},"direction":"${record.direction}"` +
    `,"client":{"kind":"${client.kind}","id":${identity(client.id)},"address":${text(client.address, MAX_UNITS.address)}}` +
    `,"user":${identity(record.user)},"caller":${identity(record.caller)},"callee":${identity(record.callee)}` +
    `,"host":${text(record.host, MAX_UNITS.host)},"method":${text(record.method, MAX_UNITS.method)}` +
    `,"path":${text(record.path, MAX_UNITS.path)},"rule":${text(record.rule, MAX_UNITS.rule)}` +
    `,"decision":"${record.decision}","reason":"${record.reason}","detail":${text(record.detail, MAX_UNITS.detail)}` +
    `,"status":${count(record.status)},"bytesIn":${count(record.bytesIn)},"bytesOut":${count(record.bytesOut)}` +
    `,"durationUs":${count(record.durationUs)}}`
  );
}

// Printable ASCII without quote and backslash stands for itself in JSON.
const PLAIN = /^[ !#-[\]-~]*$/;
const NOT_ASCII = /[\u007f-\uffff]/g;

/** A JSON string in printable ASCII, of at most `maxUnits` units of the original. */
export function text(value: string, maxUnits: number): string {
  const kept = value.length > maxUnits ? value.slice(0, maxUnits) : value;
  return PLAIN.test(kept) ? `"${kept}"` : JSON.stringify(kept).replace(NOT_ASCII, escapeUnit);
}

/** Two identities that differ only after the cut must not become one: the cut ends in a digest of the whole. */
function identity(value: string): string {
  if (value.length <= MAX_UNITS.id) return text(value, MAX_UNITS.id);
  const digest = sha256(value).toString('hex', 0, 16);
  return text(`${value.slice(0, MAX_UNITS.id - digest.length - 1)}~${digest}`, MAX_UNITS.id);
}

function count(value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  return value > 0 ? Math.min(Math.floor(value), Number.MAX_SAFE_INTEGER) : 0;
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
