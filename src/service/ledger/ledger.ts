import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import type { NoteKey, Signer } from '#domain/merkle';
import type { LedgerEntry } from '#domain/record';
import type { Files } from './files.ts';
import type { JournalBatch } from './journal.ts';
import type { LedgerQuery } from './search-index.ts';

/** What control tells a point of its batch. */
export type BatchOutcome =
  /** All records up to `throughSeq` are on control's disk: the point may forget them. */
  | { readonly kind: 'stored'; readonly throughSeq: number }
  /** Records before the batch are missing: the point goes on at `expectedSeq`, or at its oldest. Nothing was stored. */
  | { readonly kind: 'out-of-sequence'; readonly expectedSeq: number };

/** An entry of the ledger and its place. `entry` is `null` when it cannot be read: the ledger is damaged there. */
export type FoundEntry = { readonly index: number; readonly entry: LedgerEntry | null };

/** An entry and a C2SP tlog-proof that it is in the ledger; the proof holds the entry as its extra data. */
export type ProvenEntry = FoundEntry & {
  readonly proof: string;
  /** The places of the other records of the same request. */
  readonly others: readonly number[];
};

/** Control's ledger. One per directory and process. */
export interface Ledger {
  /**
   * Takes records of a point; resolves when they are on the disk, later when much is on its way into the tree. A batch
   * may come again: records that are known are passed over. The caller has made sure that the batch comes from the
   * point that it names.
   *
   * @throws {LedgerError} `bad-batch`; `write-failed` when the disk refuses: the point tries again later
   */
  appendBatch(batch: JournalBatch): Promise<BatchOutcome>;
  /** Entries that match, newest first. */
  search(query: LedgerQuery): Promise<FoundEntry[]>;
  /** Entries behind `after`, oldest first; without `after` the newest ones. */
  tail(options: { readonly after?: number; readonly limit: number }): Promise<FoundEntry[]>;
  /**
   * All entries with this index, `point/epoch/seq` or request id; of a request the one at the edge first.
   * @throws {LedgerError} `not-yet` when there is none among those that search knows, and it does not know all
   */
  find(id: string): Promise<FoundEntry[]>;
  /**
   * Proves an entry, by its index, `point/epoch/seq` or request id (then the record at the edge, or the first).
   * @throws {LedgerError} `not-found`, `not-yet`
   */
  prove(id: string): Promise<ProvenEntry>;
  /** The newest signed checkpoint; up to a second behind `size`. */
  readonly checkpoint: string;
  /** The key that verifies checkpoints. */
  readonly key: NoteKey;
  /** Entries on the disk. */
  readonly size: number;
  /** Entries that search can find yet. */
  readonly indexedSize: number;
  /** Whether entries reach the disk and the tree. */
  readonly healthy: boolean;
  /** Called when there are more entries. Gives the way to unsubscribe. */
  onAppended(listener: () => void): () => void;
  /** Puts all entries into the tree and signs it now. */
  sign(): Promise<void>;
  close(): Promise<void>;
}

export type LedgerOptions = {
  readonly directory: string;
  /** Control's key; its name is the origin of the log. */
  readonly signer: Signer;
  readonly clock: Clock;
  readonly log: Log;
  readonly files?: Files;
  /** The file of the search index; `:memory:` keeps it nowhere. */
  readonly indexFile?: string;
  /** How long entries wait for the next checkpoint. */
  readonly signEveryMs?: number;
};
