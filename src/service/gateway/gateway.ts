import { randomBytes } from 'node:crypto';
import { quote } from '#base/error';
import type { Bundle, GatewayBundle, Upstream } from '#domain/bundle';
import { compileEdgePolicy, type EdgeRoute } from '#domain/policy';
import { AnonymousIds, Lockouts, RateLimiter, TokenVerifier } from '#service/identity';
import { EDGE_IDENTITY, type Identities, type PointHost } from '#service/point';
import {
  CallingIdentities,
  Enforcer,
  type EnforcerParts,
  type HopSlot,
  type ListenerOptions,
} from '#service/proxy';
import { EdgeHop, type EdgeDestination } from './edge-hop.ts';
import { EdgeLimits, planLimits } from './edge-limits.ts';
import { GatewayError } from './gateway-error.ts';

export type GatewayParts = EnforcerParts & {
  /** Seals anonymous ids, at least 32 bytes; without one, ids last as long as the process. */
  readonly anonymousKey?: Uint8Array;
};

const PURPOSE = 'edge';
const MAX_LIMIT_KEYS = 100_000;

type InForce = { readonly bundle: GatewayBundle; readonly calling: CallingIdentities };

/** The enforcement point for traffic from outside. */
export class Gateway extends Enforcer<InForce> implements PointHost {
  readonly #tokens: TokenVerifier;
  readonly #anonymous: AnonymousIds;
  readonly #limits: EdgeLimits;
  #slot: HopSlot | undefined;

  constructor(parts: GatewayParts) {
    super(parts);
    const { clock, log } = parts;
    this.#tokens = new TokenVerifier({ issuers: [], clock, log });
    this.#anonymous = new AnonymousIds({ key: parts.anonymousKey ?? randomBytes(32), clock });
    this.#limits = new EdgeLimits(
      new RateLimiter({ clock, maxKeys: MAX_LIMIT_KEYS }),
      new Lockouts({ clock, maxKeys: MAX_LIMIT_KEYS }),
      this.engine.settings.collectBytes,
    );
  }

  /** The port of the edge; for bundles that ask for any. */
  get port(): number {
    return this.engine.listeners.find(PURPOSE)?.port ?? 0;
  }

  /**
   * Puts `bundle` in force.
   * @throws {GatewayError}, or the system's error when an address cannot be had; the former bundle stays in force
   */
  async apply(bundle: Bundle, identities: Identities): Promise<void> {
    if (bundle.kind !== 'gateway')
      throw new GatewayError('wrong-bundle', `a bundle for ${quote(bundle.kind)}`);
    // What a bundle takes away it takes away also when the rest of it cannot be put in force.
    this.engine.revoke(bundle.revoked);
    const calling = new CallingIdentities(identities, bundle.trustAnchors, this.engine.clock);
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
      settings: this.engine.settings,
      accept: arrival => this.engine.converse(arrival, slot, NO_NAMES),
      refused: (reason, detail, address) =>
        this.engine.recordRefused({ direction: 'edge', callee: '', method: '', reason, detail, address }),
    };
    await this.listenAdmin(bundle.admin);
    await this.engine.apply({
      listeners: [listener],
      pools: new Set(bundle.upstreams.map(poolKey)),
      revocations: bundle.revoked,
      swap: () => {
        // Forgets every token that was verified: a revocation must not be outlived by a cache.
        this.#tokens.setIssuers(bundle.issuers);
        this.inForce = { bundle, calling };
        slot.hop = hop;
      },
    });
    this.log.info('bundle in force', { version: bundle.version });
  }

  identitiesChanged(): void {
    const context = this.inForce?.calling.serving(EDGE_IDENTITY);
    if (context !== undefined) this.engine.listeners.find(PURPOSE)?.renew(context);
  }

  override close(): void {
    super.close();
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
      revoked: () => this.engine.revoked,
      series: this.metrics.series('edge', ''),
    });
  }

  #destination({ identity }: GatewayBundle, match: EdgeRoute): EdgeDestination {
    const { route, upstream } = match;
    return {
      kind: 'destination',
      pool: this.engine.pool(poolKey(upstream), () => this.dialService(identity, upstream), [
        identity,
        upstream.identity,
      ]),
      callee: upstream.identity,
      mode: upstream.record,
      maxRequestBytes: route.maxRequestBytes,
      maxResponseBytes: route.maxResponseBytes,
      authority: undefined,
      series: this.metrics.series('edge', upstream.service),
      match,
      plan: planLimits(route),
      admitsAnonymous: route.clients.includes('anonymous'),
    };
  }
}

const NO_NAMES: readonly string[] = [];

export function createGateway(parts: GatewayParts): Gateway {
  return new Gateway(parts);
}

function poolKey({ identity, address }: Upstream): string {
  return `${identity} ${address.host}:${address.port}`;
}
