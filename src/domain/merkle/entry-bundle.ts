import { MerkleError } from './merkle-error.ts';

const LENGTH_BYTES = 2;
const MAX_BUNDLE_ENTRY_BYTES = 0xff_ff;

/**
 * Entries one after the other, each behind its length in two big-endian bytes (C2SP tlog-tiles, log entries).
 *
 * @param make gives the buffer to write to, of at least so many bytes
 */
export function encodeBundle(
  entries: readonly Uint8Array[],
  make: (bytes: number) => Buffer = wanted => Buffer.allocUnsafe(wanted),
): Buffer {
  const bytes = make(entries.reduce((sum, entry) => sum + LENGTH_BYTES + entry.byteLength, 0));
  let at = 0;
  for (const entry of entries) {
    if (entry.byteLength > MAX_BUNDLE_ENTRY_BYTES) {
      throw new MerkleError('entry-too-long', `entry has ${entry.byteLength} bytes`);
    }
    at = bytes.writeUInt16BE(entry.byteLength, at);
    bytes.set(entry, at);
    at += entry.byteLength;
  }
  return bytes.subarray(0, at);
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
  const end = eachEntry(bytes, maxEntries, (from, to) => void entries.push(bytes.subarray(from, to)));
  return { entries, restBytes: bytes.byteLength - end };
}

/**
 * Tells where in a bundle its entries are: for those who look at few bytes of many entries.
 *
 * UNTRUSTED: as `decodeBundle`.
 *
 * @returns where the last entry ends
 */
export function eachEntry(
  bytes: Buffer,
  maxEntries: number,
  visit: (from: number, to: number) => void,
): number {
  let at = 0;
  for (let count = 0; count < maxEntries && at + LENGTH_BYTES <= bytes.byteLength; count += 1) {
    const from = at + LENGTH_BYTES;
    const to = from + bytes.readUInt16BE(at);
    if (to > bytes.byteLength) break;
    visit(from, to);
    at = to;
  }
  return at;
}
