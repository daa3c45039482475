/**
 * The data plane's engine, shared by gateway and agents: listeners, connections, the pipeline of a request, pools of
 * upstream connections, TCP splices.
 *
 * What is allowed is not decided here: a `Hop` says where a request goes, who asks and whether he may, and a request is
 * forwarded only with a `Permit` (`#domain/policy`). HTTP/1.1 by the strict codec of `#domain/http`, on `node:net` and
 * `node:tls`. UNTRUSTED: every byte of a caller, and every byte of an upstream.
 */
export { Caller } from './caller.ts';
export { CallingIdentities } from './calling-identities.ts';
export { dialPlaintext, dialPublicTls } from './dial.ts';
export { Enforcer } from './enforcer.ts';
export type { EnforcerParts } from './enforcer.ts';
export { Engine } from './engine.ts';
export type { HopSlot } from './engine.ts';
export type { Exchange } from './exchange.ts';
export { ADMITTED } from './hop.ts';
export type { Admission, Collect, Destination, Hop, Stop } from './hop.ts';
export type { Arrival, Held, ListenerOptions } from './listener.ts';
export type { Peer } from './peer.ts';
export type { Recorder } from './recorder.ts';
export type { ProxySettings } from './settings.ts';
export { refuseRevoked } from './refuse-revoked.ts';
export { Splice } from './splice.ts';
export type { Dialled } from './upstream-connection.ts';
