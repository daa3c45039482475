import { DatabaseSync } from 'node:sqlite';
import { LEAF_BYTES } from './search-index.ts';

/**
 * What a search index remembers of the leaves. Not evidence: anyone who can change the ledger can change it too. It
 * only tells where to look once a signature has shown that something is wrong.
 */
export class LeafHints {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** `undefined` when there is no index that can be read. */
  static open(path: string): LeafHints | undefined {
    try {
      const hints = new LeafHints(new DatabaseSync(path, { readOnly: true }));
      void hints.size;
      return hints;
    } catch {
      return undefined;
    }
  }

  /** How many entries the index has seen. */
  get size(): number {
    return Number(this.#database.prepare('SELECT COALESCE(MAX(idx) + 1, 0) AS n FROM entries').get()?.['n']);
  }

  /** The first entry from `index` on whose leaf hash is not the one that was indexed. */
  firstDifference(index: number, leafHashes: readonly (Uint8Array | undefined)[]): number | undefined {
    const sql = 'SELECT idx, leaf FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx';
    for (const { idx, leaf } of this.#database.prepare(sql).all(index, index + leafHashes.length)) {
      const actual = leafHashes[Number(idx) - index]?.subarray(0, LEAF_BYTES);
      const same = actual !== undefined && leaf instanceof Uint8Array && Buffer.compare(actual, leaf) === 0;
      if (!same) return Number(idx);
    }
    return undefined;
  }

  /** `point/epoch/seq` of the record that was indexed at `index`. */
  recordAt(index: number): string | undefined {
    const sql = 'SELECT name, seq FROM entries JOIN names ON names.id = epoch WHERE idx = ? AND seq > 0';
    const row = this.#database.prepare(sql).get(index);
    return row === undefined ? undefined : `${String(row['name'])}/${String(row['seq'])}`;
  }

  close(): void {
    this.#database.close();
  }
}
