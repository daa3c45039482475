import type { TransactionRecord } from '#domain/record';

/** Tallies of the transactions of one service in one direction; made by `#service/metrics`. */
export interface Series {
  observe(record: TransactionRecord): void;
}
