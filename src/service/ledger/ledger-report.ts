import type { Gap } from '#domain/record';

export type FindingReason =
  /** No checkpoint, or none that the key has signed. */
  | 'checkpoint-missing'
  | 'checkpoint-invalid'
  /** An entry is gone, or is not the one that was signed. */
  | 'entry-missing'
  | 'entry-changed'
  /** Bytes behind the last entry of a bundle. */
  | 'extra-bytes'
  /** An entry that control signed and that is no entry. */
  | 'entry-malformed'
  /** A point's records do not follow each other. */
  | 'sequence-broken'
  /** The entries are as signed; a tile that proofs are made from is not. */
  | 'tile-changed'
  /** An earlier checkpoint of this key says that the tree began in another way. */
  | 'history-rewritten'
  /** The ledger was longer once. */
  | 'rolled-back'
  /** An entry that was confirmed and not yet signed is damaged. */
  | 'pending-damaged';

export type Finding = {
  readonly reason: FindingReason;
  /** The first bad entry. */
  readonly index: number;
  /** When the first bad entry is not known exactly: the last one that it can be. */
  readonly lastIndex?: number;
  /** `point/epoch/seq` of the record that should be there, as far as anything remembers it. */
  readonly record?: string;
  readonly message: string;
};

export type LedgerReport = {
  /** `damaged`: findings, the first bad entry first. `gaps`: intact, and points have lost records. */
  readonly kind: 'intact' | 'gaps' | 'damaged';
  readonly origin: string;
  /** Entries under the checkpoint. */
  readonly size: number;
  /** Root of the tree, base64; empty without a valid checkpoint. */
  readonly root: string;
  /** Confirmed entries that no checkpoint covers yet. */
  readonly pending: number;
  /** Signed checkpoints that were compared: the newest, the ledger's own earlier ones and those given. */
  readonly checkpoints: number;
  readonly findings: readonly Finding[];
  readonly gapCount: number;
  /** The first gaps. */
  readonly gaps: readonly { readonly index: number; readonly gap: Gap }[];
};
