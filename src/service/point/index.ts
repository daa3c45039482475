/**
 * An enforcement point's side of the control plane: enrols with a join token, holds the one mTLS stream to control,
 * keeps identities fresh, takes bundles and ships records.
 *
 * What a bundle means is for the `PointHost` (gateway or agent). A point never serves without a bundle, never applies
 * one whose signature, name or trust domain is wrong, and never goes back to an older version. It keeps the last good
 * bundle and its sealed identities on disk, so that traffic goes on while control is down.
 */
export { EDGE_IDENTITY } from '#service/link';
export type { Identities, PointHost, SvidKeyPair } from './point-host.ts';
export { pointConfigSchema } from './point-config.ts';
export type { PointConfig } from './point-config.ts';
export { PointError } from './point-error.ts';
export { startPoint } from './start-point.ts';
export type { Point, PointOptions } from './start-point.ts';
