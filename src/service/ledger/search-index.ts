import { randomInt } from 'node:crypto';
import { rmSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { sha256 } from '#base/bytes';
import type { RecordOrigin } from '#domain/record';
import type { EntryTerms } from './entry-terms.ts';
import { makePrivate } from './files.ts';
import { RequestFilter } from './request-filter.ts';
import type { EpochState } from './sequences.ts';

/** An entry on its way into the index. */
export type IndexedEntry = {
  readonly index: number;
  readonly leafHash: Uint8Array;
  readonly terms: EntryTerms;
};

export type LedgerQuery = {
  /** A client id, user or SPIFFE ID; or only its last part: a subject, a service. */
  readonly identity?: string;
  /** A service as caller or callee: its SPIFFE ID or its name. */
  readonly service?: string;
  readonly decision?: EntryTerms['decision'];
  readonly sinceMs?: number;
  readonly untilMs?: number;
  readonly requestId?: string;
  readonly limit: number;
};

const SCHEMA_VERSION = 2;
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS entries(
    idx INTEGER PRIMARY KEY, time INTEGER NOT NULL, request INTEGER, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    client INTEGER NOT NULL, user INTEGER NOT NULL, caller INTEGER NOT NULL, callee INTEGER NOT NULL,
    decision INTEGER NOT NULL, leaf BLOB NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS blocks(block INTEGER PRIMARY KEY, earliest INTEGER NOT NULL, latest INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS filters(block INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS runs(
    epoch INTEGER NOT NULL, seq INTEGER NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY(epoch, seq)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS names(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last TEXT NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS by_last ON names(last);
  CREATE TABLE IF NOT EXISTS epochs(
    point TEXT NOT NULL, epoch TEXT NOT NULL, next_seq INTEGER NOT NULL, UNIQUE(point, epoch)
  ) STRICT;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;
const DECISIONS = ['gap', 'allowed', 'refused', 'failed'] as const;
const NO_NAME = 0;
const MAX_CACHED_NAMES = 50_000;
/**
 * Rows that one step of a search looks at: a few milliseconds. Blocks outside the times asked for are passed over, and
 * those that do not have the request asked for.
 */
const BLOCK_ROWS = 16_384;
/** Filters that are looked at before others have their turn. */
const FILTERS_AT_ONCE = 64;
/** How much of a leaf hash the index keeps. */
export const LEAF_BYTES = 16;

/**
 * Finds entries by what is in them. Everything here follows from the entries and can be made again from them.
 *
 * Holds a part of each leaf hash too. It proves nothing, but when the tree no longer fits its checkpoint, it tells
 * where to look.
 */
export class SearchIndex {
  readonly #database: DatabaseSync;
  readonly #names = new Map<string, number>();
  readonly #insert: StatementSync;
  readonly #insertName: StatementSync;
  readonly #findName: StatementSync;
  readonly #putEpoch: StatementSync;
  readonly #putBlock: StatementSync;
  readonly #putFilter: StatementSync;
  readonly #putRun: StatementSync;
  /** Where the record after the last one indexed would stand, if it were the next of its epoch. */
  #run = { epoch: 0, seq: 0, index: 0 };
  readonly #salt: number;
  #nextIndex: number;
  /** The filter of the block that grows; those of the blocks before it are in the file. */
  #filter = new RequestFilter();
  #filterBlock = 0;

  private constructor(database: DatabaseSync) {
    this.#database = database;
    this.#insert = database.prepare(
      'INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    );
    this.#insertName = database.prepare('INSERT INTO names(name, last) VALUES (?, ?)');
    this.#findName = database.prepare('SELECT id FROM names WHERE name = ?');
    this.#putEpoch = database.prepare(
      'INSERT INTO epochs VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next_seq = excluded.next_seq',
    );
    this.#putBlock = database.prepare(
      `INSERT INTO blocks VALUES (?, ?, ?) ON CONFLICT DO UPDATE
       SET earliest = MIN(earliest, excluded.earliest), latest = MAX(latest, excluded.latest)`,
    );
    this.#putFilter = database.prepare('INSERT OR REPLACE INTO filters VALUES (?, ?)');
    this.#putRun = database.prepare('INSERT OR REPLACE INTO runs VALUES (?, ?, ?)');
    this.#salt = toNumber(database.prepare('PRAGMA application_id').get()?.['application_id']);
    this.#nextIndex = toNumber(
      database.prepare('SELECT COALESCE(MAX(idx) + 1, 0) AS n FROM entries').get()?.['n'],
    );
    this.#fillFilter();
  }

  /** Opens the index file, or begins a new one when there is none that can be read. `:memory:` keeps nothing. */
  static open(path: string): SearchIndex {
    try {
      return SearchIndex.#tryOpen(path);
    } catch {
      return SearchIndex.begin(path);
    }
  }

  /** Begins a new index in place of what is there. */
  static begin(path: string): SearchIndex {
    for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
    return SearchIndex.#tryOpen(path);
  }

  static #tryOpen(path: string): SearchIndex {
    if (path !== ':memory:') makePrivate(path);
    const database = new DatabaseSync(path);
    try {
      // NORMAL in WAL mode: a power cut may take the newest rows, never the file.
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -4096');
      const version = toNumber(database.prepare('PRAGMA user_version').get()?.['user_version']);
      if (version !== 0 && version !== SCHEMA_VERSION) throw new Error('index of another version');
      if (version === 0) database.exec(`PRAGMA application_id = ${randomInt(1, 2 ** 31)}`);
      database.exec(SCHEMA);
      return new SearchIndex(database);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** The first entry that is not in the index. */
  get nextIndex(): number {
    return this.#nextIndex;
  }

  /** How far the points had come, oldest epochs first. */
  epochs(): EpochState[] {
    const rows = this.#database.prepare('SELECT point, epoch, next_seq FROM epochs ORDER BY rowid').all();
    return rows.map(row => ({
      point: String(row['point']),
      epoch: String(row['epoch']),
      nextSeq: toNumber(row['next_seq']),
    }));
  }

  /**
   * Adds entries in their order, and how far the points have come with them; all or nothing.
   *
   * INVARIANT: `epochs()` follows from the entries below `nextIndex` and from no later ones, or a restart would take
   * records for known that never reached the disk.
   */
  add(entries: readonly IndexedEntry[]): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const blocks = new Map<number, { earliest: number; latest: number }>();
      for (const entry of entries) {
        this.#addEntry(entry);
        const { timeMs } = entry.terms;
        const block = Math.floor(entry.index / BLOCK_ROWS);
        const { earliest, latest } = blocks.get(block) ?? { earliest: timeMs, latest: timeMs };
        blocks.set(block, { earliest: Math.min(earliest, timeMs), latest: Math.max(latest, timeMs) });
      }
      for (const [block, { earliest, latest }] of blocks) this.#putBlock.run(block, earliest, latest);
      for (const { point, epoch, seq } of lastOrigins(entries)) this.#putEpoch.run(point, epoch, seq + 1);
      this.#database.exec('COMMIT');
    } catch (error) {
      // SQLite may have done so itself.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      this.#names.clear();
      this.#run = { epoch: 0, seq: 0, index: 0 };
      this.#fillFilter();
      throw error;
    }
    const last = entries.at(-1);
    if (last !== undefined) this.#nextIndex = Math.max(this.#nextIndex, last.index + 1);
  }

  /** Forgets entries from `index` on: the ledger does not have them. */
  truncate(index: number): void {
    this.#database.prepare('DELETE FROM entries WHERE idx >= ?').run(index);
    this.#database.prepare('DELETE FROM runs WHERE idx >= ?').run(index);
    this.#nextIndex = Math.min(this.#nextIndex, index);
    this.#fillFilter();
  }

  findRecord({ point, epoch, seq }: RecordOrigin): number | undefined {
    const name = this.#lookUp(`${point}/${epoch}`);
    if (name === undefined) return undefined;
    const sql = 'SELECT seq, idx FROM runs WHERE epoch = ? AND seq <= ? ORDER BY seq DESC LIMIT 1';
    const run = this.#database.prepare(sql).get(name, seq);
    if (run === undefined) return undefined;
    const index = toNumber(run['idx']) + seq - toNumber(run['seq']);
    const row = this.#database.prepare('SELECT epoch, seq FROM entries WHERE idx = ?').get(index);
    return row !== undefined && row['epoch'] === name && row['seq'] === seq ? index : undefined;
  }

  /**
   * Entries that match, newest first; gives way to other work between its steps. Of a request id only a part is
   * compared.
   */
  async search(query: LedgerQuery): Promise<number[]> {
    const { where, values } = this.#conditions(query);
    const found: number[] = [];
    if (where === undefined) return found;
    const step = this.#database.prepare(
      `SELECT idx FROM entries NOT INDEXED WHERE idx >= ? AND idx < ? ${where} ORDER BY idx DESC LIMIT ?`,
    );
    for await (const block of this.#blocks(query)) {
      const low = block * BLOCK_ROWS;
      const rows = step.all(low, low + BLOCK_ROWS, ...values, query.limit - found.length);
      for (const row of rows) found.push(toNumber(row['idx']));
      if (found.length >= query.limit) break;
      await new Promise(resolve => void setImmediate(resolve));
    }
    return found;
  }

  close(): void {
    this.#database.close();
  }

  #addEntry({ index, leafHash, terms }: IndexedEntry): void {
    const { decision, requestId, seq, timeMs } = terms;
    this.#enterBlock(Math.floor(index / BLOCK_ROWS));
    const epoch = this.#intern(terms.epoch);
    if (decision !== 'gap') this.#putInRun(epoch, seq, index);
    const request = requestId === '' ? null : this.#requestKey(requestId);
    if (request !== null) this.#filter.add(request);
    this.#insert.run(
      index,
      timeMs,
      request,
      epoch,
      seq,
      this.#intern(terms.client),
      this.#intern(terms.user),
      this.#intern(terms.caller),
      this.#intern(terms.callee),
      DECISIONS.indexOf(decision),
      leafHash.subarray(0, LEAF_BYTES),
    );
  }

  /** Records of a batch stand side by side: where they begin says where each of them is. */
  #putInRun(epoch: number, seq: number, index: number): void {
    const { epoch: runEpoch, seq: runSeq, index: runIndex } = this.#run;
    if (runEpoch !== epoch || runSeq !== seq || runIndex !== index) this.#putRun.run(epoch, seq, index);
    this.#run = { epoch, seq: seq + 1, index: index + 1 };
  }

  /** The filter of the block before is complete. */
  #enterBlock(block: number): void {
    if (block === this.#filterBlock) return;
    this.#putFilter.run(this.#filterBlock, this.#filter.bytes);
    this.#filter = new RequestFilter();
    this.#filterBlock = block;
  }

  /** The filter of the block of the last entry, from its rows. */
  #fillFilter(): void {
    this.#filter = new RequestFilter();
    this.#filterBlock = Math.max(0, Math.floor((this.#nextIndex - 1) / BLOCK_ROWS));
    const sql = 'SELECT request FROM entries WHERE idx >= ? AND request IS NOT NULL';
    for (const row of this.#database.prepare(sql).all(this.#filterBlock * BLOCK_ROWS))
      this.#filter.add(toNumber(row['request']));
  }

  /** 48 bits that nobody outside can foresee; whoever reads the entry compares the whole id. */
  #requestKey(requestId: string): number {
    return sha256(`${this.#salt}/${requestId}`).readUIntBE(0, 6);
  }

  #intern(name: string): number {
    if (name === '') return NO_NAME;
    const known = this.#lookUp(name);
    if (known !== undefined) return known;
    const id = toNumber(this.#insertName.run(name, lastPart(name)).lastInsertRowid);
    this.#names.set(name, id);
    return id;
  }

  #lookUp(name: string): number | undefined {
    const cached = this.#names.get(name);
    if (cached !== undefined) return cached;
    const row = this.#findName.get(name);
    if (row === undefined) return undefined;
    if (this.#names.size >= MAX_CACHED_NAMES) this.#names.clear();
    const id = toNumber(row['id']);
    this.#names.set(name, id);
    return id;
  }

  #conditions(query: LedgerQuery): { where: string | undefined; values: number[] } {
    const clauses: string[] = [];
    const values: number[] = [];
    const oneOf = (columns: readonly string[], ids: readonly number[]) => {
      const list = ids.join(',');
      clauses.push(`AND (${columns.map(column => `${column} IN (${list})`).join(' OR ')})`);
    };
    for (const [name, columns] of [
      [query.identity, ['client', 'user', 'caller', 'callee']],
      [query.service, ['caller', 'callee']],
    ] as const) {
      if (name === undefined) continue;
      const rows = this.#database
        .prepare('SELECT id FROM names WHERE name = ?1 OR last = ?1 LIMIT 1000')
        .all(name);
      if (rows.length === 0) return { where: undefined, values };
      oneOf(
        columns,
        rows.map(row => toNumber(row['id'])),
      );
    }
    if (query.decision !== undefined) clauses.push(`AND decision = ${DECISIONS.indexOf(query.decision)}`);
    for (const [clause, value] of [
      ['AND time >= ?', query.sinceMs],
      ['AND time <= ?', query.untilMs],
      ['AND request = ?', query.requestId === undefined ? undefined : this.#requestKey(query.requestId)],
    ] as const) {
      if (value === undefined) continue;
      clauses.push(clause);
      values.push(value);
    }
    return { where: clauses.join(' '), values };
  }

  /** The blocks in which there can be matches, newest first. */
  async *#blocks(query: LedgerQuery): AsyncGenerator<number> {
    const { requestId, sinceMs = 0, untilMs = Number.MAX_SAFE_INTEGER } = query;
    if (requestId !== undefined) return yield* this.#blocksOf(this.#requestKey(requestId));
    const rows = this.#database
      .prepare('SELECT block FROM blocks WHERE latest >= ? AND earliest <= ? ORDER BY block DESC')
      .all(sinceMs, untilMs);
    for (const row of rows) yield toNumber(row['block']);
  }

  async *#blocksOf(request: number): AsyncGenerator<number> {
    const newest = this.#filterBlock;
    if (this.#filter.mayHave(request)) yield newest;
    const step = this.#database.prepare(
      'SELECT block, bytes FROM filters WHERE block >= ? AND block < ? ORDER BY block DESC',
    );
    for (let below = newest; below > 0; below -= FILTERS_AT_ONCE) {
      for (const { block, bytes } of step.all(below - FILTERS_AT_ONCE, below)) {
        if (bytes instanceof Uint8Array && new RequestFilter(bytes).mayHave(request)) yield toNumber(block);
      }
      await new Promise(resolve => void setImmediate(resolve));
    }
  }
}

const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/** Whether SQLite says that the file is not what it has written. */
export function isDamage(error: unknown): boolean {
  if (!(error instanceof Error && 'errcode' in error)) return false;
  const code = Number(error.errcode) & 0xff;
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB;
}

function lastOrigins(entries: readonly IndexedEntry[]): Iterable<RecordOrigin> {
  const origins = new Map<string, RecordOrigin>();
  for (const { reached } of entries.map(({ terms }) => terms))
    if (reached !== undefined) origins.set(`${reached.point}/${reached.epoch}`, reached);
  return origins.values();
}

/** The subject of `issuer|subject`, the service of a SPIFFE ID. */
function lastPart(name: string): string {
  const bar = name.lastIndexOf('|');
  return name.slice(Math.max(bar, bar < 0 ? name.lastIndexOf('/') : -1) + 1);
}

function toNumber(value: unknown): number {
  return Number(value);
}
