import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';
import { sha256 } from '#base/bytes';
import { ECDSA_SHA256, encodeAsn1 } from './asn1.ts';

/** What a leaf is to be called: a SPIFFE ID for both ends of mTLS, or hosts for a server alone. */
export type LeafNames =
  | { readonly kind: 'identity'; readonly identity: string; readonly commonName: string | undefined }
  | { readonly kind: 'server'; readonly dnsNames: readonly string[]; readonly addresses: readonly string[] };

/** Who signs a leaf. */
export type LeafIssuer = {
  /** Its subject. */
  readonly name: Name;
  /** Its subject key identifier. */
  readonly keyId: Uint8Array;
};

const ORGANIZATION = '2.5.4.10';
const COMMON_NAME = '2.5.4.3';
const KEY_ID_BYTES = 20;
const NO_AUTHORITY = makeExtension(id_ce_basicConstraints, 'critical', new BasicConstraints());
const SIGNATURES = makeExtension(id_ce_keyUsage, 'critical', new KeyUsage(KeyUsageFlags.digitalSignature));
// X509-SVID §4.4: both ends of mTLS; a server of the edge never calls.
const PURPOSES = {
  identity: makeExtension(
    id_ce_extKeyUsage,
    'plain',
    new ExtendedKeyUsage([id_kp_serverAuth, id_kp_clientAuth]),
  ),
  server: makeExtension(id_ce_extKeyUsage, 'plain', new ExtendedKeyUsage([id_kp_serverAuth])),
};

/**
 * A certificate of a leaf (RFC 5280 §4, X509-SVID §3 to §5).
 *
 * @param leaf.serial positive, without leading zeros, at most 20 bytes
 * @param leaf.publicKey SubjectPublicKeyInfo, DER
 * @param leaf.notBeforeMs whole seconds, as `notAfterMs`
 * @param sign ECDSA with SHA-256, signature in DER
 * @returns DER
 */
export function encodeLeafCertificate(
  leaf: {
    readonly serial: Uint8Array;
    readonly issuer: LeafIssuer;
    readonly publicKey: Uint8Array;
    readonly names: LeafNames;
    readonly notBeforeMs: number;
    readonly notAfterMs: number;
  },
  sign: (bytes: Uint8Array) => Uint8Array,
): Buffer {
  const { issuer, names, notAfterMs, notBeforeMs, serial } = leaf;
  const commonName = names.kind === 'identity' ? names.commonName : undefined;
  const publicKey = AsnConvert.parse(leaf.publicKey, SubjectPublicKeyInfo);
  const body = new TBSCertificate({
    version: Version.v3,
    serialNumber: new Uint8Array(serial).buffer,
    signature: ECDSA_SHA256,
    issuer: issuer.name,
    validity: new Validity({ notBefore: new Date(notBeforeMs), notAfter: new Date(notAfterMs) }),
    subject: commonName === undefined ? new Name() : makeSubject(commonName),
    subjectPublicKeyInfo: publicKey,
    extensions: new Extensions([
      NO_AUTHORITY,
      SIGNATURES,
      PURPOSES[names.kind],
      // RFC 5280 §4.2.1.6: critical when the subject is empty.
      makeExtension(
        id_ce_subjectAltName,
        commonName === undefined ? 'critical' : 'plain',
        new SubjectAlternativeName(makeNames(names)),
      ),
      makeExtension(
        id_ce_subjectKeyIdentifier,
        'plain',
        // RFC 7093 §2, method 1.
        new SubjectKeyIdentifier(
          sha256(new Uint8Array(publicKey.subjectPublicKey)).subarray(0, KEY_ID_BYTES),
        ),
      ),
      makeExtension(
        id_ce_authorityKeyIdentifier,
        'plain',
        new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(issuer.keyId) }),
      ),
    ]),
  });
  return encodeAsn1(
    new Certificate({
      tbsCertificate: body,
      signatureAlgorithm: ECDSA_SHA256,
      signatureValue: new Uint8Array(sign(encodeAsn1(body))).buffer,
    }),
  );
}

function makeExtension(extnID: string, kind: 'critical' | 'plain', value: object): Extension {
  return new Extension({
    extnID,
    critical: kind === 'critical',
    extnValue: new OctetString(encodeAsn1(value)),
  });
}

function makeNames(names: LeafNames): GeneralName[] {
  if (names.kind === 'identity')
    return [new GeneralName({ uniformResourceIdentifier: visibleAscii(names.identity) })];
  return [
    ...names.dnsNames.map(name => new GeneralName({ dNSName: visibleAscii(name) })),
    ...names.addresses.map(iPAddress => new GeneralName({ iPAddress })),
  ];
}

/** The library cuts characters down to a byte: another name would stand there. */
function visibleAscii(name: string): string {
  if (!/^[\x21-\x7e]+$/.test(name)) throw new TypeError('a name in a certificate is of visible ASCII');
  return name;
}

function makeSubject(commonName: string): Name {
  return new Name([makeAttribute(ORGANIZATION, 'Ringwall'), makeAttribute(COMMON_NAME, commonName)]);
}

function makeAttribute(type: string, utf8String: string): RelativeDistinguishedName {
  const value = new AttributeValue({ utf8String });
  return new RelativeDistinguishedName([new AttributeTypeAndValue({ type, value })]);
}
