import { hash } from 'node:crypto';

export const HASH_BYTES = 32;

const NODE_INPUT_BYTES = 1 + 2 * HASH_BYTES;

/** The hash of one entry (RFC 6962 §2.1): SHA-256 of 0x00 and the entry. */
export function hashLeaf(entry: Uint8Array): Buffer {
  const input = Buffer.allocUnsafe(1 + entry.byteLength);
  input[0] = 0;
  input.set(entry, 1);
  return hash('sha256', input, 'buffer');
}

/** The hash over two subtrees (RFC 6962 §2.1): SHA-256 of 0x01 and both hashes. */
export function hashNode(left: Uint8Array, right: Uint8Array): Buffer {
  const input = Buffer.allocUnsafe(NODE_INPUT_BYTES);
  input[0] = 1;
  input.set(left, 1);
  input.set(right, 1 + HASH_BYTES);
  return hash('sha256', input, 'buffer');
}

/** The root of a tree without entries (RFC 6962 §2.1). */
export const EMPTY_ROOT: Uint8Array = hash('sha256', '', 'buffer');
