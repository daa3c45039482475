/**
 * Records: what the ledger keeps of one transaction, and the one way to write it down. Written by enforcement points
 * for every request, allowed or refused. Holds no header, body, query string, token or secret.
 *
 * A record has exactly one encoding: a line of printable ASCII, so that nothing in it can break a line, a terminal or
 * a hash. An entry is a record with its origin (`point/epoch/seq`), or the note that records are missing.
 */
export type { TransactionRecord } from './record.ts';
export { encodeRecord } from './encode-record.ts';
export { decodeRecord, RecordError } from './decode-record.ts';
export { decodeEntry, encodeGapEntry, encodeRecordEntry, parseRecordId, recordId } from './entry.ts';
export type { Gap, GapCause, LedgerEntry, RecordOrigin } from './entry.ts';
export { MAX_ENTRY_BYTES } from './limits.ts';
