import { randomBytes, sign, type KeyObject, type webcrypto } from 'node:crypto';
import type { Extension, X509Certificate } from '@peculiar/x509';
import { trustDomainIdentity } from '#domain/spiffe';
import { encodePem } from '#domain/x509';
import { encodeLeafCertificate, type LeafIssuer, type LeafNames } from './leaf-certificate.ts';
import type { X509Library } from './x509-library.ts';

/** A certificate with the key that signs under it. */
export type SigningPair = { readonly certificate: X509Certificate; readonly key: webcrypto.CryptoKey };

/** Who signs leaves. */
export type SigningIssuer = LeafIssuer & { readonly key: KeyObject };

type Validity = { readonly notBeforeMs: number; readonly notAfterMs: number };

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** Makes the certificates of the authority itself: which fields and extensions stand in them (X509-SVID §3 to §5). */
export class CertificateMaker {
  readonly #x509: X509Library;

  constructor(x509: X509Library) {
    this.#x509 = x509;
  }

  async makeRoot(
    trustDomain: string,
    validity: Validity,
  ): Promise<{ certificate: X509Certificate; keys: webcrypto.CryptoKeyPair }> {
    const keys = await generateKeys();
    const certificate = await this.#x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: randomSerial(),
      name: authorityName(trustDomain, 'root'),
      notBefore: new Date(validity.notBeforeMs),
      notAfter: new Date(validity.notAfterMs),
      signingAlgorithm: SIGNATURE,
      keys,
      extensions: await this.#authorityExtensions(trustDomain, keys.publicKey, undefined),
    });
    return { certificate, keys };
  }

  /** @returns an intermediate that may sign leaves only */
  async makeIntermediate(
    trustDomain: string,
    root: SigningPair,
    validity: Validity,
  ): Promise<{ certificate: X509Certificate; keys: webcrypto.CryptoKeyPair }> {
    const keys = await generateKeys();
    const certificate = await this.#x509.X509CertificateGenerator.create({
      serialNumber: randomSerial(),
      subject: authorityName(trustDomain, 'issuing'),
      issuer: root.certificate.subjectName,
      notBefore: new Date(validity.notBeforeMs),
      notAfter: new Date(validity.notAfterMs),
      signingAlgorithm: SIGNATURE,
      publicKey: keys.publicKey,
      signingKey: root.key,
      extensions: [
        ...(await this.#authorityExtensions(trustDomain, keys.publicKey, 0)),
        await this.#x509.AuthorityKeyIdentifierExtension.create(root.certificate.publicKey),
      ],
    });
    return { certificate, keys };
  }

  async #authorityExtensions(
    trustDomain: string,
    key: webcrypto.CryptoKey,
    pathLength: number | undefined,
  ): Promise<Extension[]> {
    const { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension } = this.#x509;
    const { SubjectAlternativeNameExtension, SubjectKeyIdentifierExtension } = this.#x509;
    return [
      new BasicConstraintsExtension(true, pathLength, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      // X509-SVID §3.2: an authority's id is the trust domain's, without a path.
      new SubjectAlternativeNameExtension([{ type: 'url', value: trustDomainIdentity(trustDomain) }], false),
      await SubjectKeyIdentifierExtension.create(key),
    ];
  }
}

/**
 * Signs a leaf for `publicKey` (SubjectPublicKeyInfo, DER); what it is called is decided here and not by who asked.
 * From the library's schemas: by its generator issuing takes twice as long, and a large fleet asks for hundreds in a second.
 */
export function makeLeaf(
  issuer: SigningIssuer,
  publicKey: Uint8Array,
  names: LeafNames,
  validity: Validity,
): { readonly pem: string; readonly serial: string } {
  const serial = randomSerial();
  const der = encodeLeafCertificate(
    { serial: Buffer.from(serial, 'hex'), issuer, publicKey, names, ...validity },
    bytes => sign('sha256', bytes, issuer.key),
  );
  return { pem: encodePem('CERTIFICATE', der), serial };
}

export function importSigningKey(privateKeyDer: Uint8Array<ArrayBuffer>): Promise<webcrypto.CryptoKey> {
  return crypto.subtle.importKey('pkcs8', privateKeyDer, KEY_ALGORITHM, false, ['sign']);
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
}

function authorityName(trustDomain: string, role: 'root' | 'issuing') {
  return [{ O: ['Ringwall'] }, { CN: [`${trustDomain} ${role} authority`.slice(0, 64)] }];
}

/** 16 bytes, positive and without leading zeros (RFC 5280 §4.1.2.2), of which 126 bits are random. */
function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}
