import { decodeBase64, encodeBase64 } from '#base/bytes';
import { quote } from '#base/error';
import { HASH_BYTES } from './hash.ts';
import { MerkleError } from './merkle-error.ts';
import { openNote, signNote, type NoteKey, type Signer } from './note.ts';

/** A tree head (C2SP tlog-checkpoint). `origin` names the log. */
export type Checkpoint = { readonly origin: string; readonly size: number; readonly root: Uint8Array };

/** Signs a tree head. A log must never sign one that is inconsistent with an earlier one. */
export function signCheckpoint(checkpoint: Checkpoint, signer: Signer): string {
  return signNote(formatCheckpoint(checkpoint), signer);
}

/**
 * Reads a signed checkpoint of the log whose origin is the key's name, as the specification recommends.
 *
 * @throws {MerkleError} those of `openNote`, `bad-checkpoint`, `wrong-origin`
 */
export function openCheckpoint(note: string, key: NoteKey): Checkpoint {
  const checkpoint = parseCheckpoint(openNote(note, key));
  if (checkpoint.origin !== key.keyName) {
    throw new MerkleError(
      'wrong-origin',
      `checkpoint is of ${quote(checkpoint.origin)}, not of ${quote(key.keyName)}`,
    );
  }
  return checkpoint;
}

function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${encodeBase64(root)}\n`;
}

/** Reads the text of a checkpoint; extension lines are ignored. @throws {MerkleError} `bad-checkpoint` */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin = '', size = '', root64 = '', ...extensions] = text.split('\n');
  const root = decodeBase64(root64);
  const whole = /^(0|[1-9][0-9]{0,15})$/.test(size) && Number.isSafeInteger(Number(size));
  const ended = extensions.pop() === '' && extensions.every(line => line !== '');
  if (origin === '' || !whole || root?.byteLength !== HASH_BYTES || !ended) {
    throw new MerkleError('bad-checkpoint', 'checkpoint is not origin, size and root on a line each');
  }
  return { origin, size: Number(size), root };
}
