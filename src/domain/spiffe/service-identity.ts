import { CodedError, quote } from '#base/error';
import { isSegment, isTrustDomain, parseSpiffeId } from './spiffe-id.ts';

/** Identities of Ringwall's own parts stand in this namespace: `spiffe://<td>/ns/ringwall/sa/gateway`. */
export const RINGWALL_NAMESPACE = 'ringwall';

export class SpiffeError extends CodedError<'bad-trust-domain' | 'bad-namespace' | 'bad-service'> {}

export type ServiceIdentity = {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly service: string;
};

/**
 * The SPIFFE ID of a service: `spiffe://<trust domain>/ns/<namespace>/sa/<service>`.
 *
 * @throws {SpiffeError} when a part cannot stand in a SPIFFE ID
 */
export function serviceIdentity(trustDomain: string, namespace: string, service: string): string {
  if (!isTrustDomain(trustDomain)) {
    throw new SpiffeError('bad-trust-domain', `${quote(trustDomain)} is not a trust domain`);
  }
  if (!isSegment(namespace)) throw new SpiffeError('bad-namespace', `${quote(namespace)} is not a namespace`);
  if (!isSegment(service)) throw new SpiffeError('bad-service', `${quote(service)} is not a service name`);
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${service}`;
}

/** Reads what `serviceIdentity` writes; `undefined` for every other text. */
export function parseServiceIdentity(text: string): ServiceIdentity | undefined {
  const verdict = parseSpiffeId(text);
  if (verdict.kind === 'refused') return undefined;
  const [, ns, namespace, sa, service, ...more] = verdict.id.path.split('/');
  if (ns !== 'ns' || sa !== 'sa' || namespace === undefined || service === undefined || more.length > 0) {
    return undefined;
  }
  return { trustDomain: verdict.id.trustDomain, namespace, service };
}

/** The SPIFFE ID of a trust domain, which its certificate authorities carry. */
export function trustDomainIdentity(trustDomain: string): string {
  if (!isTrustDomain(trustDomain)) {
    throw new SpiffeError('bad-trust-domain', `${quote(trustDomain)} is not a trust domain`);
  }
  return `spiffe://${trustDomain}`;
}

/** The SPIFFE ID of a part of Ringwall itself. */
export function partIdentity(trustDomain: string, part: 'gateway' | 'agent' | 'control'): string {
  return serviceIdentity(trustDomain, RINGWALL_NAMESPACE, part);
}
