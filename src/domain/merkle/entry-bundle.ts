import { MerkleError } from './merkle-error.ts';

const LENGTH_BYTES = 2;
const MAX_BUNDLE_ENTRY_BYTES = 0xff_ff;

/** Entries one after the other, each behind its length in two big-endian bytes (C2SP tlog-tiles, log entries). */
export function encodeBundle(entries: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.allocUnsafe(entries.reduce((sum, entry) => sum + LENGTH_BYTES + entry.byteLength, 0));
  let at = 0;
  for (const entry of entries) {
    if (entry.byteLength > MAX_BUNDLE_ENTRY_BYTES) {
      throw new MerkleError('entry-too-long', `entry has ${entry.byteLength} bytes`);
    }
    at = bytes.writeUInt16BE(entry.byteLength, at);
    bytes.set(entry, at);
    at += entry.byteLength;
  }
  return bytes;
}

/**
 * Reads entries as far as the bytes make sense.
 *
 * UNTRUSTED: stops at the first length that leads out of the bytes; `entries` are then those before it.
 *
 * @returns `restBytes` is what is left behind the last entry, 0 in a whole bundle
 */
export function decodeBundle(bytes: Buffer, maxEntries: number): { entries: Buffer[]; restBytes: number } {
  const entries: Buffer[] = [];
  let at = 0;
  while (entries.length < maxEntries && at + LENGTH_BYTES <= bytes.byteLength) {
    const start = at + LENGTH_BYTES;
    const end = start + bytes.readUInt16BE(at);
    if (end > bytes.byteLength) break;
    entries.push(bytes.subarray(start, end));
    at = end;
  }
  return { entries, restBytes: bytes.byteLength - at };
}
