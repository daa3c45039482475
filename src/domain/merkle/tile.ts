import { HASH_BYTES } from './hash.ts';
import { MerkleError } from './merkle-error.ts';

/** Hashes in a full tile, entries in a full bundle (C2SP tlog-tiles). */
export const TILE_WIDTH = 256;
export const TILE_HEIGHT = 8;

/** One tile: hashes `[index * 256, index * 256 + width)` of tree level `8 * level`. */
export type TileId = { readonly level: number; readonly index: number; readonly width: number };

/** Where a tile is, relative to the log's directory or URL: `tile/0/x001/234.p/5`. */
export function tilePath({ level, index, width }: TileId): string {
  return `tile/${level}/${placePath(index, width)}`;
}

/** Where an entry bundle is: `tile/entries/x001/234.p/5`. */
export function bundlePath(index: number, width: number): string {
  return `tile/entries/${placePath(index, width)}`;
}

function placePath(index: number, width: number): string {
  const digits = String(index);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/.{3}/g) ?? [];
  const path = groups.map((group, at) => (at === groups.length - 1 ? group : `x${group}`)).join('/');
  return width === TILE_WIDTH ? path : `${path}.p/${width}`;
}

/** How many hashes tile `index` of `level` has in a tree of `size`; 0 when it is not in it. */
export function tileWidth(level: number, index: number, size: number): number {
  const hashes = Math.floor(size / TILE_WIDTH ** level);
  return Math.max(0, Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH));
}

/** The hashes of a tile's bytes. @throws {MerkleError} `bad-tile` */
export function splitTile(bytes: Uint8Array, width: number): Uint8Array[] {
  if (bytes.byteLength !== width * HASH_BYTES) {
    throw new MerkleError('bad-tile', `tile has ${bytes.byteLength} bytes, not ${width * HASH_BYTES}`);
  }
  return Array.from({ length: width }, (_, at) => bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));
}
