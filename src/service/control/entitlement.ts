import type { Bundle } from '#domain/bundle';
import { partIdentity } from '#domain/spiffe';
import { EDGE_IDENTITY } from '#service/link';
import type { PointName } from './join-tokens.ts';

/** What a point may have certified. */
export type Entitlement =
  /** The point's own identity, with which it speaks to control. */
  | { readonly kind: 'own'; readonly identity: string }
  /** A service that stands behind this point. */
  | { readonly kind: 'service'; readonly identity: string }
  /** The gateway's server certificate. */
  | { readonly kind: 'edge'; readonly hosts: readonly string[] }
  | { readonly kind: 'refused'; readonly reason: 'revoked' | 'not-entitled' };

/** Whether the bundle in force lets `point` hold a certificate under `name`. */
export function entitlementOf(
  point: PointName,
  trustDomain: string,
  bundle: Bundle | undefined,
  name: string,
): Entitlement {
  if (name === partIdentity(trustDomain, point.kind)) return { kind: 'own', identity: name };
  if (bundle === undefined) return { kind: 'refused', reason: 'not-entitled' };
  if (bundle.kind === 'gateway') {
    return name === EDGE_IDENTITY
      ? { kind: 'edge', hosts: bundle.hosts.map(({ host }) => host) }
      : { kind: 'refused', reason: 'not-entitled' };
  }
  if (!bundle.services.some(({ identity }) => identity === name))
    return { kind: 'refused', reason: 'not-entitled' };
  return bundle.revoked.identities.includes(name)
    ? { kind: 'refused', reason: 'revoked' }
    : { kind: 'service', identity: name };
}
