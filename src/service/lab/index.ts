/**
 * A system in miniature for tests and benchmarks of the data plane: an authority, an issuer, a journal in memory,
 * services that answer as they are told (well or badly), and a client that writes raw bytes.
 *
 * Not for production: keys are in memory, nothing is sealed. Everything listens on 127.0.0.1, on ports of its own.
 */
export { readRequest, startBackend } from './backend.ts';
export type { Conversation } from './backend.ts';
export { agentService, edgeRoute, gatewayBundle, httpCall } from './bundles.ts';
export { FLAG, FRAME, frame, headerBlock, PREFACE } from './http2-frames.ts';
export { LabAuthority, LabIdentities } from './lab-authority.ts';
export { GATEWAY, LabSystem, SHOP, WEB } from './lab-system.ts';
export type { LabOptions } from './lab-system.ts';
export { LabIssuer } from './lab-issuer.ts';
export { MemoryJournal } from './memory-journal.ts';
export { RawClient, readAnswer } from './raw-client.ts';
