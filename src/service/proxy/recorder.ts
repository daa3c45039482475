import type { TransactionRecord } from '#domain/record';

/** Where records go: the journal of `#service/ledger`. */
export interface Recorder {
  /** Never throws. In durable mode `done` is called, later, once it is known whether the record is on disk. */
  append(
    record: TransactionRecord,
    mode: 'durable' | 'relaxed',
    done?: (error: Error | undefined) => void,
  ): void;
  /** False while the disk takes nothing: durable transactions are refused before they begin. */
  readonly healthy: boolean;
}
