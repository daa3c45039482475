import { createSecureContext, type SecureContext } from 'node:tls';
import { quote } from '#base/error';
import type { AgentBundle, AgentService, Bundle, EgressTarget, OutboundTarget } from '#domain/bundle';
import { compileAgentPolicy, type AgentPolicy } from '#domain/policy';
import { partIdentity } from '#domain/spiffe';
import type { Identities, PointHost } from '#service/point';
import {
  CallingIdentities,
  dialPlaintext,
  dialPublicTls,
  Enforcer,
  refuseRevoked,
  type Arrival,
  type Destination,
  type Engine,
  type EnforcerParts,
  type Held,
  type Hop,
  type HopSlot,
  type ListenerOptions,
} from '#service/proxy';
import { AgentError } from './agent-error.ts';
import { EgressHop, InboundHop, OutboundHop } from './hops.ts';
import { acceptTcp, type TcpSide } from './tcp-side.ts';

export type AgentParts = EnforcerParts & {
  /** PEM certificates that egress trusts; the public roots by default. */
  readonly egressRoots?: readonly string[];
};

/** A listener of the bundle with what becomes of its connections. */
type Side =
  | {
      readonly kind: 'http';
      readonly listener: ListenerPlan;
      readonly hop: Hop;
      readonly names: readonly string[];
    }
  | { readonly kind: 'tcp'; readonly listener: ListenerPlan; readonly tcp: TcpSide };

type ListenerPlan = Pick<ListenerOptions, 'address' | 'purpose' | 'security'>;

type InForce = {
  readonly bundle: AgentBundle;
  readonly policy: AgentPolicy;
  readonly calling: CallingIdentities;
};

/** The enforcement point beside services. */
export class Agent extends Enforcer<InForce> implements PointHost {
  readonly #egressContext: SecureContext;
  readonly #slots = new Map<string, HopSlot>();
  /** Open TCP connections, with the question whether they are still allowed. */
  readonly #tcpConnections = new Map<Held, () => boolean>();
  #identities: Identities | undefined;
  /** INVARIANT: one bundle at a time: two that open the same listener would each find it taken by the other. */
  #turn: Promise<void> = Promise.resolve();

