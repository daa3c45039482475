import { AsnConvert } from '@peculiar/asn1-schema';
import { AlgorithmIdentifier } from '@peculiar/asn1-x509';

/** ecdsa-with-SHA256 (RFC 5758 §3.2) */
export const ECDSA_SHA256 = new AlgorithmIdentifier({ algorithm: '1.2.840.10045.4.3.2' });

/** The DER of `value`, which is of an ASN.1 type that has a schema. */
export function encodeAsn1(value: object): Buffer {
  return Buffer.from(AsnConvert.serialize(value));
}
