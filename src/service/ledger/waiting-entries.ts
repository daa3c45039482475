import { hashLeaf } from '#domain/merkle';
import type { LedgerEntry, RecordOrigin } from '#domain/record';
import { termsOf, type EntryTerms } from './entry-terms.ts';
import type { IndexedEntry } from './search-index.ts';
import type { Leaf } from './tree-log.ts';

type Waiting = Leaf & { readonly terms: EntryTerms };

/** Entries on their way into the tree, by their index in it. */
export class WaitingEntries {
  #entries: Waiting[] = [];
  #from: number;
  #bytes = 0;

  /** @param from the index that the first entry will have */
  constructor(from: number) {
    this.#from = from;
  }

  /** The index of the first entry that waits; those before it are in the tree. */
  get from(): number {
    return this.#from;
  }
  get to(): number {
    return this.#from + this.#entries.length;
  }
  get bytes(): number {
    return this.#bytes;
  }

  push(line: string, entry: LedgerEntry): void {
    const bytes = Buffer.from(line, 'latin1');
    this.#entries.push({ bytes, hash: hashLeaf(bytes), terms: termsOf(entry) });
    this.#bytes += bytes.byteLength;
  }

  leaves(from: number, to: number): readonly Leaf[] {
    return this.#entries.slice(from - this.#from, to - this.#from);
  }

  /** For the search index. */
  indexed(from: number, to: number): IndexedEntry[] {
    return this.#entries
      .slice(from - this.#from, to - this.#from)
      .map(({ hash, terms }, offset) => ({ index: from + offset, leafHash: hash, terms }));
  }

  /** How far the points have come with entries `[from, to)`. */
  reached(from: number, to: number): RecordOrigin[] {
    return this.#entries
      .slice(Math.max(0, from - this.#from), to - this.#from)
      .flatMap(({ terms }) => terms.reached ?? []);
  }

  /** Entries before `index` are in the tree. */
  dropBefore(index: number): void {
    const dropped = this.#entries.splice(0, index - this.#from);
    for (const { bytes } of dropped) this.#bytes -= bytes.byteLength;
    this.#from += dropped.length;
  }
}
