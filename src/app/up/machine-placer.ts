import type { Address } from '#domain/bundle';
import type { Placement, ServicePlacement } from '#domain/compile';
import type { Model, Service } from '#domain/model';
import type { Ends, Network, PortBook } from '#service/network';

export type MachinePlacerOptions = {
  readonly network: Network;
  readonly ports: PortBook;
  /** The port of the gateway, when it is not to be the model's. */
  readonly edgePort: number | undefined;
  /** Whether Ringwall starts this service; others are expected on loopback, at the port that the model says. */
  readonly isStarted: (service: Service) => boolean;
};

const LOOPBACK = '127.0.0.1';
const NO_LINK: Ends = { agentHost: LOOPBACK, serviceHost: LOOPBACK, namespace: undefined };

/** Places a system on this machine: one gateway, and one agent for all services. */
export class MachinePlacer {
  readonly #options: MachinePlacerOptions;
  /** All that is let through: more than one placement says while points change over. */
  #open: ReadonlyMap<string, ServicePlacement> = new Map();
  readonly #joined = new Set<string>();
  #ends: ReadonlyMap<string, Ends> = new Map();

  constructor(options: MachinePlacerOptions) {
    this.#options = options;
  }

  /** The network namespaces of services, by name. */
  get ends(): ReadonlyMap<string, Ends> {
    return this.#ends;
  }

  /** Places `model` beside what is there: what was open stays open, and what is new is open already. */
  async place(model: Model): Promise<Placement> {
    const { network } = this.#options;
    const started = [...model.services.values()].filter(service => this.#options.isStarted(service));
    const ends = await network.join(started.map(({ name }) => name));
    this.#ends = new Map([...this.#ends, ...ends]);
    for (const name of ends.keys()) this.#joined.add(name);
    const placement = await this.#assign(model);
    this.#open = mergeOpenings(this.#open, placement.services);
    await network.enforce(this.#open);
    return placement;
  }

  /** Lets through what `placement` says and nothing else. */
  async settle(model: Model, placement: Placement): Promise<void> {
    const { network } = this.#options;
    this.#open = placement.services;
    await network.enforce(this.#open);
    const leavers = [...this.#joined].filter(name => !this.#isMember(model, name));
    await network.leave(leavers);
    for (const name of leavers) this.#joined.delete(name);
    this.#ends = new Map([...this.#ends].filter(([name]) => this.#joined.has(name)));
  }

  #isMember(model: Model, name: string): boolean {
    const service = model.services.get(name);
    return service !== undefined && this.#options.isStarted(service);
  }

  async #assign(model: Model): Promise<Placement> {
    const services = [...model.services.values()];
    const purposes = [
      'gateway admin',
      'agent admin',
      ...services.flatMap(service => this.#purposesOf(service)),
    ];
    const ports = await this.#options.ports.assign(purposes, preferredPorts(services));
    const at = (purpose: string, host = LOOPBACK): Address => ({ host, port: ports.get(purpose) ?? 0 });
    return {
      gateway: {
        name: 'gateway',
        listen: { host: LOOPBACK, port: this.#options.edgePort ?? model.edge.port },
        admin: at('gateway admin'),
      },
      agents: [{ name: 'agent', admin: at('agent admin'), services: services.map(({ name }) => name) }],
      services: new Map(services.map(service => [service.name, this.#placeService(service, at)])),
    };
  }

  #placeService(service: Service, at: (purpose: string, host?: string) => Address): ServicePlacement {
    const { name, calls, egress } = service;
    const { agentHost, serviceHost } = this.#endsOf(service);
    return {
      inbound: at(inboundOf(name)),
      app: this.#hasOwnPort(service)
        ? { host: serviceHost, port: service.port }
        : at(appOf(name), serviceHost),
      outbound: new Map(
        calls.map(callee => [callee.service, at(outboundOf(name, callee.service), agentHost)]),
      ),
      egress: new Map(egress.map(({ origin }) => [origin, at(egressOf(name, origin), agentHost)])),
    };
  }

  #purposesOf(service: Service): string[] {
    const { name, calls, egress } = service;
    return [
      inboundOf(name),
      ...(this.#hasOwnPort(service) ? [] : [appOf(name)]),
      ...calls.map(callee => outboundOf(name, callee.service)),
      ...egress.map(({ origin }) => egressOf(name, origin)),
    ];
  }

  /** In a namespace of its own a service has all ports; one that we do not start listens where its owner says. */
  #hasOwnPort(service: Service): boolean {
    return !this.#options.isStarted(service) || this.#endsOf(service).namespace !== undefined;
  }

  #endsOf(service: Service): Ends {
    return (this.#options.isStarted(service) ? this.#ends.get(service.name) : undefined) ?? NO_LINK;
  }
}

const inboundOf = (service: string) => `inbound ${service}`;
const appOf = (service: string) => `app ${service}`;
const outboundOf = (service: string, callee: string) => `outbound ${service} ${callee}`;
const egressOf = (service: string, origin: string) => `egress ${service} ${origin}`;

/** On a shared loopback a service gets the port that its model says if no other wants the same. */
function preferredPorts(services: readonly Service[]): ReadonlyMap<string, number> {
  const wanted = Map.groupBy(services, ({ port }) => port);
  const alone = services.filter(({ port }) => wanted.get(port)?.length === 1);
  return new Map(alone.map(({ name, port }) => [appOf(name), port]));
}

/** All that either lets through. A service is reached where it is already, until its process moves. */
function mergeOpenings(
  former: ReadonlyMap<string, ServicePlacement>,
  next: ReadonlyMap<string, ServicePlacement>,
): ReadonlyMap<string, ServicePlacement> {
  const merged = new Map(former);
  for (const [name, place] of next) {
    const before = former.get(name) ?? place;
    merged.set(name, {
      ...place,
      app: before.app.host === place.app.host ? before.app : place.app,
      outbound: new Map([...before.outbound, ...place.outbound]),
      egress: new Map([...before.egress, ...place.egress]),
    });
  }
  return merged;
}
