/**
 * The ledger: a point's journal, control's Merkle log of all journals, its search index and its verifier.
 *
 * A journal keeps records on the point's disk until control has them. Control appends them to an append-only log in
 * C2SP tlog-tiles form with checkpoints that its key signs; `verifyLedger` needs the files and the public key, nothing
 * else. UNTRUSTED: batches from points, and every file that is read for verification.
 */
export { openJournal } from './journal.ts';
export type { Journal, JournalBatch } from './journal.ts';
export { openLedger } from './open-ledger.ts';
export { LedgerKeeper } from './ledger-keeper.ts';
export type { EntryView, ProofView, RecordsView } from './ledger-keeper.ts';
export type { BatchOutcome, FoundEntry, Ledger, LedgerOptions, ProvenEntry } from './ledger.ts';
export type { LedgerQuery } from './search-index.ts';
export { verifyLedger } from './verify-ledger.ts';
export type { VerifyOptions } from './verify-ledger.ts';
export type { Finding, FindingReason, LedgerReport } from './ledger-report.ts';
export { LedgerError } from './ledger-error.ts';
