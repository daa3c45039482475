import type { Placement } from '#domain/compile';
import type { Model } from '#domain/model';
import type { JournalBatch } from '#service/ledger';

/** Decides where every part of a system listens, and sees to it that it does. Called for one change at a time. */
export interface Placer {
  /** Places all services of `model`; those that are placed already stay where they are, their processes run there. */
  place(model: Model): Promise<Placement>;
  /** Starts the services of the model placed last that do not run yet; resolves once they listen. */
  start(): Promise<void>;
  /** The points have what `inForce` says: starts anew what has changed, ends what is in it no more. */
  settle(inForce: Model): Promise<ServiceChanges>;
}

/** What became of the processes of services, by name. */
export type ServiceChanges = {
  readonly started: readonly string[];
  /** Their command, their environment or where they listen is another one. */
  readonly restarted: readonly string[];
  readonly ended: readonly string[];
  /** In words: what is not as the model says. */
  readonly faults: readonly string[];
};

/** Keeps the records of all points: `LedgerKeeper` of `#service/ledger`. */
export interface RecordKeeper {
  /**
   * Resolves once the batch is on the disk. Taking the same batch again changes nothing; a rejection makes the point
   * come again from its oldest record.
   *
   * @returns the last sequence number of the batch's point and epoch that is kept
   */
  appendBatch(batch: JournalBatch): Promise<number>;
  /**
   * @param query as it came in the URL; the keeper checks it
   * @throws {SchemaError}
   */
  search(query: Readonly<Record<string, string>>): Promise<unknown>;
  /** @returns `undefined` when there is no such record */
  find(id: string): Promise<unknown>;
  /** Evidence that the record is in the log; `undefined` when there is no such record. */
  prove(id: string): Promise<unknown>;
  /** The signed checkpoint (c2sp.org/tlog-checkpoint). */
  checkpoint(): Promise<string>;
}

/** The built-in issuer of local runs. */
export interface TokenSource {
  /** The exact `iss` of its tokens. */
  readonly issuer: string;
  issueToken(request: TokenRequest): Promise<IssuedToken>;
}

export type TokenRequest = {
  readonly user: string;
  readonly scopes: readonly string[];
  readonly lifetimeSeconds?: number;
  readonly audience?: string;
};

export type IssuedToken = {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  readonly scope: string;
};
