import { equalBytes } from '#base/bytes';
import { HASH_BYTES, hashNode } from './hash.ts';
import { MerkleError } from './merkle-error.ts';

/** That an entry is in a tree (RFC 9162 §2.1.3). */
export type InclusionClaim = {
  readonly index: number;
  readonly size: number;
  readonly leafHash: Uint8Array;
  readonly root: Uint8Array;
};

/** That one tree is the beginning of another (RFC 9162 §2.1.4). */
export type ConsistencyClaim = {
  readonly size1: number;
  readonly root1: Uint8Array;
  readonly size2: number;
  readonly root2: Uint8Array;
};

/**
 * Checks an inclusion proof (RFC 9162 §2.1.3.2).
 *
 * @throws {MerkleError} `not-in-tree`, `wrong-proof` (malformed) or `wrong-root`
 */
export function verifyInclusion(claim: InclusionClaim, proof: readonly Uint8Array[]): void {
  const { index, size, leafHash, root } = claim;
  if (!isCount(index) || !isCount(size) || index >= size) {
    throw new MerkleError('not-in-tree', `a tree of ${size} has no entry ${index}`);
  }
  checkHashes([leafHash, ...proof]);
  let node = index;
  let last = size - 1;
  let hash = leafHash;
  for (const sibling of proof) {
    if (last === 0) throw new MerkleError('wrong-proof', 'proof is too long');
    if (node % 2 === 1 || node === last) {
      hash = hashNode(sibling, hash);
      // The last node of a level may have no sibling for some levels: it moves up unchanged.
      for (; node % 2 === 0 && node !== 0; node = half(node)) last = half(last);
    } else {
      hash = hashNode(hash, sibling);
    }
    node = half(node);
    last = half(last);
  }
  if (last !== 0) throw new MerkleError('wrong-proof', 'proof is too short');
  expectRoot(hash, root);
}

/**
 * Checks a consistency proof (RFC 9162 §2.1.4.2). Nothing follows from an empty tree, so `size1` of 0 is refused.
 *
 * @throws {MerkleError} `not-in-tree`, `wrong-proof` (malformed) or `wrong-root`
 */
export function verifyConsistency(claim: ConsistencyClaim, proof: readonly Uint8Array[]): void {
  const { size1, root1, size2, root2 } = claim;
  if (!isCount(size1) || !isCount(size2) || size1 === 0 || size1 > size2) {
    throw new MerkleError('not-in-tree', `a tree of ${size1} cannot be shown to begin one of ${size2}`);
  }
  checkHashes(proof);
  if (size1 === size2) {
    if (proof.length > 0) throw new MerkleError('wrong-proof', 'proof of equal sizes must be empty');
    return expectRoot(root1, root2);
  }
  let node = size1 - 1;
  let last = size2 - 1;
  for (; node % 2 === 1; node = half(node)) last = half(last);
  const [seed, ...rest] = node === 0 ? [root1, ...proof] : proof;
  if (seed === undefined) throw new MerkleError('wrong-proof', 'proof is too short');
  let hash1 = seed;
  let hash2 = seed;
  for (const sibling of rest) {
    if (last === 0) throw new MerkleError('wrong-proof', 'proof is too long');
    if (node % 2 === 1 || node === last) {
      hash1 = hashNode(sibling, hash1);
      hash2 = hashNode(sibling, hash2);
      for (; node % 2 === 0 && node !== 0; node = half(node)) last = half(last);
    } else {
      hash2 = hashNode(hash2, sibling);
    }
    node = half(node);
    last = half(last);
  }
  if (last !== 0) throw new MerkleError('wrong-proof', 'proof is too short');
  expectRoot(hash1, root1);
  return expectRoot(hash2, root2);
}

function half(value: number): number {
  return Math.floor(value / 2);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function checkHashes(hashes: readonly Uint8Array[]): void {
  if (hashes.some(hash => hash.byteLength !== HASH_BYTES))
    throw new MerkleError('wrong-proof', 'a hash has 32 bytes');
}

function expectRoot(computed: Uint8Array, claimed: Uint8Array): void {
  if (!equalBytes(computed, claimed)) throw new MerkleError('wrong-root', 'proof leads to another root');
}
