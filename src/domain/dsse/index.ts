/**
 * DSSE v1.0.2 envelopes (Dead Simple Signing Envelope): a payload, its type and a signature over both.
 *
 * Pure: signing and verifying come as functions, keys stay with the caller.
 */
export { encodePae } from './pae.ts';
export { envelopeSchema, envelopeType, openEnvelope, sealEnvelope } from './envelope.ts';
export type { Envelope, EnvelopeFault, EnvelopeVerdict } from './envelope.ts';
