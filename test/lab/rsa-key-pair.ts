import { generateKeyPairSync, webcrypto } from 'node:crypto';
import { loadX509Library } from '#service/ca';
import type { SvidKeyPair } from '#service/point';

const ALGORITHM = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
const HOUR_MS = 3_600_000;

/** A self-signed certificate with an RSA key, which cipher suites without forward secrecy need. */
export async function rsaKeyPair(dnsName: string): Promise<SvidKeyPair> {
  const x509 = await loadX509Library();
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const der = privateKey.export({ type: 'pkcs8', format: 'der' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const notAfterMs = Date.now() + HOUR_MS;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '41',
    name: 'CN=lab',
    notBefore: new Date(Date.now() - HOUR_MS),
    notAfter: new Date(notAfterMs),
    signingAlgorithm: ALGORITHM,
    keys: {
      privateKey: await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, true, ['sign']),
      publicKey: await webcrypto.subtle.importKey('spki', spki, ALGORITHM, true, ['verify']),
    },
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: dnsName }])],
  });
  return {
    certificateChainPem: `${certificate.toString('pem')}\n`,
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    notAfterMs,
    serial: '41',
  };
}
