import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { CertificationRequest } from '@peculiar/asn1-csr';
import { AsnConvert } from '@peculiar/asn1-schema';
import { decodeBase64 } from '#base/bytes';
import { CodedError } from '#base/error';
import { ECDSA_SHA256, encodeAsn1 } from './asn1.ts';

/** A certificate request that control does not sign. */
export class RequestError extends CodedError<'malformed-request' | 'bad-signature' | 'bad-key'> {}

// A request by this project's points has about 350 bytes of PEM.
const MAX_REQUEST_CHARS = 4096;
const PEM =
  /^-----BEGIN CERTIFICATE REQUEST-----\n([A-Za-z0-9+/=\n]+)\n-----END CERTIFICATE REQUEST-----\n?$/;

/**
 * Reads a certificate request that is signed with ECDSA and SHA-256 (RFC 2986 §4), and verifies that whoever made it
 * holds its key. Names in it are not looked at.
 *
 * UNTRUSTED: the text comes from a peer.
 * @returns SubjectPublicKeyInfo, DER
 * @throws {RequestError}
 */
export function readRequest(pem: string): Uint8Array {
  const { certificationRequestInfo: info, signature } = parseRequest(pem);
  const key = parseKey(encodeAsn1(info.subjectPKInfo));
  if (!verify('sha256', encodeAsn1(info), key, new Uint8Array(signature)))
    throw new RequestError('bad-signature', 'the certificate request is not signed by its own key');
  // As OpenSSL writes it: there is one spelling of a key.
  return key.export({ type: 'spki', format: 'der' });
}

function parseRequest(pem: string): CertificationRequest {
  if (pem.length > MAX_REQUEST_CHARS)
    throw new RequestError('malformed-request', 'the certificate request is too long');
  const der = decodeBase64(PEM.exec(pem)?.[1]?.replaceAll('\n', '') ?? '');
  if (der === undefined)
    throw new RequestError('malformed-request', 'the text is not a certificate request in PEM');
  const request = parseDer(der);
  // The library reads all of BER, and what stands behind it: a request has one form, which it writes itself.
  if (!encodeAsn1(request).equals(der))
    throw new RequestError('malformed-request', 'the certificate request is not in DER');
  if (!request.signatureAlgorithm.isEqual(ECDSA_SHA256))
    throw new RequestError('malformed-request', 'the request is not signed with ECDSA and SHA-256');
  return request;
}

function parseDer(der: Uint8Array): CertificationRequest {
  try {
    return AsnConvert.parse(der, CertificationRequest);
  } catch (error) {
    throw new RequestError('malformed-request', 'the certificate request cannot be read', { cause: error });
  }
}

function parseKey(publicKey: Buffer): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' });
  } catch (error) {
    throw new RequestError('bad-key', 'the key of a certificate request cannot be read', { cause: error });
  }
  // RFC 5480 §2.1.1.1: prime256v1 is P-256.
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new RequestError('bad-key', 'a certificate request must be for an ECDSA key on P-256');
  return key;
}
