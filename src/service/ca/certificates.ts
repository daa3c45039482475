import { randomBytes, type webcrypto } from 'node:crypto';
import type { Extension, Pkcs10CertificateRequest, PublicKey, X509Certificate } from '@peculiar/x509';
import { CodedError } from '#base/error';
import { trustDomainIdentity } from '#domain/spiffe';
import type { X509Library } from './x509-library.ts';

/** A certificate request that control does not sign. */
export class RequestError extends CodedError<'malformed-request' | 'bad-signature' | 'bad-key'> {}

/** A certificate with the key that signs under it. */
export type SigningPair = { readonly certificate: X509Certificate; readonly key: webcrypto.CryptoKey };

type Validity = { readonly notBeforeMs: number; readonly notAfterMs: number };
type LeafNames =
  | { readonly kind: 'identity'; readonly identity: string; readonly commonName: string | undefined }
  | { readonly kind: 'server'; readonly dnsNames: readonly string[]; readonly addresses: readonly string[] };

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;
// A request by this project's points has about 350 bytes of PEM.
const MAX_REQUEST_CHARS = 4096;

/** The X.509 work of the authority: which fields and extensions stand in which certificate (X509-SVID §3 to §5). */
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

  /** Signs a leaf for `publicKey`; what it is called is decided here and not by who asked. */
  async makeLeaf(
    issuer: SigningPair,
    publicKey: PublicKey,
    names: LeafNames,
    validity: Validity,
  ): Promise<X509Certificate> {
    const subject = names.kind === 'identity' ? names.commonName : undefined;
    return this.#x509.X509CertificateGenerator.create({
      serialNumber: randomSerial(),
      subject: subject === undefined ? '' : [{ O: ['Ringwall'] }, { CN: [subject] }],
      issuer: issuer.certificate.subjectName,
      notBefore: new Date(validity.notBeforeMs),
      notAfter: new Date(validity.notAfterMs),
      signingAlgorithm: SIGNATURE,
      publicKey,
      signingKey: issuer.key,
      extensions: await this.#leafExtensions(issuer, publicKey, names, subject === undefined),
    });
  }

  /**
   * Reads a certificate request and verifies that whoever made it holds its key. Names in it are not looked at.
   *
   * UNTRUSTED: the text comes from a peer.
   * @throws {RequestError}
   */
  async readRequest(pem: string): Promise<PublicKey> {
    const request = this.#parseRequest(pem);
    const { name, namedCurve } = request.publicKey.algorithm as webcrypto.EcKeyAlgorithm;
    if (name !== KEY_ALGORITHM.name || namedCurve !== KEY_ALGORITHM.namedCurve) {
      throw new RequestError('bad-key', 'a certificate request must be for an ECDSA key on P-256');
    }
    let proven = false;
    try {
      proven = await request.verify();
    } catch (error) {
      throw new RequestError('bad-signature', 'the signature of the certificate request cannot be read', {
        cause: error,
      });
    }
    if (!proven)
      throw new RequestError('bad-signature', 'the certificate request is not signed by its own key');
    return request.publicKey;
  }

  #parseRequest(pem: string): Pkcs10CertificateRequest {
    if (pem.length > MAX_REQUEST_CHARS)
      throw new RequestError('malformed-request', 'the certificate request is too long');
    try {
      return new this.#x509.Pkcs10CertificateRequest(pem);
    } catch (error) {
      throw new RequestError('malformed-request', 'the certificate request cannot be read', { cause: error });
    }
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

  async #leafExtensions(
    issuer: SigningPair,
    key: PublicKey,
    names: LeafNames,
    noSubject: boolean,
  ): Promise<Extension[]> {
    const x509 = this.#x509;
    const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
    const alternatives =
      names.kind === 'identity'
        ? [{ type: 'url' as const, value: names.identity }]
        : [
            ...names.dnsNames.map(value => ({ type: 'dns' as const, value })),
            ...names.addresses.map(value => ({ type: 'ip' as const, value })),
          ];
    return [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      // X509-SVID §4.4: both ends of mTLS; a server of the edge never calls.
      new x509.ExtendedKeyUsageExtension(
        names.kind === 'identity' ? [serverAuth, clientAuth] : [serverAuth],
        false,
      ),
      // RFC 5280 §4.2.1.6: critical when the subject is empty.
      new x509.SubjectAlternativeNameExtension(alternatives, noSubject),
      await x509.SubjectKeyIdentifierExtension.create(key),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate.publicKey),
    ];
  }
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
