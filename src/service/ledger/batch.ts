import {
  decodeRecord,
  encodeGapEntry,
  encodeRecordEntry,
  RecordError,
  type GapCause,
  type LedgerEntry,
  type RecordOrigin,
} from '#domain/record';
import type { JournalBatch } from './journal.ts';
import { LedgerError } from './ledger-error.ts';

/** An entry on its way into the ledger, and what it says. */
export type NewEntry = { readonly line: string; readonly entry: LedgerEntry };

const MAX_BATCH_RECORDS = 20_000;
const POINT = /^[!-.0-~]{1,64}$/;
const EPOCH = /^[0-9a-f]{1,32}$/;

/** @throws {LedgerError} `bad-batch` */
export function checkBatch({ point, epoch, firstSeq, lines }: JournalBatch): void {
  const numbered =
    Number.isSafeInteger(firstSeq) && firstSeq > 0 && Number.isSafeInteger(firstSeq + lines.length);
  if (!POINT.test(point) || !EPOCH.test(epoch) || !numbered || lines.length > MAX_BATCH_RECORDS) {
    throw new LedgerError('bad-batch', 'batch has a malformed point, epoch or number, or too many records');
  }
}

/**
 * Makes the entries of a batch: one for each record, one for each run of records that the point lost or spoiled.
 *
 * UNTRUSTED: the lines. One that is no record becomes a gap, so that a broken point neither stops its own journal nor
 * brings its own words into the ledger.
 */
export function entriesOf({ point, epoch, firstSeq, lines }: JournalBatch, timeMs: number): NewEntry[] {
  const entries: NewEntry[] = [];
  let missing: { cause: GapCause; fromSeq: number } | undefined;
  const closeGap = (toSeq: number) => {
    if (missing === undefined) return;
    const gap = { point, epoch, ...missing, toSeq, timeMs };
    entries.push({ line: encodeGapEntry(gap), entry: { kind: 'gap', gap } });
    missing = undefined;
  };
  for (const [at, line] of lines.entries()) {
    const origin = { point, epoch, seq: firstSeq + at };
    const record = line === '' ? 'lost' : readRecord(line);
    if (typeof record !== 'string') {
      closeGap(origin.seq - 1);
      entries.push({ line: encodeRecordEntry(origin, line), entry: { kind: 'record', origin, record } });
    } else if (missing?.cause !== record) {
      closeGap(origin.seq - 1);
      missing = { cause: record, fromSeq: origin.seq };
    }
  }
  closeGap(firstSeq + lines.length - 1);
  return entries;
}

const ORIGIN =
  /^\{"kind":"record","point":"([!#-.0-[\]-~]{1,64})","epoch":"([0-9a-f]{1,32})","seq":([1-9][0-9]{0,15}),"record":\{/;
const ORIGIN_BYTES = 192;

/** The origin of a record's entry without reading the record; `undefined` when it is not one. */
export function peekOrigin(bytes: Buffer): RecordOrigin | undefined {
  const [, point, epoch, seq] = ORIGIN.exec(bytes.toString('latin1', 0, ORIGIN_BYTES)) ?? [];
  if (point === undefined || epoch === undefined || seq === undefined) return undefined;
  return { point, epoch, seq: Number(seq) };
}

function readRecord(line: string) {
  try {
    return decodeRecord(line);
  } catch (error) {
    if (error instanceof RecordError) return 'malformed';
    throw error;
  }
}
