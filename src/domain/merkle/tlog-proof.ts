import { decodeBase64, encodeBase64 } from '#base/bytes';
import { openCheckpoint, type Checkpoint } from './checkpoint.ts';
import { HASH_BYTES } from './hash.ts';
import { MerkleError } from './merkle-error.ts';
import type { NoteKey } from './note.ts';
import { verifyInclusion } from './proof.ts';

const HEADER = 'c2sp.org/tlog-proof@v1';
const MAX_PROOF_HASHES = 63;
const MAX_CHARS = 256 * 1024;

/** A proof that stands for itself (C2SP tlog-proof). */
export type TlogProof = {
  readonly index: number;
  readonly hashes: readonly Uint8Array[];
  /** The signed checkpoint, verbatim. */
  readonly checkpoint: string;
  /** Not covered by the proof; here it holds the entry that is proven. */
  readonly extra: Uint8Array | undefined;
};

export function formatProof({ index, hashes, checkpoint, extra }: TlogProof): string {
  const lines = [HEADER, ...(extra === undefined ? [] : [`extra ${encodeBase64(extra)}`]), `index ${index}`];
  return `${[...lines, ...hashes.map(encodeBase64)].join('\n')}\n\n${checkpoint}`;
}

/** @throws {MerkleError} `bad-proof-text` */
export function parseProof(text: string): TlogProof {
  const split = text.indexOf('\n\n');
  if (text.length > MAX_CHARS || split < 0)
    throw new MerkleError('bad-proof-text', 'proof has no checkpoint');
  const lines = text.slice(0, split).split('\n');
  if (lines.shift() !== HEADER) throw new MerkleError('bad-proof-text', `a proof begins with \`${HEADER}\``);
  const extraLine = lines[0]?.startsWith('extra ') ? lines.shift() : undefined;
  const extra = extraLine === undefined ? undefined : decodeBase64(extraLine.slice('extra '.length));
  const [, index] = /^index (0|[1-9][0-9]{0,15})$/.exec(lines.shift() ?? '') ?? [];
  const hashes = lines.map(line => decodeBase64(line));
  if (
    index === undefined ||
    !Number.isSafeInteger(Number(index)) ||
    (extraLine !== undefined && extra === undefined) ||
    hashes.length > MAX_PROOF_HASHES ||
    !hashes.every(hash => hash?.byteLength === HASH_BYTES)
  ) {
    throw new MerkleError('bad-proof-text', 'proof has a malformed index, extra data or hash');
  }
  return { index: Number(index), hashes: hashes as Uint8Array[], checkpoint: text.slice(split + 2), extra };
}

/**
 * Checks that the entry with `leafHash` is in the log of `key`; gives the checkpoint that says so.
 *
 * @throws {MerkleError} those of `openCheckpoint` and `verifyInclusion`
 */
export function verifyProof(proof: TlogProof, leafHash: Uint8Array, key: NoteKey): Checkpoint {
  const checkpoint = openCheckpoint(proof.checkpoint, key);
  const { size, root } = checkpoint;
  verifyInclusion({ index: proof.index, size, leafHash, root }, proof.hashes);
  return checkpoint;
}
