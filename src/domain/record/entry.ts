import { closed, compileSchema, Type } from '#base/schema';
import { boundedText, readShape, RecordError, recordShape, wholeCount } from './decode-record.ts';
import { encodeRecord, text } from './encode-record.ts';
import { MAX_ENTRY_BYTES, MAX_UNITS } from './limits.ts';
import type { TransactionRecord } from './record.ts';

/** Where a record was made. Unique for ever: a point takes a new `epoch` whenever it opens its journal. */
export type RecordOrigin = { readonly point: string; readonly epoch: string; readonly seq: number };

/**
 * Why records are missing: the point lost them, or wrote what is no record; its journal is not the one that it had
 * before; or control itself lost them on its way to the tree.
 */
export type GapCause = 'lost' | 'malformed' | 'journal-replaced' | 'ledger-damaged';

/** What control writes in place of records that it will never see. */
export type Gap = {
  readonly point: string;
  readonly epoch: string;
  /** The first missing number. */
  readonly fromSeq: number;
  /** The last missing number; `null` when nobody can know it. */
  readonly toSeq: number | null;
  readonly cause: GapCause;
  readonly timeMs: number;
};

/** One leaf of the ledger. */
export type LedgerEntry =
  | { readonly kind: 'record'; readonly origin: RecordOrigin; readonly record: TransactionRecord }
  | { readonly kind: 'gap'; readonly gap: Gap };

/** `point/epoch/seq`, the name of a record for people and scripts. */
export function recordId(origin: RecordOrigin): string {
  return `${origin.point}/${origin.epoch}/${origin.seq}`;
}

const RECORD_ID = /^([!-.0-~]{1,64})\/([0-9a-f]{1,32})\/([1-9][0-9]{0,15})$/;

/** Reads `point/epoch/seq`; `undefined` when `id` is something else. */
export function parseRecordId(id: string): RecordOrigin | undefined {
  const [, point, epoch, seq] = RECORD_ID.exec(id) ?? [];
  if (point === undefined || epoch === undefined || seq === undefined) return undefined;
  return Number.isSafeInteger(Number(seq)) ? { point, epoch, seq: Number(seq) } : undefined;
}

/** Wraps a line of `encodeRecord`; the line is taken as it is. */
export function encodeRecordEntry(origin: RecordOrigin, line: string): string {
  const point = text(origin.point, MAX_UNITS.point);
  return `{"kind":"record","point":${point},"epoch":"${origin.epoch}","seq":${origin.seq},"record":${line}}`;
}

export function encodeGapEntry(gap: Gap): string {
  const { epoch, fromSeq, toSeq, cause, timeMs } = gap;
  const point = text(gap.point, MAX_UNITS.point);
  return `{"kind":"gap","point":${point},"epoch":"${epoch}","fromSeq":${fromSeq},"toSeq":${toSeq},"cause":"${cause}","timeMs":${timeMs}}`;
}

const epochText = Type.String({ pattern: '^[0-9a-f]{1,32}$' });
const seqCount = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const entryShape = Type.Union([
  closed({
    kind: Type.Literal('record'),
    point: boundedText(MAX_UNITS.point),
    epoch: epochText,
    seq: seqCount,
    record: recordShape,
  }),
  closed({
    kind: Type.Literal('gap'),
    point: boundedText(MAX_UNITS.point),
    epoch: epochText,
    fromSeq: seqCount,
    toSeq: Type.Union([wholeCount, Type.Null()]),
    cause: Type.Union([
      Type.Literal('lost'),
      Type.Literal('malformed'),
      Type.Literal('journal-replaced'),
      Type.Literal('ledger-damaged'),
    ]),
    timeMs: wholeCount,
  }),
]);
const entrySchema = compileSchema('ledger entry', entryShape);

/**
 * Reads one leaf of the ledger.
 *
 * UNTRUSTED: the files of a ledger may have been changed by anyone.
 *
 * @throws {RecordError}
 */
export function decodeEntry(line: string): LedgerEntry {
  if (line.length > MAX_ENTRY_BYTES) throw new RecordError('too-long', `entry has ${line.length} characters`);
  const value = readShape(entrySchema, line);
  if (value.kind === 'gap') {
    const { kind: _kind, ...gap } = value;
    return canonical({ kind: 'gap', gap }, encodeGapEntry(gap), line);
  }
  const { point, epoch, seq } = value;
  const { v: _version, ...record } = value.record;
  const origin = { point, epoch, seq };
  return canonical({ kind: 'record', origin, record }, encodeRecordEntry(origin, encodeRecord(record)), line);
}

function canonical(entry: LedgerEntry, again: string, line: string): LedgerEntry {
  if (again !== line) throw new RecordError('not-canonical', 'entry is not in its canonical form');
  return entry;
}
