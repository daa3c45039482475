import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { decodeBase64, encodeBase64, encodeHex, equalBytes, sha256 } from '#base/bytes';
import { quote } from '#base/error';
import { MerkleError } from './merkle-error.ts';

// C2SP signed-note: signature type 0x01 is plain Ed25519.
const ED25519 = 1;
const KEY_ID_BYTES = 4;
const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const MAX_NOTE_CHARS = 64 * 1024;
const MAX_SIGNATURES = 64;
// RFC 8410 §4: an Ed25519 public key in SPKI form is this and the 32 bytes.
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** Signs as a named key; the private key stays with its owner. */
export type Signer = {
  readonly keyName: string;
  /** Ed25519, 32 bytes (RFC 8032). */
  readonly publicKey: Uint8Array;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
};

/** A key that a verifier trusts: `name+hash+keydata`, as the note tools of the Go world write it. */
export type NoteKey = {
  readonly keyName: string;
  readonly keyId: Uint8Array;
  readonly publicKey: Uint8Array;
};

/** @param publicKey 32 bytes, RFC 8032 */
export function noteKey(keyName: string, publicKey: Uint8Array): NoteKey {
  checkKeyName(keyName);
  if (publicKey.byteLength !== PUBLIC_KEY_BYTES)
    throw new MerkleError('bad-key', 'an Ed25519 public key has 32 bytes');
  return { keyName, keyId: keyIdOf(keyName, publicKey), publicKey };
}

export function formatKey({ keyName, keyId, publicKey }: NoteKey): string {
  return `${keyName}+${encodeHex(keyId)}+${encodeBase64(Buffer.concat([Buffer.of(ED25519), publicKey]))}`;
}

/** @throws {MerkleError} `bad-key` */
export function parseKey(text: string): NoteKey {
  const [, keyName = '', hash = '', data = ''] =
    /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{1,64})$/.exec(text) ?? [];
  const bytes = decodeBase64(data);
  if (bytes === undefined || bytes[0] !== ED25519 || bytes.byteLength !== 1 + PUBLIC_KEY_BYTES) {
    throw new MerkleError('bad-key', 'a verifier key has the form `name+hash+keydata` and is an Ed25519 key');
  }
  const key = noteKey(keyName, bytes.subarray(1));
  if (encodeHex(key.keyId) !== hash)
    throw new MerkleError('bad-key', 'the hash of the verifier key does not fit');
  return key;
}

/** Signs a text that ends in a newline. */
export function signNote(text: string, signer: Signer): string {
  if (!text.endsWith('\n')) throw new MerkleError('bad-note', 'a note ends in a newline');
  const { keyName, keyId } = noteKey(signer.keyName, signer.publicKey);
  const signature = Buffer.concat([keyId, signer.sign(Buffer.from(text))]);
  return `${text}\n— ${keyName} ${encodeBase64(signature)}\n`;
}

/**
 * Gives the text of a note that `key` has signed. Signatures of other keys (witnesses) are ignored.
 *
 * UNTRUSTED: the note.
 *
 * @throws {MerkleError} `bad-note`, `unknown-signer`, `wrong-signature`
 */
export function openNote(note: string, key: NoteKey): string {
  if (note.length > MAX_NOTE_CHARS || /[\u0000-\u0009\u000b-\u001f]/.test(note)) {
    throw new MerkleError('bad-note', 'note is too long or has control characters');
  }
  const split = note.lastIndexOf('\n\n');
  if (split < 0 || !note.endsWith('\n')) throw new MerkleError('bad-note', 'note has no signatures');
  const text = note.slice(0, split + 1);
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw new MerkleError('bad-note', 'note has too many signatures');
  let verified = false;
  for (const line of lines) {
    const { keyName, bytes } = parseSignature(line);
    const known = keyName === key.keyName && equalBytes(bytes.subarray(0, KEY_ID_BYTES), key.keyId);
    if (!known) continue;
    if (!isSignature(text, bytes.subarray(KEY_ID_BYTES), key)) {
      throw new MerkleError('wrong-signature', `signature of ${quote(keyName)} does not fit the text`);
    }
    verified = true;
  }
  if (!verified) throw new MerkleError('unknown-signer', `note is not signed by ${quote(key.keyName)}`);
  return text;
}

function parseSignature(line: string): { keyName: string; bytes: Uint8Array } {
  const [, keyName, base64 = ''] = /^— ([^ +]+) ([A-Za-z0-9+/=]+)$/.exec(line) ?? [];
  const bytes = decodeBase64(base64);
  if (keyName === undefined || bytes === undefined || bytes.byteLength <= KEY_ID_BYTES) {
    throw new MerkleError('bad-note', 'signature line is malformed');
  }
  return { keyName, bytes };
}

function isSignature(text: string, signature: Uint8Array, { publicKey }: NoteKey): boolean {
  return (
    signature.byteLength === SIGNATURE_BYTES &&
    verify(null, Buffer.from(text), toKeyObject(publicKey), signature)
  );
}

function toKeyObject(publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' });
}

function keyIdOf(keyName: string, publicKey: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([Buffer.from(`${keyName}\n`), Buffer.of(ED25519), publicKey])).subarray(
    0,
    KEY_ID_BYTES,
  );
}

function checkKeyName(keyName: string): void {
  if (!/^[^\s+]+$/u.test(keyName))
    throw new MerkleError('bad-key', `key name ${quote(keyName)} is empty, or has a space or plus`);
}
