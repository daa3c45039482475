import { closed, compileSchema, Type, type Static } from '#base/schema';

const text = Type.String({ maxLength: 2048 });
const port = Type.Integer({ minimum: 1, maximum: 65_535 });
const count = Type.Integer({ minimum: 0 });
const positive = Type.Number({ exclusiveMinimum: 0 });
const listOf = <T extends Parameters<typeof Type.Array>[0]>(item: T) => Type.Array(item);

const address = closed({ host: text, port });
/** Line and column in the model file, from 1. */
const position = closed({ file: text, line: count, column: count });
const method = Type.Union([
  Type.Literal('GET'),
  Type.Literal('HEAD'),
  Type.Literal('POST'),
  Type.Literal('PUT'),
  Type.Literal('PATCH'),
  Type.Literal('DELETE'),
  Type.Literal('OPTIONS'),
]);
const protocol = Type.Union([Type.Literal('http'), Type.Literal('grpc'), Type.Literal('tcp')]);
const record = Type.Union([Type.Literal('durable'), Type.Literal('relaxed')]);

/** One permitted call; `path` is a pattern of `#domain/path`. A TCP service has calls of kind `connect`. */
const call = Type.Union([
  closed({ kind: Type.Literal('http'), rule: text, method, path: text, at: position }),
  closed({ kind: Type.Literal('connect'), rule: text, at: position }),
]);

const limit = closed({
  requests: positive,
  perMs: positive,
  burst: positive,
  per: Type.Union([Type.Literal('client'), Type.Literal('user'), Type.Literal('route')]),
  text,
});
const lockout = closed({
  failures: Type.Integer({ minimum: 1 }),
  windowMs: positive,
  per: listOf(Type.Union([Type.Literal('client'), Type.Literal('account')])),
  accountField: Type.Union([text, Type.Null()]),
  text,
});

const route = closed({
  rule: text,
  at: position,
  path: text,
  methods: listOf(method),
  /** The `service` of one of `upstreams`. */
  to: text,
  clients: listOf(Type.Union([Type.Literal('anonymous'), Type.Literal('user'), Type.Literal('application')])),
  scopes: listOf(text),
  limits: listOf(limit),
  lockout: Type.Union([lockout, Type.Null()]),
  maxRequestBytes: count,
  maxResponseBytes: count,
});
const host = closed({ host: text, routes: listOf(route) });

const issuer = closed({
  name: text,
  /** The exact `iss` of its tokens; discovery starts from here (RFC 8414 §3). */
  issuer: text,
  audience: text,
  algorithm: Type.Union([
    Type.Literal('ES256'),
    Type.Literal('RS256'),
    Type.Literal('PS256'),
    Type.Literal('EdDSA'),
  ]),
});

/** A service as its callers reach it: the mTLS address of its agent and the identity that must answer there. */
const upstream = closed({ service: text, identity: text, address, protocol, record });

const revocations = closed({
  /** SPIFFE IDs that may neither call nor be called. */
  identities: listOf(text),
  /** Certificate serial numbers, lower-case hex without leading zeros, whose handshakes are refused. */
  serials: listOf(text),
});

const common = {
  apiVersion: Type.Literal('ringwall.dev/bundle/v1'),
  system: text,
  trustDomain: text,
  /** The name of the enforcement point that this bundle is for; no other may apply it. */
  point: text,
  /** Grows with every change; a point never goes back. */
  version: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
  /** `sha256:<hex>` of the model's text. */
  model: text,
  /** Certificates of the trust domain's roots, PEM. */
  trustAnchors: listOf(Type.String({ maxLength: 16_384 })),
  revoked: revocations,
  /** Where `/metrics` and `/healthz` answer. */
  admin: address,
};

const gatewayBundle = closed({
  ...common,
  kind: Type.Literal('gateway'),
  /** The gateway's own identity, with which it calls services. */
  identity: text,
  listen: address,
  issuers: listOf(issuer),
  hosts: listOf(host),
  /** Every service that a route leads to, once. */
  upstreams: listOf(upstream),
});

const callers = closed({ identity: text, service: text, calls: listOf(call) });
const outbound = closed({
  /** Where the service reaches this callee: plaintext, for this service only. */
  listen: address,
  to: upstream,
  calls: listOf(call),
});
const egress = closed({ listen: address, origin: text, rule: text, at: position });

const agentService = closed({
  name: text,
  identity: text,
  protocol,
  record,
  /** Where other points reach this service: mTLS. */
  inbound: address,
  /** Where the service itself listens: plaintext. */
  app: address,
  callers: listOf(callers),
  outbound: listOf(outbound),
  egress: listOf(egress),
});

const agentBundle = closed({
  ...common,
  kind: Type.Literal('agent'),
  services: listOf(agentService),
});

export type Address = Static<typeof address>;
export type SourcePosition = Static<typeof position>;
export type BundleCall = Static<typeof call>;
export type BundleRoute = Static<typeof route>;
export type BundleHost = Static<typeof host>;
export type BundleIssuer = Static<typeof issuer>;
export type Upstream = Static<typeof upstream>;
export type Revocations = Static<typeof revocations>;
export type Caller = Static<typeof callers>;
export type OutboundTarget = Static<typeof outbound>;
export type EgressTarget = Static<typeof egress>;
export type AgentService = Static<typeof agentService>;
export type GatewayBundle = Static<typeof gatewayBundle>;
export type AgentBundle = Static<typeof agentBundle>;
export type Bundle = GatewayBundle | AgentBundle;

export const bundleSchema = compileSchema('bundle', Type.Union([gatewayBundle, agentBundle]));
