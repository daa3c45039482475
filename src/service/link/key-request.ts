import { generateKeyPair, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { encodeCertificateRequest } from '#domain/x509';

const generate = promisify(generateKeyPair);

/** A fresh P-256 key and a certificate request that proves its possession. */
export async function createKeyRequest(): Promise<{
  readonly privateKeyPem: string;
  readonly requestPem: string;
}> {
  const { publicKey, privateKey } = await generate('ec', { namedCurve: 'P-256' });
  const requestPem = encodeCertificateRequest(publicKey.export({ type: 'spki', format: 'der' }), bytes =>
    sign('sha256', bytes, privateKey),
  );
  return { privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, requestPem };
}
