/**
 * Decisions of an enforcement point: from its bundle to tables, from a call to a `Permit` or a refusal.
 *
 * A `Permit` cannot be made anywhere else, so that nothing is forwarded without a decision. Paths given here are
 * normalised (`#domain/path`), identities verified: this room trusts its inputs and touches no socket.
 */
export { compileAgentPolicy } from './agent-policy.ts';
export type { AgentPolicy } from './agent-policy.ts';
export { compileEdgePolicy } from './edge-policy.ts';
export type { CallerFacts, EdgeMatch, EdgePolicy, EdgeRoute } from './edge-policy.ts';
export { Permit } from './permit.ts';
export type { Refusal } from './permit.ts';
