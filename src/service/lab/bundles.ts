import type { AgentBundle, AgentService, BundleCall, BundleRoute, GatewayBundle } from '#domain/bundle';
import { serviceIdentity } from '#domain/spiffe';

const AT = { file: 'lab.yaml', line: 1, column: 1 };
const ANY = { host: '127.0.0.1', port: 0 };
const TRUST_DOMAIN = 'lab.test';

const common = {
  apiVersion: 'ringwall.dev/bundle/v1',
  system: 'lab',
  trustDomain: TRUST_DOMAIN,
  version: 1,
  model: 'sha256:0',
  trustAnchors: [],
  revoked: { identities: [], serials: [] },
  admin: ANY,
} as const;

/** A route that admits everybody, for GET; the rest as given. */
export function edgeRoute(route: Partial<BundleRoute> & Pick<BundleRoute, 'path' | 'to'>): BundleRoute {
  return {
    rule: `edge/shop.test${route.path}`,
    at: AT,
    methods: ['GET'],
    clients: ['anonymous'],
    scopes: [],
    limits: [],
    lockout: null,
    maxRequestBytes: 1_048_576,
    maxResponseBytes: 1_073_741_824,
    ...route,
  };
}

export function gatewayBundle(
  bundle: Partial<GatewayBundle> & Pick<GatewayBundle, 'trustAnchors' | 'hosts' | 'upstreams'>,
): GatewayBundle {
  return {
    ...common,
    revoked: { identities: [], serials: [] },
    kind: 'gateway',
    point: 'gateway',
    identity: serviceIdentity(TRUST_DOMAIN, 'ringwall', 'gateway'),
    listen: ANY,
    issuers: [],
    ...bundle,
  };
}

export function agentBundle(
  bundle: Partial<AgentBundle> & Pick<AgentBundle, 'trustAnchors' | 'services'>,
): AgentBundle {
  return { ...common, revoked: { identities: [], serials: [] }, kind: 'agent', point: 'agent', ...bundle };
}

/** A relaxed HTTP service in namespace `default`, without callers or calls; the rest as given. */
export function agentService(
  service: Partial<AgentService> & Pick<AgentService, 'name' | 'app'>,
): AgentService {
  return {
    identity: serviceIdentity(TRUST_DOMAIN, 'default', service.name),
    protocol: 'http',
    record: 'relaxed',
    inbound: ANY,
    callers: [],
    outbound: [],
    egress: [],
    ...service,
  };
}

export function httpCall(method: BundleRoute['methods'][number], path: string): BundleCall {
  return { kind: 'http', rule: `calls/${method}${path}`, method, path, at: AT };
}
