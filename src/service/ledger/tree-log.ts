import { join } from 'node:path';
import { equalBytes } from '#base/bytes';
import { hasCode } from '#base/error';
import type { Log } from '#base/log';
import {
  bundlePath,
  hashLeaf,
  MerkleError,
  noteKey,
  openCheckpoint,
  signCheckpoint,
  TILE_WIDTH,
  TileEdge,
  tilePath,
  TreeReader,
  type Signer,
} from '#domain/merkle';
import type { Files } from './files.ts';
import { LedgerError } from './ledger-error.ts';
import {
  appendLine,
  PLACES,
  readBundle,
  readBundleBytes,
  readIfThere,
  readTile,
  replaceFile,
  writeTreeFiles,
  type TreeFile,
} from './tree-files.ts';

const HISTORY_EVERY_MS = 10_000;
const MAX_BUNDLES_KEPT = 16;
/** Hashed in one go, before others have their turn: a few milliseconds. */
const LEAVES_AT_ONCE = 2_000;

export type TreeLogOptions = {
  readonly directory: string;
  readonly signer: Signer;
  readonly files: Files;
  readonly log: Log;
};

type Head = {
  readonly edge: TileEdge;
  /** The entries of the last, unfinished bundle. */
  readonly open: readonly Buffer[];
  readonly checkpoint: string;
};

/** An entry and its leaf hash, on the way into the tree. */
export type Leaf = { readonly bytes: Buffer; readonly hash: Uint8Array };

/**
 * The tree in its files: bundles, tiles, checkpoint.
 *
 * INVARIANT: a checkpoint is signed and written only when every file that it needs is on the disk, and its tree begins
 * with the tree of every checkpoint before it. All changes happen in `grow`, one at a time.
 */
export class TreeLog {
  readonly #options: TreeLogOptions;
  #head: Head;
  readonly #read = new Map<string, Buffer[]>();
  readonly #spare: Buffer[] = [];
  #historyAtMs = Number.NEGATIVE_INFINITY;

  private constructor(options: TreeLogOptions, head: Head) {
    this.#options = options;
    this.#head = head;
  }

  /**
   * Opens or begins a tree; the cost does not depend on its size.
   * @throws {LedgerError} `damaged` when the files do not fit the checkpoint, or the checkpoint not the key
   */
  static async open(options: TreeLogOptions): Promise<TreeLog> {
    const { directory, files, signer } = options;
    await files.makeDirectory(directory);
    const stored = await readIfThere(files, join(directory, PLACES.checkpoint));
    if (stored !== undefined) return new TreeLog(options, await openHead(options, stored.toString()));
    if ((await files.list(join(directory, 'tile'))).length > 0) {
      throw new LedgerError('damaged', 'the ledger has entries and no checkpoint');
    }
    const edge = TileEdge.empty();
    const checkpoint = signCheckpoint({ origin: signer.keyName, size: 0, root: edge.root() }, signer);
    await replaceFile(files, directory, PLACES.checkpoint, Buffer.from(checkpoint));
    return new TreeLog(options, { edge, open: [], checkpoint });
  }

  get size(): number {
    return this.#head.edge.size;
  }

  get root(): Uint8Array {
    return this.#head.edge.root();
  }

  /** The newest signed checkpoint. */
  get checkpoint(): string {
    return this.#head.checkpoint;
  }