  constructor(parts: AgentParts) {
    super(parts);
    this.#egressContext = createSecureContext({
      minVersion: 'TLSv1.2',
      ...(parts.egressRoots && { ca: [...parts.egressRoots] }),
    });
  }

  /** The port of a listener, for bundles that ask for any. @param purpose `inbound/<service>`, `outbound/<service>/<callee>`, `egress/<service>/<origin>` */
  port(purpose: string): number {
    return this.engine.listeners.find(purpose)?.port ?? 0;
  }

  /**
   * Puts `bundle` in force.
   * @throws {AgentError}, or the system's error when an address cannot be had; the former bundle stays in force, but
   * what the new one revokes is revoked
   */
  apply(bundle: Bundle, identities: Identities): Promise<void> {
    const turn = this.#turn.then(() => this.#putInForce(bundle, identities));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #putInForce(
    bundle: Bundle,
    identities: Identities,
    revocations: Parameters<Engine['revoke']>[0] = bundle.revoked,
  ): Promise<void> {
    if (bundle.kind !== 'agent') throw new AgentError('wrong-bundle', `a bundle for ${quote(bundle.kind)}`);
    // Before anything that can fail.
    this.engine.revoke(revocations);
    const calling = new CallingIdentities(identities, bundle.trustAnchors, this.engine.clock);
    const inForce: InForce = { bundle, policy: compileAgentPolicy(bundle), calling };
    const pools = new Set<string>();
    const sides = bundle.services.flatMap(service => this.#plan(inForce, service, pools));
    await this.listenAdmin(bundle.admin);
    await this.engine.apply({
      listeners: sides.map(side => this.#listenerOf(side)),
      pools,
      revocations,
      swap: () => {
        this.inForce = inForce;
        this.#identities = identities;
        const purposes = new Set<string>();
        for (const side of sides) {
          if (side.kind !== 'http') continue;
          purposes.add(side.listener.purpose);
          this.#slotOf(side).hop = side.hop;
        }
        // Connections of listeners that are gone keep the slot they hold, until they are drained.
        for (const purpose of this.#slots.keys()) if (!purposes.has(purpose)) this.#slots.delete(purpose);
        this.#recheckTcp();
      },
    });
    this.log.info('bundle in force', { version: bundle.version });
  }

  identitiesChanged(): void {
    const inForce = this.inForce;
    if (inForce === undefined) return;
    let late = false;
    for (const { name, identity } of inForce.bundle.services) {
      const context = inForce.calling.serving(identity);
      if (context === undefined) continue;
      const listener = this.engine.listeners.find(`inbound/${name}`);
      if (listener === undefined) late = true;
      else listener.renew(context);
    }
    if (late) this.#serveLate();
  }

  /** A service whose certificate comes late is served from then on, by the bundle that is in force when its turn comes. */
  #serveLate(): void {
    this.#turn = this.#turn
      .then(() => {
        const bundle = this.inForce?.bundle;
        const identities = this.#identities;
        return bundle === undefined || identities === undefined
          ? undefined
          : // A newer bundle that could not be put in force may have revoked more than this one does.
            this.#putInForce(bundle, identities, this.engine.revoked);
      })
      .catch((error: unknown) => {
        this.log.error('a late certificate could not be used', {
          error: error instanceof Error ? error.message : '',
        });
      });
  }

  // ---- from the bundle to sides

  #plan(inForce: InForce, service: AgentService, pools: Set<string>): Side[] {
    const inbound = this.#planInbound(inForce, service, pools);
    return [
      ...(inbound === undefined ? [] : [inbound]),
      ...service.outbound.map(target => this.#planOutbound(inForce, service, target, pools)),
      ...service.egress.map(target => this.#planEgress(inForce, service, target, pools)),
    ];
  }

  #planInbound(inForce: InForce, service: AgentService, pools: Set<string>): Side | undefined {
    const { name, identity, app } = service;
    const { bundle, policy } = inForce;
    const context = inForce.calling.serving(identity);
    if (context === undefined) {
      this.log.warn('no valid certificate for a service: it is not served', { service: name });
      return undefined;
    }
    const listener: ListenerPlan = {
      address: service.inbound,
      purpose: `inbound/${name}`,
      security: { kind: 'mtls', context, trustDomain: bundle.trustDomain },
    };
    if (service.protocol === 'tcp') {
      const tcp: TcpSide = {
        direction: 'inbound',
        callerOf: arrival => arrival.peer?.identity ?? '',
        callee: identity,
        mode: service.record,
        authorize: caller =>
          refuseRevoked(this.engine.revoked, caller, identity) ?? this.#policy.connectInbound(name, caller),
        dial: () => dialPlaintext(app),
        names: [identity],
      };
      return { kind: 'tcp', listener, tcp };
    }
    const key = `app ${name} ${app.host}:${app.port}`;
    pools.add(key);
    const destination: Destination = {
      kind: 'destination',
      pool: this.engine.pool(key, () => dialPlaintext(app), []),
      callee: identity,
      mode: service.record,
      maxRequestBytes: Infinity,
      maxResponseBytes: Infinity,
      authority: undefined,
      series: this.metrics.series('inbound', name),
    };
    const gateway = partIdentity(bundle.trustDomain, 'gateway');
    const { clock } = this.engine;
    const hop = new InboundHop({
      policy,
      service: name,
      destination,
      clock,
      gateway,
      revoked: () => this.engine.revoked,
    });
    return { kind: 'http', listener, hop, names: [identity] };
  }

  #planOutbound(inForce: InForce, service: AgentService, target: OutboundTarget, pools: Set<string>): Side {
    const { name, identity } = service;
    const { to } = target;
    const listener: ListenerPlan = {
      address: target.listen,
      purpose: `outbound/${name}/${to.service}`,
      security: { kind: 'plaintext' },
    };
    const dial = () => this.dialService(identity, to);
    if (to.protocol === 'tcp') {
      const tcp: TcpSide = {
        direction: 'outbound',
        callerOf: () => identity,
        callee: to.identity,
        mode: to.record,
        authorize: () =>
          refuseRevoked(this.engine.revoked, identity, to.identity) ??
          this.#policy.connectOutbound(name, to.service),
        dial,
        names: [to.identity],
      };
      return { kind: 'tcp', listener, tcp };
    }
    const key = `${identity} ${to.identity} ${to.address.host}:${to.address.port}`;
    pools.add(key);
    const destination: Destination = {
      kind: 'destination',
      pool: this.engine.pool(key, dial, [identity, to.identity]),
      callee: to.identity,
      mode: to.record,
      maxRequestBytes: Infinity,
      maxResponseBytes: Infinity,
      authority: to.service,
      series: this.metrics.series('outbound', name),
    };
    const hop = new OutboundHop({
      policy: inForce.policy,
      service: name,
      identity,
      callee: to.service,
      destination,
      revoked: () => this.engine.revoked,
    });
    return { kind: 'http', listener, hop, names: [identity] };
  }

  #planEgress(inForce: InForce, service: AgentService, target: EgressTarget, pools: Set<string>): Side {
    const { name, identity } = service;
    const { origin } = target;
    const url = parseOrigin(origin);
    const key = `egress ${name} ${origin}`;
    pools.add(key);
    const destination: Destination = {
      kind: 'destination',
      pool: this.engine.pool(key, () => this.#dialOrigin(url), [identity]),
      callee: origin,
      mode: service.record,
      maxRequestBytes: Infinity,
      maxResponseBytes: Infinity,
      authority: url.authority,
      series: this.metrics.series('egress', name),
    };
    const hop = new EgressHop({
      policy: inForce.policy,
      service: name,
      identity,
      origin,
      destination,
      revoked: () => this.engine.revoked,
    });
    const listener: ListenerPlan = {
      address: target.listen,
      purpose: `egress/${name}/${origin}`,
      security: { kind: 'plaintext' },
    };
    return { kind: 'http', listener, hop, names: [identity] };
  }

  // ---- from sides to connections

  #listenerOf(side: Side): ListenerOptions {
    const { listener } = side;
    const accept =
      side.kind === 'tcp' ? this.#tcpAccept(side.tcp) : this.#httpAccept(this.#slotOf(side), side.names);
    const direction = side.kind === 'tcp' ? side.tcp.direction : side.hop.direction;
    return {
      ...listener,
      settings: this.engine.settings,
      accept: arrival => (this.#admits(arrival, direction, listener.purpose) ? accept(arrival) : undefined),
      refused: (reason, detail, address) =>
        this.engine.recordRefused({
          direction,
          callee: '',
          method: '',
          reason,
          detail,
          address,
          listener: listener.purpose,
        }),
    };
  }

  #httpAccept(slot: HopSlot, names: readonly string[]): (arrival: Arrival) => Held {
    return arrival => {
      const { peer } = arrival;
      return this.engine.converse(arrival, slot, peer === undefined ? names : [peer.identity, ...names]);
    };
  }

  #tcpAccept(tcp: TcpSide): (arrival: Arrival) => Held | undefined {
    return arrival => {
      const held = acceptTcp(this.engine, tcp, arrival);
      if (held === undefined) return undefined;
      const stillAllowed = () => tcp.authorize(tcp.callerOf(arrival)).kind === 'permit';
      this.#tcpConnections.set(held, stillAllowed);
      void held.closed.then(() => this.#tcpConnections.delete(held));
      return held;
    };
  }

  /** A TCP connection has no next request on which a new bundle could decide: it is decided on anew as a whole. */
  #recheckTcp(): void {
    for (const [held, stillAllowed] of this.#tcpConnections) if (!stillAllowed()) held.cut();
  }

  /** Refuses peers whose identity or certificate is revoked, before they can ask for anything. */
  #admits({ peer, socket, address }: Arrival, direction: Hop['direction'], listener: string): boolean {
    if (peer === undefined) return true;
    const { identities, serials } = this.engine.revoked;
    if (!identities.has(peer.identity) && !serials.has(peer.serial)) return true;
    const detail = identities.has(peer.identity) ? 'the identity is revoked' : 'the certificate is revoked';
    const caller = peer.identity;
    this.engine.recordRefused({
      direction,
      caller,
      callee: '',
      method: '',
      reason: 'caller-revoked',
      detail,
      address,
      listener,
    });
    socket.on('error', () => {});
    socket.destroy();
    return false;
  }

  #slotOf(side: Side & { readonly kind: 'http' }): HopSlot {
    const { purpose } = side.listener;
    let slot = this.#slots.get(purpose);
    if (slot === undefined) this.#slots.set(purpose, (slot = { hop: side.hop }));
    return slot;
  }

  get #policy(): AgentPolicy {
    if (this.inForce === undefined) throw new AgentError('wrong-bundle', 'no bundle is in force');
    return this.inForce.policy;
  }

  #dialOrigin({ secure, host, port }: Origin) {
    return secure ? dialPublicTls(host, port, this.#egressContext) : dialPlaintext({ host, port });
  }
}

type Origin = {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  readonly authority: string;
};

const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost']);

function parseOrigin(origin: string): Origin {
  const url = new URL(origin);
  const secure = url.protocol === 'https:';
  if (url.origin !== origin || (!secure && !(url.protocol === 'http:' && LOOPBACK.has(url.hostname)))) {
    // INVARIANT: nothing leaves this machine in plaintext.
    throw new AgentError('bad-origin', `${quote(origin)} is neither https nor on loopback`);
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  return { secure, host, port, authority: url.host };
}

export function createAgent(parts: AgentParts): Agent {
  return new Agent(parts);
}
