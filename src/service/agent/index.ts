/**
 * The agent: stands beside services. Calls to a service come in by mTLS and go on in plaintext to the service alone;
 * the service's own calls come in plaintext and go on by mTLS to the callee's agent, or by TLS to a declared origin.
 * Both ends check every request against the compiled calls.
 *
 * Decides by its bundle only. UNTRUSTED: peers, and the services themselves, which may be compromised: what they may
 * say of themselves is decided by the listener that they reach.
 */
export { createAgent } from './agent.ts';
export type { Agent } from './agent.ts';
