import type { X509Certificate } from 'node:crypto';
import { hasCode } from '#base/error';
import { parseSpiffeId } from '#domain/spiffe';
import {
  CLIENT_AUTH,
  readCertificateFacts,
  SERVER_AUTH,
  type CertificateFacts,
} from './certificate-facts.ts';

export type PeerFault =
  | 'damaged'
  | 'no-identity'
  | 'several-identities'
  | 'bad-identity'
  | 'is-authority'
  | 'bad-key-usage'
  | 'bad-extended-key-usage';

export type PeerVerdict =
  /** `id` is a SPIFFE ID in its one spelling: compare it as text. */
  | { readonly kind: 'identity'; readonly id: string; readonly trustDomain: string }
  | { readonly kind: 'refused'; readonly fault: PeerFault };

/**
 * Whose X.509-SVID a certificate is (X509-SVID §2 to §5.2). Says nothing of its signature, its time or its
 * revocation: call it on a certificate whose chain TLS has verified, once per connection.
 */
export function peerIdentity(certificate: X509Certificate): PeerVerdict {
  const facts = factsOf(certificate);
  if (facts === undefined) return refused('damaged');
  const [uri, ...more] = facts.uris;
  if (uri === undefined) return refused('no-identity');
  // X509-SVID §2: more than one URI name must be refused, whatever they say.
  if (more.length > 0) return refused('several-identities');
  const verdict = parseSpiffeId(uri);
  // X509-SVID §5.2: a leaf's id has a path; without one it is the trust domain's own, for authorities only.
  if (verdict.kind === 'refused' || verdict.id.path === '') return refused('bad-identity');
  if (facts.isCa) return refused('is-authority');
  const usage = facts.keyUsage;
  // X509-SVID §4.3: key usage must be there, critical, allow digitalSignature and neither kind of signing for others.
  if (
    usage === undefined ||
    !usage.critical ||
    !usage.digitalSignature ||
    usage.keyCertSign ||
    usage.cRLSign
  ) {
    return refused('bad-key-usage');
  }
  // X509-SVID §4.4: when there are extended key usages, both ends of TLS are among them.
  const purposes = facts.extendedKeyUsage;
  if (purposes !== undefined && !(purposes.includes(SERVER_AUTH) && purposes.includes(CLIENT_AUTH))) {
    return refused('bad-extended-key-usage');
  }
  return { kind: 'identity', id: verdict.id.text, trustDomain: verdict.id.trustDomain };
}

export type AuthorityFault =
  'damaged' | 'not-an-authority' | 'bad-key-usage' | 'several-identities' | 'bad-identity';

/**
 * Whether `certificate` may sign X.509-SVIDs (X509-SVID §3, §4.3, §5.2).
 *
 * @returns `undefined` when it may
 */
export function authorityFault(certificate: X509Certificate): AuthorityFault | undefined {
  const facts = factsOf(certificate);
  if (facts === undefined) return 'damaged';
  if (!facts.isCa) return 'not-an-authority';
  if (facts.keyUsage === undefined || !facts.keyUsage.critical || !facts.keyUsage.keyCertSign)
    return 'bad-key-usage';
  const [uri, ...more] = facts.uris;
  if (more.length > 0) return 'several-identities';
  if (uri === undefined) return undefined;
  const verdict = parseSpiffeId(uri);
  return verdict.kind === 'id' && verdict.id.path === '' ? undefined : 'bad-identity';
}

/** The trust domain whose authority this is by its path-less SPIFFE ID; `undefined` when it names none. */
export function authorityTrustDomain(certificate: X509Certificate): string | undefined {
  const facts = factsOf(certificate);
  const uri = facts?.uris.length === 1 ? facts.uris[0] : undefined;
  const verdict = uri === undefined ? undefined : parseSpiffeId(uri);
  return verdict?.kind === 'id' && verdict.id.path === '' ? verdict.id.trustDomain : undefined;
}

/** The serial number as bundles list it: lower-case hex without leading zeros. */
export function certificateSerial(certificate: X509Certificate): string {
  return certificate.serialNumber.toLowerCase().replace(/^0+(?=.)/, '');
}

function factsOf(certificate: X509Certificate): CertificateFacts | undefined {
  try {
    return readCertificateFacts(certificate.raw);
  } catch (error) {
    if (hasCode(error, 'damaged')) return undefined;
    throw error;
  }
}

function refused(fault: PeerFault): PeerVerdict {
  return { kind: 'refused', fault };
}
