/**
 * What Ringwall answers to a request, as values: the reasons for a refusal, the ring that refused, and the HTTP status
 * that the outside sees. The only table of reasons and the only place that chooses a status code.
 */
export { REASONS, isReason, problemFor } from './reasons.ts';
export type { Problem, Reason, ReasonFacts } from './reasons.ts';
