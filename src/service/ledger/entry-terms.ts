import type { LedgerEntry, RecordOrigin, TransactionRecord } from '#domain/record';
import { lastOrigin } from './sequences.ts';

/** What an entry can be found by: all that is kept of it until it is indexed. Texts are empty where there is none. */
export type EntryTerms = {
  readonly timeMs: number;
  readonly requestId: string;
  /** `point/epoch` */
  readonly epoch: string;
  /** Negative for a gap, so that no record is found in its place. */
  readonly seq: number;
  readonly client: string;
  readonly user: string;
  readonly caller: string;
  readonly callee: string;
  readonly decision: TransactionRecord['decision'] | 'gap';
  /** How far its point has come with it. */
  readonly reached: RecordOrigin | undefined;
};

/** @param entry `null` for one that cannot be read */
export function termsOf(entry: LedgerEntry | null): EntryTerms {
  if (entry?.kind === 'record') {
    const { origin, record } = entry;
    const { timeMs, requestId, user, caller, callee, decision } = record;
    const epoch = `${origin.point}/${origin.epoch}`;
    const client = record.client.id;
    return {
      timeMs,
      requestId,
      epoch,
      seq: origin.seq,
      client,
      user,
      caller,
      callee,
      decision,
      reached: origin,
    };
  }
  const { point, epoch, fromSeq, timeMs } = entry?.gap ?? { point: '', epoch: '', fromSeq: 0, timeMs: 0 };
  return {
    timeMs,
    requestId: '',
    epoch: `${point}/${epoch}`,
    seq: -fromSeq,
    client: '',
    user: '',
    caller: '',
    callee: '',
    decision: 'gap',
    reached: entry === null ? undefined : lastOrigin(entry),
  };
}
