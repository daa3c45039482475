import type { ServicePlacement } from '#domain/compile';

/** The two ends of the link between the host, where the agent is, and a service's namespace. */
export type Link = {
  readonly hostInterface: string;
  readonly hostAddress: string;
  readonly serviceInterface: string;
  readonly serviceAddress: string;
};

/** What a service's network lets through, as the model says. */
export type Wall = {
  readonly service: string;
  readonly link: Link;
  /** Where the service listens, for its agent. */
  readonly appPort: number;
  /** The agent's listeners on the host's end of the link, and what each is for. */
  readonly reaches: readonly { readonly port: number; readonly purpose: string }[];
};

/** @throws {RangeError} when a listener is not on the service's own link: the wall would not let the service reach it */
export function wallOf(service: string, place: ServicePlacement, link: Link): Wall {
  const reaches = [
    ...[...place.outbound].map(([callee, address]) => ({ address, purpose: `calls ${callee}` })),
    ...[...place.egress].map(([origin, address]) => ({ address, purpose: `egress ${origin}` })),
  ];
  for (const { address } of reaches) expectHost(address.host, link.hostAddress, service);
  expectHost(place.app.host, link.serviceAddress, service);
  return {
    service,
    link,
    appPort: place.app.port,
    reaches: reaches.map(({ address, purpose }) => ({ port: address.port, purpose })),
  };
}

function expectHost(placed: string, linked: string, service: string): void {
  if (placed !== linked) throw new RangeError(`${service} is placed at ${placed}, its link is at ${linked}`);
}
