/**
 * What attacks showed: the verdict on each, and from all of them the matrix of services and rings.
 *
 * Pure: `#service/prove` fires and observes. An attack proves something only when the legitimate request on the same
 * way passed, and when it was Ringwall that refused, for a reason of the ring under attack.
 */
export type { Observation } from './observation.ts';
export { judge, passes } from './judge.ts';
export { drawMatrix } from './matrix.ts';
export { tally } from './proof.ts';
export type { LastResult, Proof, ShotResult } from './proof.ts';
export { carryOver, lastOf, proofName, standingOf } from './standing.ts';
export type { Standing } from './standing.ts';
export { formatProof } from './format-proof.ts';
export type { Paint } from './format-proof.ts';
export { formatCatalogue } from './format-catalogue.ts';
