/**
 * The certificate authority of a trust domain: a root, an issuing intermediate, X.509-SVIDs and server certificates of
 * the edge, ECDSA on P-256 (X509-SVID, RFC 5280).
 *
 * Who may have which identity is for `#service/control`; here a request only proves possession of its key, and the
 * names in it are ignored. Private keys are sealed at rest; the root's is in memory only while it signs an intermediate.
 */
export { AuthorityError, openAuthority } from './authority.ts';
export type { Authority, IssuedCertificate, Validity } from './authority.ts';
export { RequestError } from './read-request.ts';
export { loadX509Library } from './x509-library.ts';
export type { X509Library } from './x509-library.ts';
