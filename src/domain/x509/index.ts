/**
 * Whose certificate it is: the rules of X.509-SVID on parsed certificates, and requests for certificates.
 *
 * UNTRUSTED: certificates are a peer's. Signatures, times and chains are OpenSSL's to check, before; here stands only
 * what SPIFFE adds. Issuing is for `#service/ca`.
 */
export { authorityFault, authorityTrustDomain, certificateSerial, peerIdentity } from './peer-identity.ts';
export type { AuthorityFault, PeerFault, PeerVerdict } from './peer-identity.ts';
export { encodeCertificateRequest } from './certificate-request.ts';
export { encodePem } from './pem.ts';
export { splitPemChain } from './pem-chain.ts';
