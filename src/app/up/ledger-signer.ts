import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeBase64Url } from '#base/bytes';
import { hasCode, quote } from '#base/error';
import { formatKey, noteKey, parseKey, type Signer } from '#domain/merkle';
import { writeFileAtomically, type Sealer } from '#service/sealed';
import { UpError } from './up-error.ts';

const SEALED_NAME = 'ledger signing key';

/**
 * Opens the key that signs the ledger's checkpoints, or makes it; puts its public half into `ledger.pub`, which is all
 * that a verifier needs. The origin of the log names the trust domain (c2sp.org/tlog-checkpoint).
 *
 * @throws {UpError} `other-trust-domain`
 */
export async function openLedgerSigner(
  stateDirectory: string,
  sealer: Sealer,
  trustDomain: string,
): Promise<Signer> {
  const publicPath = join(stateDirectory, 'ledger.pub');
  const keyName = `${trustDomain}/ledger`;
  const formerName = await readKeyName(publicPath);
  if (formerName !== undefined && formerName !== keyName) {
    const former = quote(formerName.replace(/\/ledger$/, ''));
    throw new UpError(
      'other-trust-domain',
      `${stateDirectory} belongs to the trust domain ${former}, the model says ${quote(trustDomain)}; choose another --state`,
    );
  }
  const privateKey = await openPrivateKey(join(stateDirectory, 'ledger-key.sealed'), sealer);
  // RFC 8037 §2: `x` is the public key as RFC 8032 encodes it.
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  const publicKey = decodeBase64Url(x) ?? new Uint8Array();
  await writeFileAtomically(publicPath, `${formatKey(noteKey(keyName, publicKey))}\n`);
  return { keyName, publicKey, sign: bytes => sign(null, bytes, privateKey) };
}

async function openPrivateKey(path: string, sealer: Sealer): Promise<KeyObject> {
  let encoded = await sealer.readFile(path, SEALED_NAME);
  if (encoded === undefined) {
    encoded = generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' });
    await sealer.writeFile(path, SEALED_NAME, encoded);
  }
  return createPrivateKey({ key: encoded, format: 'der', type: 'pkcs8' });
}

async function readKeyName(path: string): Promise<string | undefined> {
  try {
    return parseKey((await readFile(path, 'utf8')).trim()).keyName;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
