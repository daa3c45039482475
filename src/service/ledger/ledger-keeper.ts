import { closed, compileSchema, SchemaError, Type } from '#base/schema';
import { recordId, type Gap, type TransactionRecord } from '#domain/record';
import type { JournalBatch } from './journal.ts';
import type { FoundEntry, Ledger } from './ledger.ts';
import { LedgerError } from './ledger-error.ts';
import type { LedgerQuery } from './search-index.ts';

/** An entry as control's API shows it. */
export type EntryView =
  | {
      readonly kind: 'record';
      readonly index: number;
      /** `point/epoch/seq` */
      readonly id: string;
      readonly point: string;
      readonly record: TransactionRecord;
    }
  | { readonly kind: 'gap'; readonly index: number; readonly gap: Gap }
  /** The ledger is damaged here. */
  | { readonly kind: 'damaged'; readonly index: number };

/** The answer to a search. Search can be behind: entries from `indexedSize` on are not looked at yet. */
export type RecordsView = {
  readonly size: number;
  readonly indexedSize: number;
  readonly records: readonly EntryView[];
};

export type ProofView = {
  readonly entry: EntryView;
  /** C2SP tlog-proof; verifies with the ledger's public key alone. */
  readonly proof: string;
  /** The places of the other records of the same request. */
  readonly others: readonly number[];
};

const whole = Type.String({ pattern: '^(0|[1-9][0-9]{0,14})$' });
const text = Type.String({ minLength: 1, maxLength: 2_048 });
const querySchema = compileSchema(
  'query',
  closed({
    identity: Type.Optional(text),
    service: Type.Optional(text),
    decision: Type.Optional(
      Type.Union([
        Type.Literal('allowed'),
        Type.Literal('refused'),
        Type.Literal('failed'),
        Type.Literal('gap'),
      ]),
    ),
    /** Milliseconds since the epoch. */
    since: Type.Optional(whole),
    until: Type.Optional(whole),
    request: Type.Optional(text),
    limit: Type.Optional(whole),
    /** Instead of a search: the entries behind this index (-1 for all), or the newest for `newest`; oldest first. */
    after: Type.Optional(Type.Union([whole, Type.Literal('-1'), Type.Literal('newest')])),
  }),
);
const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 10_000;

/** The ledger as control's API and point sessions use it. */
export class LedgerKeeper {
  readonly #ledger: Ledger;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /**
   * @returns the last number of the batch: all up to it are kept
   * @throws {LedgerError} when the batch cannot be kept, or begins behind what is expected: the point comes again from
   *   its oldest record
   */
  async appendBatch(batch: JournalBatch): Promise<number> {
    const outcome = await this.#ledger.appendBatch(batch);
    if (outcome.kind === 'stored') return outcome.throughSeq;
    throw new LedgerError(
      'out-of-sequence',
      `record ${outcome.expectedSeq} of the point is expected, not ${batch.firstSeq}`,
    );
  }

  /**
   * Finds records, newest first; with `after`, lists them, oldest first.
   * @param query as it came in a URL
   * @throws {SchemaError}
   */
  async search(query: Readonly<Record<string, string>>): Promise<RecordsView> {
    const { after, limit, since, until, request, ...rest } = querySchema.check(query);
    const bounded = Math.min(limit === undefined ? DEFAULT_LIMIT : Number(limit), MAX_LIMIT);
    const filter = { ...rest, since, until, request };
    if (after !== undefined && Object.values(filter).some(value => value !== undefined)) {
      throw new SchemaError('wrong-shape', 'query with `after` takes no other condition');
    }
    const found =
      after === undefined
        ? await this.#ledger.search(toQuery(rest, { since, until, request }, bounded))
        : await this.#ledger.tail({ ...(after !== 'newest' && { after: Number(after) }), limit: bounded });
    const { size, indexedSize } = this.#ledger;
    return { size, indexedSize, records: found.map(viewEntry) };
  }

  /** All records with this index, `point/epoch/seq` or request id; `undefined` when there are none. */
  async find(id: string): Promise<RecordsView | undefined> {
    const found = await this.#ledger.find(id);
    const { size, indexedSize } = this.#ledger;
    return found.length === 0 ? undefined : { size, indexedSize, records: found.map(viewEntry) };
  }

  /** `undefined` when there is no such record. */
  async prove(id: string): Promise<ProofView | undefined> {
    try {
      const { proof, others, ...found } = await this.#ledger.prove(id);
      return { entry: viewEntry(found), proof, others };
    } catch (error) {
      if (error instanceof LedgerError && error.code === 'not-found') return undefined;
      throw error;
    }
  }

  /** The newest signed checkpoint (C2SP tlog-checkpoint). */
  checkpoint(): Promise<string> {
    return Promise.resolve(this.#ledger.checkpoint);
  }
}

function viewEntry({ index, entry }: FoundEntry): EntryView {
  if (entry === null) return { kind: 'damaged', index };
  if (entry.kind === 'gap') return { kind: 'gap', index, gap: entry.gap };
  return {
    kind: 'record',
    index,
    id: recordId(entry.origin),
    point: entry.origin.point,
    record: entry.record,
  };
}

function toQuery(
  exact: Pick<LedgerQuery, 'identity' | 'service' | 'decision'>,
  {
    since,
    until,
    request,
  }: { since: string | undefined; until: string | undefined; request: string | undefined },
  limit: number,
): LedgerQuery {
  return {
    ...exact,
    ...(since !== undefined && { sinceMs: Number(since) }),
    ...(until !== undefined && { untilMs: Number(until) }),
    ...(request !== undefined && { requestId: request }),
    limit,
  };
}
