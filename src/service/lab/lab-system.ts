import type { ConnectionOptions } from 'node:tls';
import { systemClock, type Clock } from '#base/clock';
import { silentLog } from '#base/log';
import type { AgentBundle, AgentService, BundleCall, BundleRoute, GatewayBundle } from '#domain/bundle';
import { partIdentity, serviceIdentity } from '#domain/spiffe';
import { createAgent, type Agent } from '#service/agent';
import { createGateway, type Gateway } from '#service/gateway';
import type { ProxySettings } from '#service/proxy';
import { startBackend, type Backend, type Conversation } from './backend.ts';
import { agentBundle, agentService, gatewayBundle } from './bundles.ts';
import { LabAuthority, LabIdentities } from './lab-authority.ts';
import { LabIssuer } from './lab-issuer.ts';
import { MemoryJournal } from './memory-journal.ts';
import { RawClient } from './raw-client.ts';

export const GATEWAY = partIdentity('lab.test', 'gateway');
export const WEB = serviceIdentity('lab.test', 'default', 'web');
export const SHOP = serviceIdentity('lab.test', 'default', 'shop');

export type LabOptions = {
  readonly respond: (conversation: Conversation) => void;
  /** Of `shop.test`; they lead to `web`. */
  readonly routes?: readonly BundleRoute[];
  /** What the gateway may call at `web`; without it, whatever the routes say. */
  readonly calls?: readonly BundleCall[];
  /** What `shop` may call at `web`. */
  readonly shopCalls?: readonly BundleCall[];
  readonly record?: 'durable' | 'relaxed';
  readonly protocol?: 'http' | 'tcp';
  readonly settings?: Partial<ProxySettings>;
  readonly clock?: Clock;
  /** PEM certificates that vouch for origins outside. */
  readonly egressRoots?: readonly string[];
};

/**
 * Outside → gateway → agent of `web` → backend, and `shop` → its own agent → `web`; `shop` may also reach the backend
 * as an origin outside, in plaintext, which is the shortest way through the engine.
 */
export class LabSystem {
  readonly authority: LabAuthority;
  readonly identities: LabIdentities;
  readonly issuer: LabIssuer;
  readonly backend: Backend;
  readonly journal = new MemoryJournal();
  readonly gateway: Gateway;
  readonly agent: Agent;
  readonly #options: LabOptions;
  #version = 0;

  private constructor(
    options: LabOptions,
    parts: { authority: LabAuthority; identities: LabIdentities; issuer: LabIssuer; backend: Backend },
  ) {
    this.#options = options;
    this.authority = parts.authority;
    this.identities = parts.identities;
    this.issuer = parts.issuer;
    this.backend = parts.backend;
    const common = {
      journal: this.journal,
      clock: options.clock ?? systemClock,
      log: silentLog,
      ...(options.settings && { settings: options.settings }),
    };
    this.gateway = createGateway(common);
    this.agent = createAgent({
      ...common,
      ...(options.egressRoots && { egressRoots: options.egressRoots }),
    });
  }

  static async start(options: LabOptions): Promise<LabSystem> {
    const authority = await LabAuthority.open('lab.test', options.clock);
    const identities = new LabIdentities(authority.trustAnchors);
    identities.held.set('edge', await authority.server(['shop.test', 'other.test']));
    for (const name of [GATEWAY, WEB, SHOP]) identities.held.set(name, await authority.identity(name));
    const system = new LabSystem(options, {
      authority,
      identities,
      issuer: await LabIssuer.start(),
      backend: await startBackend(options.respond),
    });
    await system.applyAgent();
    // Once more: now the port of `web` is known to its callers.
    await system.applyAgent();
    if (options.protocol !== 'tcp') await system.applyGateway();
    return system;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.backend.address.port}`;
  }

  agentBundle(changes: Partial<AgentBundle> = {}, web: Partial<AgentService> = {}): AgentBundle {
    const { routes = [], shopCalls = [], record = 'relaxed', protocol = 'http' } = this.#options;
    const calls =
      this.#options.calls ??
      routes.flatMap(({ rule, methods, path, at }) =>
        methods.map(method => ({ kind: 'http', rule, method, path, at }) as const),
      );
    const webAddress = { host: '127.0.0.1', port: this.agent.port('inbound/web') || 1 };
    return agentBundle({
      version: ++this.#version,
      trustAnchors: [...this.authority.trustAnchors],
      services: [
        agentService({
          name: 'web',
          app: this.backend.address,
          record,
          protocol,
          callers: [
            { identity: GATEWAY, service: 'gateway', calls: [...calls] },
            { identity: SHOP, service: 'shop', calls: [...shopCalls] },
          ],
          ...web,
        }),
        agentService({
          name: 'shop',
          app: { host: '127.0.0.1', port: 1 },
          outbound: [
            {
              listen: { host: '127.0.0.1', port: 0 },
              to: { service: 'web', identity: WEB, address: webAddress, protocol, record },
              calls: [...shopCalls],
            },
          ],
          egress: [
            {
              listen: { host: '127.0.0.1', port: 0 },
              origin: this.origin,
              rule: 'egress/shop/0',
              at: { file: 'lab.yaml', line: 1, column: 1 },
            },
          ],
        }),
      ],
      ...changes,
    });
  }

  async applyAgent(changes: Partial<AgentBundle> = {}, web: Partial<AgentService> = {}): Promise<void> {
    await this.agent.apply(this.agentBundle(changes, web), this.identities);
  }

  gatewayBundle(changes: Partial<GatewayBundle> = {}): GatewayBundle {
    const { routes = [], record = 'relaxed' } = this.#options;
    return gatewayBundle({
      version: ++this.#version,
      trustAnchors: [...this.authority.trustAnchors],
      issuers: [this.issuer.bundleIssuer],
      hosts: [
        { host: 'shop.test', routes: [...routes] },
        { host: 'other.test', routes: [] },
      ],
      upstreams: [
        {
          service: 'web',
          identity: WEB,
          address: { host: '127.0.0.1', port: this.agent.port('inbound/web') },
          protocol: 'http',
          record,
        },
      ],
      ...changes,
    });
  }

  async applyGateway(changes: Partial<GatewayBundle> = {}): Promise<void> {
    await this.gateway.apply(this.gatewayBundle(changes), this.identities);
  }

  /** From outside, by TLS. */
  outside(options: ConnectionOptions = {}): Promise<RawClient> {
    return RawClient.tls(this.gateway.port, {
      ca: [...this.authority.trustAnchors],
      servername: 'shop.test',
      ...options,
    });
  }

  /** To the agent of `web`, by mTLS, under an identity that need not be honest. */
  async inside(identity: string, options: ConnectionOptions = {}): Promise<RawClient> {
    const pair = this.identities.current(identity) ?? (await this.authority.identity(identity));
    return RawClient.tls(this.agent.port('inbound/web'), {
      ca: [...this.authority.trustAnchors],
      cert: pair.certificateChainPem,
      key: pair.privateKeyPem,
      checkServerIdentity: () => undefined,
      ...options,
    });
  }

  /** As the process of `shop`: its call to `web`. */
  outbound(): Promise<RawClient> {
    return RawClient.tcp(this.agent.port('outbound/shop/web'));
  }

  /** As the process of `shop`: its way outside, which leads to the backend. */
  egress(): Promise<RawClient> {
    return RawClient.tcp(this.agent.port(`egress/shop/${this.origin}`));
  }

  async close(): Promise<void> {
    this.gateway.close();
    this.agent.close();
    this.issuer.close();
    await this.backend.close();
  }
}
