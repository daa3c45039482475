import { createPrivateKey, X509Certificate } from 'node:crypto';
import { quote } from '#base/error';
import { authorityFault, certificateSerial, peerIdentity, splitPemChain } from '#domain/x509';
import { PointError } from './point-error.ts';
import type { SvidKeyPair } from './point-host.ts';

/** Under what a certificate is to be shown. */
export type CertificateName =
  | { readonly kind: 'identity'; readonly identity: string }
  | { readonly kind: 'edge'; readonly hosts: readonly string[] };

/**
 * Takes a certificate that control issued, if it is the one that was asked for: for this key, under this name, signed
 * by way of the roots. A point shows nothing to others that they would refuse.
 *
 * @throws {PointError} `bad-certificate`
 */
export function checkCertificate(given: {
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
  readonly trustAnchors: readonly string[];
  readonly name: CertificateName;
}): SvidKeyPair {
  const { certificateChainPem, privateKeyPem, trustAnchors, name } = given;
  const [leaf, issuing, ...more] = splitPemChain(certificateChainPem).map(pem => new X509Certificate(pem));
  if (leaf === undefined || issuing === undefined || more.length > 0)
    throw fault(name, 'is not a leaf and its issuer');
  if (!leaf.checkPrivateKey(createPrivateKey(privateKeyPem))) throw fault(name, 'is for another key');
  if (authorityFault(issuing) !== undefined || !leaf.verify(issuing.publicKey))
    throw fault(name, 'is not signed by its issuer');
  if (!trustAnchors.some(pem => issuing.verify(new X509Certificate(pem).publicKey))) {
    throw fault(name, 'is of another authority');
  }
  if (!isNamed(leaf, name)) throw fault(name, 'is under another name');
  return {
    certificateChainPem,
    privateKeyPem,
    notAfterMs: leaf.validToDate.getTime(),
    serial: certificateSerial(leaf),
  };
}

function isNamed(leaf: X509Certificate, name: CertificateName): boolean {
  if (name.kind === 'edge') return name.hosts.every(host => leaf.checkHost(host) !== undefined);
  const verdict = peerIdentity(leaf);
  return verdict.kind === 'identity' && verdict.id === name.identity;
}

function fault(name: CertificateName, what: string): PointError {
  const shown = name.kind === 'identity' ? quote(name.identity) : 'the edge';
  return new PointError('bad-certificate', `the certificate that control gave for ${shown} ${what}`);
}
