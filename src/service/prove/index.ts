/**
 * Proves a system: carries out the attacks of `#domain/attack` against it on sockets of its own, sees what they meet,
 * and has `#domain/proof` judge it.
 *
 * `Grounds` is the system under proof; `openRunningSystem` is the one that `ringwall up` runs. Only addresses that
 * control names are attacked, with bounds on number, size and time. UNTRUSTED: everything that comes back. Credentials
 * that are made for attacks live in memory, are short-lived and stand in no proof.
 */
export type { Grounds } from './grounds.ts';
export { openRunningSystem } from './running-system.ts';
export { aimAt, runProof } from './run-proof.ts';
export { encodeProof, readStanding, saveProof } from './save-proof.ts';
export { ProveError } from './prove-error.ts';
