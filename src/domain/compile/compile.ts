import {
  type Address,
  type AgentBundle,
  type AgentService,
  type Bundle,
  type BundleCall,
  type BundleRoute,
  type Caller,
  type GatewayBundle,
  type Revocations,
  type Upstream,
} from '#domain/bundle';
import type { Call, Issuer, Model, Route, Service } from '#domain/model';
import { partIdentity, serviceIdentity } from '#domain/spiffe';
import type { AgentPlacement, Placement, ServicePlacement } from './placement.ts';

export type CompileInput = {
  readonly model: Model;
  /** `sha256:<hex>` of the model's text. */
  readonly modelDigest: string;
  readonly placement: Placement;
  readonly version: number;
  /** PEM certificates of the trust domain's roots. */
  readonly trustAnchors: readonly string[];
  readonly revoked: Revocations;
  /** The URL under which an issuer of the model answers; for `local` the built-in issuer's. */
  readonly issuerUrl: (issuer: Issuer) => string;
  /** How an issuer signs where that is not as the model says, because another plays it. */
  readonly issuerAlgorithm?: ((issuer: Issuer) => Issuer['algorithm']) | undefined;
};

/** Compiles the bundles of all points, the gateway's first. Linear in the size of the model. */
export function compile(input: CompileInput): [GatewayBundle, ...AgentBundle[]] {
  const callers = collectCallers(input.model);
  return [compileGateway(input), ...input.placement.agents.map(agent => compileAgent(input, agent, callers))];
}

function compileGateway(input: CompileInput): GatewayBundle {
  const { model, placement } = input;
  const routed = new Set(model.edge.hosts.flatMap(({ routes }) => routes.map(({ to }) => to)));
  return {
    ...common(input, placement.gateway),
    kind: 'gateway',
    identity: gatewayIdentity(model),
    listen: placement.gateway.listen,
    issuers: model.issuers.map(issuer => ({
      name: issuer.name,
      issuer: input.issuerUrl(issuer),
      audience: issuer.audience,
      algorithm: input.issuerAlgorithm?.(issuer) ?? issuer.algorithm,
    })),
    hosts: model.edge.hosts.map(({ host, routes }) => ({ host, routes: routes.map(compileRoute) })),
    upstreams: [...routed].map(name => upstreamOf(input, name)),
  };
}

function compileRoute(route: Route): BundleRoute {
  return {
    rule: route.rule,
    at: { ...route.at },
    path: route.path.text,
    methods: [...route.methods],
    to: route.to,
    clients: [...route.clients],
    scopes: [...route.scopes],
    limits: route.limits.map(limit => ({ ...limit })),
    lockout:
      route.lockout === undefined
        ? null
        : {
            ...route.lockout,
            per: [...route.lockout.per],
            accountField: route.lockout.accountField ?? null,
          },
    maxRequestBytes: route.maxRequestBytes,
    maxResponseBytes: route.maxResponseBytes,
  };
}

function compileAgent(
  input: CompileInput,
  agent: AgentPlacement,
  callers: ReadonlyMap<string, Caller[]>,
): AgentBundle {
  return {
    ...common(input, agent),
    kind: 'agent',
    services: agent.services.map(name =>
      compileService(input, serviceOf(input.model, name), callers.get(name) ?? []),
    ),
  };
}

function compileService(input: CompileInput, service: Service, callers: Caller[]): AgentService {
  const place = placeOf(input.placement, service.name);
  return {
    name: service.name,
    identity: identityOf(input.model, service),
    protocol: service.protocol,
    record: service.record,
    inbound: place.inbound,
    app: place.app,
    callers,
    outbound: service.calls.map(({ service: callee, calls }) => ({
      listen: addressIn(place.outbound, callee, service.name),
      to: upstreamOf(input, callee),
      calls: calls.map(compileCall),
    })),
    egress: service.egress.map(({ origin, rule, at }) => ({
      listen: addressIn(place.egress, origin, service.name),
      origin,
      rule,
      at: { ...at },
    })),
  };
}

/** For each service, who may call it and how: other services by their `calls`, the gateway by the edge routes. */
function collectCallers(model: Model): ReadonlyMap<string, Caller[]> {
  const callers = new Map<string, Caller[]>([...model.services.keys()].map(name => [name, []]));
  for (const service of model.services.values()) {
    for (const { service: callee, calls } of service.calls) {
      callers.get(callee)?.push({
        identity: identityOf(model, service),
        service: service.name,
        calls: calls.map(compileCall),
      });
    }
  }
  for (const [callee, calls] of edgeCalls(model)) {
    callers.get(callee)?.push({ identity: gatewayIdentity(model), service: 'gateway', calls });
  }
  return callers;
}

function edgeCalls(model: Model): ReadonlyMap<string, BundleCall[]> {
  const calls = new Map<string, BundleCall[]>();
  for (const { routes } of model.edge.hosts) {
    for (const { rule, methods, path, to, at } of routes) {
      const list = calls.get(to) ?? [];
      calls.set(to, list);
      for (const method of methods) list.push({ kind: 'http', rule, method, path: path.text, at: { ...at } });
    }
  }
  return calls;
}

function compileCall(call: Call): BundleCall {
  const { rule, at } = call;
  return call.kind === 'connect'
    ? { kind: 'connect', rule, at: { ...at } }
    : { kind: 'http', rule, method: call.method, path: call.path.text, at: { ...at } };
}

function common(input: CompileInput, point: { readonly name: string; readonly admin: Bundle['admin'] }) {
  const { model } = input;
  return {
    apiVersion: 'ringwall.dev/bundle/v1' as const,
    system: model.system,
    trustDomain: model.trustDomain,
    point: point.name,
    version: input.version,
    model: input.modelDigest,
    trustAnchors: [...input.trustAnchors],
    revoked: input.revoked,
    admin: point.admin,
  };
}

function upstreamOf(input: CompileInput, name: string): Upstream {
  const service = serviceOf(input.model, name);
  return {
    service: name,
    identity: identityOf(input.model, service),
    address: placeOf(input.placement, name).inbound,
    protocol: service.protocol,
    record: service.record,
  };
}

function identityOf(model: Model, service: Service): string {
  return serviceIdentity(model.trustDomain, service.namespace, service.name);
}

function gatewayIdentity(model: Model): string {
  return partIdentity(model.trustDomain, 'gateway');
}

// INVARIANT: a checked model names only services that it declares, and whoever places a system places all of it.
function serviceOf(model: Model, name: string): Service {
  const service = model.services.get(name);
  if (service === undefined) throw new TypeError(`no service ${name} in the model`);
  return service;
}

function placeOf(placement: Placement, name: string): ServicePlacement {
  const place = placement.services.get(name);
  if (place === undefined) throw new TypeError(`service ${name} has no place`);
  return place;
}

function addressIn(places: ReadonlyMap<string, Address>, target: string, service: string): Address {
  const address = places.get(target);
  if (address === undefined)
    throw new TypeError(`service ${service} has no place for its calls to ${target}`);
  return address;
}
