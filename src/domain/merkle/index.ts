/**
 * Merkle trees of transparency logs: hashing, inclusion and consistency proofs (RFC 6962, RFC 9162), and the formats
 * of C2SP: tlog-tiles, signed-note (Ed25519), tlog-checkpoint, tlog-proof.
 *
 * Pure: tiles are fetched by a callback, signatures are made by the caller's `Signer`. UNTRUSTED: everything that is
 * parsed or verified here. Not for secrets: all hashes are public.
 */
export { EMPTY_ROOT, HASH_BYTES, hashLeaf } from './hash.ts';
export { RightEdge, rootOf } from './right-edge.ts';
export { verifyConsistency, verifyInclusion } from './proof.ts';
export type { ConsistencyClaim, InclusionClaim } from './proof.ts';
export { bundlePath, TILE_WIDTH, tilePath, tileWidth } from './tile.ts';
export type { TileId } from './tile.ts';
export { TileEdge } from './tile-edge.ts';
export type { Tile } from './tile-edge.ts';
export { TreeReader } from './tree-reader.ts';
export type { ReadTile } from './tree-reader.ts';
export { decodeBundle, eachEntry, encodeBundle } from './entry-bundle.ts';
export { formatKey, noteKey, openNote, parseKey, signNote } from './note.ts';
export type { NoteKey, Signer } from './note.ts';
export { openCheckpoint, parseCheckpoint, signCheckpoint } from './checkpoint.ts';
export type { Checkpoint } from './checkpoint.ts';
export { formatProof, parseProof, verifyProof } from './tlog-proof.ts';
export type { TlogProof } from './tlog-proof.ts';
export { MerkleError } from './merkle-error.ts';
