import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import { encodeRecord, type TransactionRecord } from '#domain/record';
import { nodeFiles, type Files } from './files.ts';
import type { Done } from './line-block.ts';
import { LineLog, type LineLogLimits } from './line-log.ts';

/** Records on their way to control. `lines[i]` is the record `firstSeq + i`; empty text where the point has lost it. */
export type JournalBatch = {
  readonly point: string;
  readonly epoch: string;
  readonly firstSeq: number;
  readonly lines: string[];
};

/** The records of one enforcement point, on its own disk until control has them. */
export interface Journal {
  /**
   * Takes a record; returns at once and never throws.
   *
   * `done` is called once, later: without an error when the record is on the disk, with one when it is not known to
   * be. `durable` starts a write now (group commit), `relaxed` within 100 ms. A record whose `done` got a `write-failed`
   * error is kept and tried again; one with `overflow` is lost, which the ledger will show as a gap.
   */
  append(record: TransactionRecord, mode: 'durable' | 'relaxed', done?: Done): void;
  /**
   * Gives on-disk records from `seq` on (from the oldest kept, when that is later), all of one epoch. Continue at
   * `firstSeq + lines.length`; no lines: there is nothing yet.
   */
  readFrom(seq: number, maxRecords: number): Promise<JournalBatch>;
  /** Control has everything up to and including `seq` on its own disk. */
  acknowledge(seq: number): void;
  /** The number that the next record will get. */
  readonly nextSeq: number;
  /** The oldest number that is not acknowledged. */
  readonly oldestSeq: number;
  /** Called after each group commit: `readFrom` has more. Gives the way to unsubscribe. */
  onAppended(listener: () => void): () => void;
  /** Whether records reach the disk. While `false`, durable appends fail at once. */
  readonly healthy: boolean;
  /** Records that are lost because more came than the disk took. */
  readonly dropped: number;
  /** Writes what waits, as far as the disk takes it. */
  close(): Promise<void>;
}

/**
 * Opens the journal of a point; there is one writer per directory.
 *
 * @param options.directory made with mode 0700
 * @param options.point the point's name, part of every record's identity
 * @throws {LedgerError} `in-use` when another process has it open
 */
export async function openJournal(options: {
  readonly directory: string;
  readonly point: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly files?: Files;
  readonly limits?: Partial<LineLogLimits>;
}): Promise<Journal> {
  const { point, files = nodeFiles } = options;
  const lines = await LineLog.open({ ...options, name: point, files });
  return {
    append: (record, mode, done) => lines.append(encodeRecord(record), mode, done),
    readFrom: async (seq, maxRecords) => {
      const { epoch, firstSeq, payloads } = await lines.read(seq, maxRecords);
      return { point, epoch, firstSeq, lines: payloads };
    },
    acknowledge: seq => lines.acknowledge(seq),
    get nextSeq() {
      return lines.nextSeq;
    },
    get oldestSeq() {
      return lines.oldestSeq;
    },
    onAppended: listener => lines.onAppended(listener),
    get healthy() {
      return lines.healthy;
    },
    get dropped() {
      return lines.dropped;
    },
    close: () => lines.close(),
  };
}
