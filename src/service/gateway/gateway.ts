import { randomBytes } from 'node:crypto';
import type { Clock } from '#base/clock';
import { quote } from '#base/error';
import type { Log } from '#base/log';
import type { Bundle, GatewayBundle, Upstream } from '#domain/bundle';
import type { Reason } from '#domain/decision';
import { compileEdgePolicy, type EdgeRoute } from '#domain/policy';
import { AnonymousIds, Lockouts, RateLimiter, TokenVerifier } from '#service/identity';
import { AdminServer, PointMetrics } from '#service/metrics';
import { EDGE_IDENTITY, type Identities, type PointHost } from '#service/point';
import {
  CallingIdentities,
  dialMutualTls,
  Engine,
  type Dialled,
  type HopSlot,
  type ListenerOptions,
  type ProxySettings,
  type Recorder,
} from '#service/proxy';
import { EdgeHop, type EdgeDestination } from './edge-hop.ts';
import { EdgeLimits, planLimits } from './edge-limits.ts';
import { GatewayError } from './gateway-error.ts';

export type GatewayParts = {
  readonly journal: Recorder;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics?: PointMetrics;
  readonly settings?: Partial<ProxySettings>;
  /** Seals anonymous ids, at least 32 bytes; without one, ids last as long as the process. */
  readonly anonymousKey?: Uint8Array;
};

const PURPOSE = 'edge';
const MAX_LIMIT_KEYS = 100_000;

/** The enforcement point for traffic from outside. */
export class Gateway implements PointHost {
  readonly #engine: Engine;
  readonly #log: Log;
  readonly #metrics: PointMetrics;
  readonly #admin: AdminServer;
  readonly #tokens: TokenVerifier;
  readonly #anonymous: AnonymousIds;
  readonly #limits: EdgeLimits;
  #inForce: { readonly bundle: GatewayBundle; readonly calling: CallingIdentities } | undefined;
  #slot: HopSlot | undefined;

