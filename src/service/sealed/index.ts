/**
 * Secrets at rest: small files sealed with libsodium (XChaCha20-Poly1305) under a key file of mode 0600.
 *
 * Guards against whoever gets the state without its key file (a backup, a copied disk) and against exchanged or
 * damaged files. It does not guard against the user that Ringwall runs as.
 */
export { openSealer, SealedError } from './sealer.ts';
export type { Sealer } from './sealer.ts';
export { writeFileAtomically } from './write-file.ts';