  /**
   * Takes entries into the tree and signs it.
   *
   * CRASH: before the checkpoint is replaced the tree is the old one, and the caller still has the entries; after it
   * the tree is the new one. Files of either beyond the checkpoint are written again when the tree grows over them.
   */
  async grow(leaves: readonly Leaf[], nowMs: number): Promise<void> {
    const { directory, files, signer } = this.#options;
    const edge = this.#head.edge.copy();
    const changed: TreeFile[] = [];
    const full: string[] = [];
    let open = [...this.#head.open];
    for (const [at, { bytes, hash }] of leaves.entries()) {
      if (at % LEAVES_AT_ONCE === LEAVES_AT_ONCE - 1)
        await new Promise(resolve => void setImmediate(resolve));
      open.push(bytes);
      for (const tile of edge.append(hash)) {
        changed.push({ path: tilePath(tile.id), bytes: tile.bytes });
        full.push(tilePath(tile.id));
      }
      if (open.length < TILE_WIDTH) continue;
      const path = bundlePath(Math.floor((edge.size - 1) / TILE_WIDTH), TILE_WIDTH);
      changed.push({ path, entries: open });
      full.push(path);
      open = [];
    }
    for (const { id, bytes } of edge.partialTiles()) changed.push({ path: tilePath(id), bytes });
    if (open.length > 0) {
      changed.push({
        path: bundlePath(Math.floor(edge.size / TILE_WIDTH), open.length),
        entries: open,
      });
    }
    const checkpoint = signCheckpoint({ origin: signer.keyName, size: edge.size, root: edge.root() }, signer);
    await writeTreeFiles(files, directory, changed, this.#spare);
    await replaceFile(files, directory, PLACES.checkpoint, Buffer.from(checkpoint));
    this.#head = { edge, open, checkpoint };
    await this.#tidy(full, nowMs);
  }

  /** Entries of bundle `bundle` that are in the tree. */
  async readBundle(bundle: number): Promise<Buffer[]> {
    const width = Math.min(TILE_WIDTH, this.size - bundle * TILE_WIDTH);
    if (width <= 0) return [];
    const key = `${bundle}/${width}`;
    const known = this.#read.get(key);
    if (known !== undefined) return known;
    const { entries } = await readBundle(this.#options.files, this.#options.directory, bundle, width);
    const [oldest] = this.#read.keys();
    if (oldest !== undefined && this.#read.size >= MAX_BUNDLES_KEPT) this.#read.delete(oldest);
    this.#read.set(key, entries);
    return entries;
  }

  /** Entries of bundle `bundle` as they are stored, and how many of them are in the tree. */
  async readStored(bundle: number): Promise<{ bytes: Buffer; width: number }> {
    const width = Math.min(TILE_WIDTH, this.size - bundle * TILE_WIDTH);
    const { files, directory } = this.#options;
    return { bytes: (await readBundleBytes(files, directory, bundle, width)).bytes, width };
  }

  /** The root that the tree had when it had `size` entries, as its tiles show it. */
  rootAt(size: number): Promise<Uint8Array> {
    const { files, directory } = this.#options;
    return new TreeReader(size, tile => readTile(files, directory, tile)).root();
  }

  /** That the newest checkpoint covers entry `index`. */
  async proveInclusion(index: number): Promise<{ hashes: Uint8Array[]; checkpoint: string }> {
    const { files, directory } = this.#options;
    const { edge, checkpoint } = this.#head;
    const reader = new TreeReader(edge.size, tile => readTile(files, directory, tile));
    return { hashes: await reader.proveInclusion(index), checkpoint };
  }

  /** What is only for comfort: failing here loses nothing. */
  async #tidy(full: readonly string[], nowMs: number): Promise<void> {
    const { directory, files, log } = this.#options;
    try {
      for (const path of full) await files.remove(join(directory, `${path}.p`));
      if (nowMs - this.#historyAtMs < HISTORY_EVERY_MS) return;
      this.#historyAtMs = nowMs;
      await appendLine(files, directory, PLACES.history, JSON.stringify(this.#head.checkpoint));
    } catch (error) {
      log.warn('ledger not tidied', { error: String(error) });
    }
  }
}

async function openHead({ directory, files, signer }: TreeLogOptions, note: string): Promise<Head> {
  try {
    const { size, root } = openCheckpoint(note, noteKey(signer.keyName, signer.publicKey));
    const edge = await TileEdge.open(size, root, tile => readTile(files, directory, tile));
    const width = size % TILE_WIDTH;
    const index = Math.floor(size / TILE_WIDTH);
    const open = width === 0 ? [] : (await readBundle(files, directory, index, width)).entries;
    const [tile] = edge.partialTiles();
    const hashes = width === 0 ? Buffer.alloc(0) : Buffer.concat(open.map(hashLeaf));
    if (width > 0 && !equalBytes(hashes, tile?.bytes ?? Buffer.alloc(0))) {
      throw new LedgerError('damaged', 'the newest entries do not fit their tile');
    }
    return { edge, open, checkpoint: note };
  } catch (error) {
    const readable = error instanceof MerkleError || error instanceof LedgerError || hasCode(error, 'ENOENT');
    if (!readable) throw error;
    throw new LedgerError('damaged', 'the ledger does not fit its checkpoint', { cause: error });
  }
}