  constructor(parts: GatewayParts) {
    const { clock, log, journal } = parts;
    this.#log = log;
    this.#engine = new Engine({
      recorder: journal,
      clock,
      ...(parts.settings && { settings: parts.settings }),
    });
    this.#metrics = parts.metrics ?? new PointMetrics();
    this.#admin = new AdminServer(this.#metrics, () => this.health());
    this.#tokens = new TokenVerifier({ issuers: [], clock, log });
    this.#anonymous = new AnonymousIds({ key: parts.anonymousKey ?? randomBytes(32), clock });
    this.#limits = new EdgeLimits(
      new RateLimiter({ clock, maxKeys: MAX_LIMIT_KEYS }),
      new Lockouts({ clock, maxKeys: MAX_LIMIT_KEYS }),
      this.#engine.settings.collectBytes,
    );
    this.#describe();
  }

  /** The port of the edge; for bundles that ask for any. */
  get port(): number {
    return this.#engine.listeners.find(PURPOSE)?.port ?? 0;
  }

  get adminPort(): number {
    return this.#admin.port;
  }

  health() {
    const bundle = this.#inForce?.bundle.version ?? 0;
    const { healthy } = this.#engine.recorder;
    const detail = bundle === 0 ? 'no bundle' : healthy ? '' : 'the journal takes nothing';
    return { healthy: detail === '', bundle, detail };
  }

  /**
   * Puts `bundle` in force.
   * @throws {GatewayError}, or the system's error when an address cannot be had; the former bundle stays in force
   */
  async apply(bundle: Bundle, identities: Identities): Promise<void> {
    if (bundle.kind !== 'gateway')
      throw new GatewayError('wrong-bundle', `a bundle for ${quote(bundle.kind)}`);
    // What a bundle takes away it takes away also when the rest of it cannot be put in force.
    this.#engine.revoke(bundle.revoked);
    const calling = new CallingIdentities(identities, bundle.trustAnchors, this.#engine.clock);
    const context = calling.serving(EDGE_IDENTITY);
    if (context === undefined) {
      throw new GatewayError(
        'no-edge-certificate',
        'there is no valid certificate for the hosts of the edge',
      );
    }
    if (new Set(bundle.issuers.map(({ issuer }) => issuer)).size < bundle.issuers.length) {
      throw new GatewayError('duplicate-issuer', 'an issuer is declared twice');
    }
    const hop = this.#createHop(bundle);
    const slot = (this.#slot ??= { hop });
    const listener: ListenerOptions = {
      address: bundle.listen,
      purpose: PURPOSE,
      security: { kind: 'tls', context },
      settings: this.#engine.settings,
      accept: arrival => this.#engine.converse(arrival, slot, NO_NAMES),
      refused: (reason, detail, address) => this.#recordRefused(reason, detail, address),
    };
    await this.#admin.listen(bundle.admin);
    await this.#engine.apply({
      listeners: [listener],
      pools: new Set(bundle.upstreams.map(poolKey)),
      revocations: bundle.revoked,
      swap: () => {
        // Forgets every token that was verified: a revocation must not be outlived by a cache.
        this.#tokens.setIssuers(bundle.issuers);
        this.#inForce = { bundle, calling };
        slot.hop = hop;
      },
    });
    this.#log.info('bundle in force', { version: bundle.version });
  }

  identitiesChanged(): void {
    const context = this.#inForce?.calling.serving(EDGE_IDENTITY);
    if (context !== undefined) this.#engine.listeners.find(PURPOSE)?.renew(context);
  }

  /** Accepts no more, lets requests in flight end, then closes. */
  async drain(): Promise<void> {
    await this.#engine.drain();
    this.close();
  }

  close(): void {
    this.#engine.close();
    this.#admin.close();
    this.#tokens.close();
  }

  #createHop(bundle: GatewayBundle): EdgeHop {
    const destinations = new Map<EdgeRoute, EdgeDestination>();
    return new EdgeHop({
      policy: compileEdgePolicy(bundle),
      destinationOf: match => {
        let destination = destinations.get(match);
        if (destination === undefined)
          destinations.set(match, (destination = this.#destination(bundle, match)));
        return destination;
      },
      hosts: new Set(bundle.hosts.map(({ host }) => host)),
      tokens: this.#tokens,
      anonymous: this.#anonymous,
      limits: this.#limits,
      series: this.#metrics.series('edge', ''),
    });
  }

  #destination({ identity }: GatewayBundle, match: EdgeRoute): EdgeDestination {
    const { route, upstream } = match;
    return {
      kind: 'destination',
      pool: this.#engine.pool(poolKey(upstream), () => this.#dial(upstream), [identity, upstream.identity]),
      callee: upstream.identity,
      mode: upstream.record,
      maxRequestBytes: route.maxRequestBytes,
      maxResponseBytes: route.maxResponseBytes,
      authority: undefined,
      series: this.#metrics.series('edge', upstream.service),
      match,
      plan: planLimits(route),
      admitsAnonymous: route.clients.includes('anonymous'),
    };
  }

  #dial({ address, identity }: Upstream): Dialled | undefined {
    const inForce = this.#inForce;
    const calling = inForce?.calling.calling(inForce.bundle.identity);
    if (inForce === undefined || calling === undefined) return undefined;
    const { trustDomain } = inForce.bundle;
    const { context, notAfterMs } = calling;
    return dialMutualTls({
      address,
      identity,
      trustDomain,
      context,
      ownNotAfterMs: notAfterMs,
      revoked: () => this.#engine.revoked,
    });
  }

  #recordRefused(reason: Reason, detail: string, address: string): void {
    this.#engine.recordRefused({ direction: 'edge', callee: '', method: '', reason, detail, address });
  }

  #describe(): void {
    const engine = this.#engine;
    this.#metrics.gauge('ringwall_connections', 'Open connections of callers', () => engine.connections);
    this.#metrics.gauge(
      'ringwall_upstream_connections',
      'Open connections to services',
      () => engine.upstreamConnections,
    );
    this.#metrics.gauge(
      'ringwall_bundle_version',
      'The bundle in force',
      () => this.#inForce?.bundle.version ?? 0,
    );
  }
}

const NO_NAMES: readonly string[] = [];

export function createGateway(parts: GatewayParts): Gateway {
  return new Gateway(parts);
}

function poolKey({ identity, address }: Upstream): string {
  return `${identity} ${address.host}:${address.port}`;
}
