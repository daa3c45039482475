/**
 * The control plane of one trust domain: decides what every point should apply, certifies identities, takes records,
 * answers the operator.
 *
 * Points come by TLS 1.3: with a one-time token to enrol, with their X.509-SVID for the stream. Operators come by the
 * Unix socket in the state directory, whose mode is the only access control there. UNTRUSTED: everything that comes by
 * TLS, also from enrolled points; models, which are checked whole before anything changes. Placement, ledger and issuer
 * are ports.
 */
export { startControl } from './start-control.ts';
export type { ControlOptions, ControlTimings } from './start-control.ts';
export { ControlServiceError } from './control.ts';
export type { Control, ControlStatus, ProofIdentity, RolloutOutcome } from './control.ts';
export { StateError } from './desired-state.ts';
export type { ModelSource, WantedBundle } from './desired-state.ts';
export type { PointStatus, PointTiming } from './fleet.ts';
export type { PointName } from './join-tokens.ts';
export { PointServerError } from './point-server.ts';
export { ApiServerError } from './api-server.ts';
export type { Placer, RecordKeeper, ServiceChanges, TokenSource } from './ports.ts';
