import { encodeDer, TAG } from './der.ts';
import { encodePem } from './pem.ts';

const VERSION_1 = Buffer.from([TAG.integer, 1, 0]);
const NO_SUBJECT = Buffer.from([TAG.sequence, 0]);
const NO_ATTRIBUTES = Buffer.from([0xa0, 0]);
/** ecdsa-with-SHA256, 1.2.840.10045.4.3.2 (RFC 5758 §3.2) */
const ECDSA_SHA256 = Buffer.from('300a06082a8648ce3d040302', 'hex');

/**
 * A certificate request (RFC 2986) that asks for no name: whoever signs decides whose certificate it becomes, the
 * request only proves possession of the key.
 *
 * @param publicKey SubjectPublicKeyInfo of a P-256 key, DER
 * @param sign ECDSA with SHA-256, signature in DER
 * @returns PEM
 */
export function encodeCertificateRequest(
  publicKey: Uint8Array,
  sign: (bytes: Uint8Array) => Uint8Array,
): string {
  const info = encodeDer(TAG.sequence, VERSION_1, NO_SUBJECT, publicKey, NO_ATTRIBUTES);
  const signature = encodeDer(TAG.bitString, Buffer.from([0]), sign(info));
  return encodePem('CERTIFICATE REQUEST', encodeDer(TAG.sequence, info, ECDSA_SHA256, signature));
}
