/**
 * What control and its points share: the messages of their stream (NDJSON over mTLS), bounded lines, signed bundles,
 * keys with certificate requests.
 *
 * UNTRUSTED: on either end, what the other sends. Lines are bounded before they are parsed and every message is
 * checked against its schema. What the messages mean is for `#service/control` and `#service/point`.
 */
export {
  controlMessageSchema,
  EDGE_IDENTITY,
  enrolSchema,
  pointMessageSchema,
  PROTOCOL,
} from './messages.ts';
export type { ControlMessage, EnrolMessage, PointMessage } from './messages.ts';
export { LineChannel, LinkError } from './line-channel.ts';
export type { LineChannelOptions } from './line-channel.ts';
export { createKeyRequest } from './key-request.ts';
export { decodeBundleKey, encodeBundleKey, openBundle, sealBundle } from './bundle-key.ts';
export type { BundleRef, OpenedBundle } from './bundle-key.ts';
