import { EMPTY_ROOT, hashLeaf, hashNode } from './hash.ts';
import type { Tile } from './tile-edge.ts';
import { TileEdge } from './tile-edge.ts';
import { tilePath, type TileId } from './tile.ts';

/** RFC 6962 §2.1 word for word: the oracle for everything that is faster. */
export function naiveRoot(entries: readonly Uint8Array[]): Uint8Array {
  const [only] = entries;
  if (only === undefined) return EMPTY_ROOT;
  if (entries.length === 1) return hashLeaf(only);
  const split = naiveSplit(entries.length);
  return hashNode(naiveRoot(entries.slice(0, split)), naiveRoot(entries.slice(split)));
}

export function naiveInclusion(index: number, entries: readonly Uint8Array[]): Uint8Array[] {
  if (entries.length <= 1) return [];
  const split = naiveSplit(entries.length);
  return index < split
    ? [...naiveInclusion(index, entries.slice(0, split)), naiveRoot(entries.slice(split))]
    : [...naiveInclusion(index - split, entries.slice(split)), naiveRoot(entries.slice(0, split))];
}

export function naiveConsistency(
  oldSize: number,
  entries: readonly Uint8Array[],
  known = true,
): Uint8Array[] {
  if (oldSize === entries.length) return known ? [] : [naiveRoot(entries)];
  const split = naiveSplit(entries.length);
  return oldSize <= split
    ? [...naiveConsistency(oldSize, entries.slice(0, split), known), naiveRoot(entries.slice(split))]
    : [...naiveConsistency(oldSize - split, entries.slice(split), false), naiveRoot(entries.slice(0, split))];
}

function naiveSplit(size: number): number {
  return 2 ** Math.floor(Math.log2(size - 1));
}

export function numberedEntries(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => Buffer.from(`entry ${index}`));
}

/** Tiles in memory, as a log of these entries would have them. */
export function tilesOf(entries: readonly Uint8Array[]): {
  edge: TileEdge;
  tiles: Map<string, Buffer>;
  read: (tile: TileId) => Promise<Uint8Array>;
} {
  const edge = TileEdge.empty();
  const tiles = new Map<string, Buffer>();
  const keep = (all: readonly Tile[]) => all.forEach(({ id, bytes }) => tiles.set(tilePath(id), bytes));
  for (const entry of entries) keep(edge.append(hashLeaf(entry)));
  keep(edge.partialTiles());
  const read = async (tile: TileId) => {
    const bytes = tiles.get(tilePath(tile));
    if (bytes === undefined) throw new Error(`no tile ${tilePath(tile)}`);
    return bytes;
  };
  return { edge, tiles, read };
}
