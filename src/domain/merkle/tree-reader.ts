import { EMPTY_ROOT } from './hash.ts';
import { MerkleError } from './merkle-error.ts';
import { foldEdge, perfectSubtrees, rootOf } from './right-edge.ts';
import { splitTile, TILE_HEIGHT, TILE_WIDTH, tileWidth, type TileId } from './tile.ts';

/** Fetches the bytes of a tile: a file, a response, a test's memory. */
export type ReadTile = (tile: TileId) => Promise<Uint8Array>;

/**
 * A tree of `size` as its tiles show it. UNTRUSTED: nothing here checks the tiles; proofs made from bad tiles do not
 * verify against the root of a checkpoint.
 */
export class TreeReader {
  readonly size: number;
  readonly #readTile: ReadTile;
  readonly #tiles = new Map<string, Promise<Uint8Array[]>>();

  constructor(size: number, readTile: ReadTile) {
    this.size = size;
    this.#readTile = readTile;
  }

  async root(): Promise<Uint8Array> {
    return this.size === 0 ? EMPTY_ROOT : this.#range(0, this.size);
  }

  /** The audit path of entry `index` (RFC 9162 §2.1.3.1). @throws {MerkleError} `not-in-tree`, `bad-tile` */
  async proveInclusion(index: number): Promise<Uint8Array[]> {
    if (!(index >= 0 && index < this.size)) {
      throw new MerkleError('not-in-tree', `a tree of ${this.size} has no entry ${index}`);
    }
    const siblings: Promise<Uint8Array>[] = [];
    let start = 0;
    let end = this.size;
    while (end - start > 1) {
      const middle = start + splitPoint(end - start);
      if (index < middle) {
        siblings.push(this.#range(middle, end));
        end = middle;
      } else {
        siblings.push(this.#range(start, middle));
        start = middle;
      }
    }
    return (await Promise.all(siblings)).reverse();
  }

  /** That the tree of `oldSize` began this one (RFC 9162 §2.1.4.1). @throws {MerkleError} `not-in-tree`, `bad-tile` */
  async proveConsistency(oldSize: number): Promise<Uint8Array[]> {
    if (!(oldSize > 0 && oldSize <= this.size)) {
      throw new MerkleError('not-in-tree', `a tree of ${oldSize} did not begin one of ${this.size}`);
    }
    const hashes: Promise<Uint8Array>[] = [];
    let start = 0;
    let end = this.size;
    while (oldSize !== end) {
      const middle = start + splitPoint(end - start);
      if (oldSize <= middle) {
        hashes.push(this.#range(middle, end));
        end = middle;
      } else {
        hashes.push(this.#range(start, middle));
        start = middle;
      }
    }
    // The old tree itself is known to the verifier; any other subtree is not.
    if (start > 0) hashes.push(this.#range(start, end));
    return (await Promise.all(hashes)).reverse();
  }

  /** The hash over entries `[start, end)`, which is a node of the tree. */
  async #range(start: number, end: number): Promise<Uint8Array> {
    const parts = perfectSubtrees(end - start);
    const hashes = await Promise.all(parts.map(part => this.#perfect(start + part.start, part.height)));
    return foldEdge(hashes);
  }

  /** The root of the perfect subtree over `[start, start + 2 ** height)`. */
  async #perfect(start: number, height: number): Promise<Uint8Array> {
    const level = Math.floor(height / TILE_HEIGHT);
    const first = start / TILE_WIDTH ** level;
    const index = Math.floor(first / TILE_WIDTH);
    const at = first % TILE_WIDTH;
    const hashes = await this.#tile({ level, index, width: tileWidth(level, index, this.size) });
    return rootOf(hashes.slice(at, at + 2 ** (height % TILE_HEIGHT)));
  }

  #tile(tile: TileId): Promise<Uint8Array[]> {
    const key = `${tile.level}/${tile.index}`;
    let hashes = this.#tiles.get(key);
    if (hashes === undefined) {
      hashes = this.#readTile(tile).then(bytes => splitTile(bytes, tile.width));
      this.#tiles.set(key, hashes);
    }
    return hashes;
  }
}

/** The largest power of two below `size`. */
function splitPoint(size: number): number {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}
