/**
 * An enforcement point's side of the control plane: enrols with a join token, holds the one mTLS stream to control,
 * keeps identities fresh, takes bundles and ships records.
 *
 * What a bundle means is for the `PointHost` (gateway or agent). A point never serves without a bundle, never applies
 * one whose signature, name or trust domain is wrong, and never goes back to an older version. It keeps its sealed
 * identities and the last good bundle on disk, so that traffic goes on while control is down, and beside it the newest
 * one, so that what that one revokes is not forgotten when the rest of it could not be put in force.
 */
export { EDGE_IDENTITY } from '#service/link';
export type { Identities, PointHost, SvidKeyPair } from './point-host.ts';
export { pointConfigSchema } from './point-config.ts';
export type { PointConfig } from './point-config.ts';
export { PointError } from './point-error.ts';
export { startPoint } from './start-point.ts';
export type { Point, PointOptions } from './start-point.ts';
