/**
 * SPIFFE IDs (SPIFFE-ID standard, §2) and Ringwall's form of them: `spiffe://<trust domain>/ns/<namespace>/sa/<service>`.
 *
 * UNTRUSTED: ids come out of peers' certificates. Only the canonical spelling is accepted, so that ids can be compared
 * as texts. Which certificate carries an id validly is for `#domain/x509`.
 */
export { isTrustDomain, parseSpiffeId } from './spiffe-id.ts';
export type { SpiffeFault, SpiffeId, SpiffeVerdict } from './spiffe-id.ts';
export {
  parseServiceIdentity,
  partIdentity,
  RINGWALL_NAMESPACE,
  serviceIdentity,
  SpiffeError,
  trustDomainIdentity,
} from './service-identity.ts';
export type { ServiceIdentity } from './service-identity.ts';
