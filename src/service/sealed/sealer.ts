import { randomBytes } from 'node:crypto';
import { lstat, readFile } from 'node:fs/promises';
import { getuid } from 'node:process';
import sodium from 'libsodium-wrappers';
import { equalBytes, sha256 } from '#base/bytes';
import { CodedError, hasCode, quote } from '#base/error';
import { writeFileAtomically } from './write-file.ts';

export class SealedError extends CodedError<
  'key-file-missing' | 'key-file-loose' | 'key-file-damaged' | 'wrong-key' | 'damaged'
> {}

/** Seals small files under one key: XChaCha20-Poly1305 with a random nonce each time. */
export interface Sealer {
  /** @param name what the bytes are; they open under the same name only */
  seal(name: string, bytes: Uint8Array): Buffer;
  /** @throws {SealedError} `wrong-key` or `damaged` */
  open(name: string, sealed: Uint8Array): Buffer;
  /** Replaces the file as a whole; mode 0600. */
  writeFile(path: string, name: string, bytes: Uint8Array): Promise<void>;
  /**
   * @returns `undefined` when there is no such file
   * @throws {SealedError} `wrong-key` or `damaged`
   */
  readFile(path: string, name: string): Promise<Buffer | undefined>;
}

const MAGIC = Buffer.from('RWS1');
const KEY_BYTES = 32;
const KEY_ID_BYTES = 8;
const NONCE_BYTES = 24;
const HEADER_BYTES = MAGIC.byteLength + KEY_ID_BYTES;

/**
 * Opens the key file of a state directory.
 *
 * @param options.whenMissing `create` writes a new random key; give `refuse` where sealed files are already there,
 *   for a new key could not open them
 * @throws {SealedError} when the file is missing, readable by others, or not a key
 */
export async function openSealer(options: {
  readonly keyFile: string;
  readonly whenMissing: 'create' | 'refuse';
}): Promise<Sealer> {
  await sodium.ready;
  const key = (await readKey(options.keyFile)) ?? (await createKey(options.keyFile, options.whenMissing));
  return new KeyFileSealer(key);
}

class KeyFileSealer implements Sealer {
  readonly #key: Uint8Array;
  readonly #keyId: Buffer;

  constructor(key: Uint8Array) {
    this.#key = key;
    this.#keyId = sha256(Buffer.concat([Buffer.from('ringwall sealing key id\0'), key])).subarray(
      0,
      KEY_ID_BYTES,
    );
  }

  seal(name: string, bytes: Uint8Array): Buffer {
    const header = Buffer.concat([MAGIC, this.#keyId]);
    const nonce = randomBytes(NONCE_BYTES);
    const context = Buffer.concat([header, Buffer.from(name)]);
    const sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(bytes, context, null, nonce, this.#key);
    return Buffer.concat([header, nonce, sealed]);
  }

  open(name: string, sealed: Uint8Array): Buffer {
    if (
      sealed.byteLength < HEADER_BYTES + NONCE_BYTES ||
      !equalBytes(sealed.subarray(0, MAGIC.byteLength), MAGIC)
    ) {
      throw new SealedError('damaged', `the sealed file ${quote(name)} is damaged: it is not a sealed file`);
    }
    if (!equalBytes(sealed.subarray(MAGIC.byteLength, HEADER_BYTES), this.#keyId)) {
      throw new SealedError('wrong-key', `the sealed file ${quote(name)} was sealed under another key file`);
    }
    const context = Buffer.concat([sealed.subarray(0, HEADER_BYTES), Buffer.from(name)]);
    const nonce = sealed.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES);
    const body = sealed.subarray(HEADER_BYTES + NONCE_BYTES);
    try {
      return Buffer.from(
        sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, body, context, nonce, this.#key),
      );
    } catch (error) {
      throw new SealedError('damaged', `the sealed file ${quote(name)} is damaged`, { cause: error });
    }
  }

  async writeFile(path: string, name: string, bytes: Uint8Array): Promise<void> {
    await writeFileAtomically(path, this.seal(name, bytes));
  }

  async readFile(path: string, name: string): Promise<Buffer | undefined> {
    let sealed: Buffer;
    try {
      sealed = await readFile(path);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
    return this.open(name, sealed);
  }
}

async function readKey(keyFile: string): Promise<Uint8Array | undefined> {
  try {
    const stat = await lstat(keyFile);
    if (!stat.isFile())
      throw new SealedError('key-file-damaged', `the key file ${quote(keyFile)} is not a plain file`);
    if ((stat.mode & 0o077) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      throw new SealedError(
        'key-file-loose',
        `the key file ${quote(keyFile)} has mode ${mode}; it must be 0600: chmod 600`,
      );
    }
    if (getuid !== undefined && stat.uid !== getuid()) {
      throw new SealedError('key-file-loose', `the key file ${quote(keyFile)} belongs to another user`);
    }
    const key = await readFile(keyFile);
    if (key.byteLength !== KEY_BYTES) {
      throw new SealedError(
        'key-file-damaged',
        `the key file ${quote(keyFile)} must hold exactly ${KEY_BYTES} bytes`,
      );
    }
    return key;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function createKey(keyFile: string, whenMissing: 'create' | 'refuse'): Promise<Uint8Array> {
  if (whenMissing === 'refuse') {
    throw new SealedError(
      'key-file-missing',
      `the key file ${quote(keyFile)} is gone; what it sealed cannot be opened`,
    );
  }
  const key = randomBytes(KEY_BYTES);
  await writeFileAtomically(keyFile, key);
  return key;
}
