import { equalBytes } from '#base/bytes';
import { MerkleError } from './merkle-error.ts';
import { foldEdge, RightEdge } from './right-edge.ts';
import { splitTile, TILE_WIDTH, tileWidth, type TileId } from './tile.ts';
import type { ReadTile } from './tree-reader.ts';

/** A tile and its bytes, as they are stored. */
export type Tile = { readonly id: TileId; readonly bytes: Buffer };

type Level = { readonly hashes: Uint8Array[]; readonly edge: RightEdge; index: number };

/** The unfinished tiles at the right of a growing tree, one for each level: all that is needed to write the next ones. */
export class TileEdge {
  #size: number;
  readonly #levels: Level[];

  private constructor(size: number, levels: Level[]) {
    this.#size = size;
    this.#levels = levels;
  }

  static empty(): TileEdge {
    return new TileEdge(0, []);
  }

  /**
   * Reads the edge of a tree of `size`; the cost does not depend on the size.
   * @throws {MerkleError} `bad-tile`, `wrong-root`
   */
  static async open(size: number, root: Uint8Array, readTile: ReadTile): Promise<TileEdge> {
    const levels: Level[] = [];
    for (let level = 0; TILE_WIDTH ** level <= size; level += 1) {
      const index = Math.floor(size / TILE_WIDTH ** (level + 1));
      const width = tileWidth(level, index, size);
      const hashes = width === 0 ? [] : splitTile(await readTile({ level, index, width }), width);
      const edge = new RightEdge();
      for (const hash of hashes) edge.append(hash);
      levels.push({ hashes, edge, index });
    }
    const opened = new TileEdge(size, levels);
    if (!equalBytes(opened.root(), root))
      throw new MerkleError('wrong-root', 'the tiles do not lead to the root');
    return opened;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds an entry; gives the tiles that are full with it, lowest first. */
  append(leafHash: Uint8Array): Tile[] {
    this.#size += 1;
    return this.#push(0, leafHash, []);
  }

  /** The unfinished tiles as they are now. */
  partialTiles(): Tile[] {
    return this.#levels.flatMap(({ hashes, index }, level) =>
      hashes.length === 0
        ? []
        : [{ id: { level, index, width: hashes.length }, bytes: Buffer.concat(hashes) }],
    );
  }

  root(): Uint8Array {
    return foldEdge(this.#levels.toReversed().flatMap(({ edge }) => edge.hashes));
  }

  copy(): TileEdge {
    const levels = this.#levels.map(({ hashes, edge, index }) => ({
      hashes: [...hashes],
      edge: edge.copy(),
      index,
    }));
    return new TileEdge(this.#size, levels);
  }

  #push(at: number, hash: Uint8Array, full: Tile[]): Tile[] {
    const level = (this.#levels[at] ??= { hashes: [], edge: new RightEdge(), index: 0 });
    level.hashes.push(hash);
    level.edge.append(hash);
    if (level.hashes.length < TILE_WIDTH) return full;
    full.push({
      id: { level: at, index: level.index, width: TILE_WIDTH },
      bytes: Buffer.concat(level.hashes),
    });
    const root = level.edge.root();
    this.#levels[at] = { hashes: [], edge: new RightEdge(), index: level.index + 1 };
    return this.#push(at + 1, root, full);
  }
}
