import { join } from 'node:path';
import { decodeBase64, encodeBase64, equalBytes } from '#base/bytes';
import type { Log } from '#base/log';
import { closed, compileSchema, Type } from '#base/schema';
import type { RecordOrigin } from '#domain/record';
import type { Files } from './files.ts';
import { followTree } from './follow-tree.ts';
import { Sequences, type EpochState } from './sequences.ts';
import { PLACES, replaceFile } from './tree-files.ts';
import type { TreeLog } from './tree-log.ts';

/** How far the points had come with the first `size` entries. */
export type Standing = { readonly size: number; readonly epochs: readonly EpochState[] };

const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const standingSchema = compileSchema(
  PLACES.epochs,
  closed({
    size: count,
    /** Of the tree over these entries, base64: a file of another history says nothing of this one. */
    root: Type.String(),
    epochs: Type.Array(closed({ point: Type.String(), epoch: Type.String(), nextSeq: count })),
  }),
);

/** So many entries are looked at in a moment. */
const KEEP_EVERY = 16_384;

type Parts = {
  readonly files: Files;
  readonly directory: string;
  readonly log: Log;
  readonly tree: TreeLog;
};

/**
 * How far each point has come with the entries in the tree, kept in a file from time to time: a ledger whose search
 * index is gone opens without reading all its entries again.
 *
 * CRASH: the file is an earlier one, or is missing; the entries after it are looked at again.
 */
export class EpochKeeper {
  /** So many entries were followed when the ledger was opened: those in the tree, or more when the index knew them. */
  readonly openedAt: number;
  readonly #parts: Parts;
  readonly #sequences: Sequences;
  #keptAt = Number.NEGATIVE_INFINITY;

  private constructor(parts: Parts, sequences: Sequences, openedAt: number) {
    this.#parts = parts;
    this.#sequences = sequences;
    this.openedAt = openedAt;
  }

  /** @param indexed what the search index remembers */
  static async open(parts: Parts, indexed: Standing): Promise<EpochKeeper> {
    const kept = await readStanding(parts);
    const { epochs, size } = kept !== undefined && kept.size > indexed.size ? kept : indexed;
    const sequences = new Sequences(epochs);
    await followTree(sequences, parts.tree, size);
    return new EpochKeeper(parts, sequences, Math.max(size, parts.tree.size));
  }

  get epochs(): EpochState[] {
    return this.#sequences.states();
  }

  /** Entries are in the tree now with which the points have come this far. */
  async follow(reached: readonly RecordOrigin[]): Promise<void> {
    for (const origin of reached) this.#sequences.advance(origin);
    const { directory, files, log, tree } = this.#parts;
    if (tree.size < this.#keptAt + KEEP_EVERY) return;
    this.#keptAt = tree.size;
    const standing = { size: tree.size, root: encodeBase64(tree.root), epochs: this.epochs };
    try {
      await replaceFile(files, directory, PLACES.epochs, Buffer.from(JSON.stringify(standing)));
    } catch (error) {
      log.warn('epochs of points not kept', { error: String(error) });
    }
  }
}

/** `undefined` when there is none of this tree. */
async function readStanding({ directory, files, tree }: Parts): Promise<Standing | undefined> {
  try {
    const text = await files.readAll(join(directory, PLACES.epochs));
    const { epochs, root, size } = standingSchema.parse(text.toString());
    const wanted = decodeBase64(root);
    if (wanted === undefined || size > tree.size) return undefined;
    return equalBytes(await tree.rootAt(size), wanted) ? { size, epochs } : undefined;
  } catch {
    return undefined;
  }
}
