import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AgentBundle, BundleCall, BundleRoute, GatewayBundle } from '#domain/bundle';
import { compileAgentPolicy, compileEdgePolicy, Permit, type EdgeRoute } from '#domain/policy';

const at = { file: 'ringwall.yaml', line: 1, column: 1 };
const common = {
  apiVersion: 'ringwall.dev/bundle/v1' as const,
  system: 'shop',
  trustDomain: 'shop.test',
  version: 1,
  model: 'sha256:00',
  trustAnchors: [],
  revoked: { identities: [] as string[], serials: [] },
  admin: { host: '127.0.0.1', port: 1 },
};
const id = (service: string) => `spiffe://shop.test/ns/default/sa/${service}`;
const GATEWAY = 'spiffe://shop.test/ns/ringwall/sa/gateway';

const call = (method: 'GET' | 'POST', path: string): BundleCall => ({
  kind: 'http',
  rule: `calls/${method}${path}`,
  method,
  path,
  at,
});
const upstream = (service: string, protocol: 'http' | 'tcp' = 'http') => ({
  service,
  identity: id(service),
  address: { host: '127.0.0.1', port: 2 },
  protocol,
  record: 'relaxed' as const,
});

function agentBundle(change: Partial<AgentBundle> = {}): AgentBundle {
  const address = { host: '127.0.0.1', port: 3 };
  return {
    ...common,
    point: 'agent',
    kind: 'agent',
    services: [
      {
        name: 'catalog',
        identity: id('catalog'),
        protocol: 'http',
        record: 'relaxed',
        inbound: address,
        app: address,
        callers: [
          {
            identity: id('frontend'),
            service: 'frontend',
            calls: [call('GET', '/products'), call('GET', '/products/*')],
          },
          { identity: GATEWAY, service: 'gateway', calls: [call('GET', '/public/**')] },
        ],
        outbound: [
          { listen: address, to: upstream('db', 'tcp'), calls: [{ kind: 'connect', rule: 'calls/db', at }] },
          { listen: address, to: upstream('stock'), calls: [call('POST', '/reserve')] },
        ],
        egress: [{ listen: address, origin: 'https://bank.example', rule: 'egress/catalog/0', at }],
      },
    ],
    ...change,
  };
}

function route(change: Partial<BundleRoute> = {}): BundleRoute {
  return {
    rule: 'edge/shop.test/0',
    at,
    path: '/',
    methods: ['GET'],
    to: 'frontend',
    clients: ['anonymous'],
    scopes: [],
    limits: [],
    lockout: null,
    maxRequestBytes: 1,
    maxResponseBytes: 1,
    ...change,
  };
}

function gatewayBundle(routes: BundleRoute[], revoked: string[] = []): GatewayBundle {
  return {
    ...common,
    revoked: { identities: revoked, serials: [] },
    point: 'gateway',
    kind: 'gateway',
    identity: GATEWAY,
    listen: { host: '127.0.0.1', port: 4443 },
    issuers: [],
    hosts: [{ host: 'shop.test', routes }],
    upstreams: [...new Set(routes.map(({ to }) => to))].map(service => upstream(service)),
  };
}

function routed(bundle: GatewayBundle, method: string, path: string): EdgeRoute {
  const match = compileEdgePolicy(bundle).route('shop.test', method, path);
  return match.kind === 'route' ? match : assert.fail(match.reason);
}

test('inbound() permits a declared call and names its rule', () => {
  const permit = compileAgentPolicy(agentBundle()).inbound('catalog', id('frontend'), 'GET', '/products/7');
  assert.ok(permit instanceof Permit);
  assert.equal(permit.rule, 'calls/GET/products/*');
});

const strangers: [string, string, string, string, string][] = [
  ['another method', 'frontend', 'POST', '/products', 'calls/GET/products'],
  ['another path', 'frontend', 'GET', '/admin', 'calls/GET/products'],
  ['a deeper path', 'frontend', 'GET', '/products/7/price', 'calls/GET/products'],
  ['a trailing slash', 'frontend', 'GET', '/products/', 'calls/GET/products'],
  ['another case', 'frontend', 'GET', '/Products', 'calls/GET/products'],
  ['an undeclared caller', 'mail', 'GET', '/products', ''],
  ['a caller with a longer name', 'frontend2', 'GET', '/products', ''],
  ['a method in lower case', 'frontend', 'get', '/products', 'calls/GET/products'],
];
for (const [what, caller, method, path, nearest] of strangers) {
  test(`inbound() refuses ${what}`, () => {
    assert.deepEqual(compileAgentPolicy(agentBundle()).inbound('catalog', id(caller), method, path), {
      kind: 'refused',
      reason: 'no-such-call',
      nearest,
    });
  });
}

test('inbound() gives the gateway its routes and nothing of the services', () => {
  const policy = compileAgentPolicy(agentBundle());
  assert.equal(policy.inbound('catalog', GATEWAY, 'GET', '/public/a/b').kind, 'permit');
  assert.equal(policy.inbound('catalog', GATEWAY, 'GET', '/products').kind, 'refused');
});

test('inbound() refuses names that every object has', () => {
  const policy = compileAgentPolicy(agentBundle());
  for (const name of ['constructor', '__proto__', 'toString']) {
    assert.equal(policy.inbound(name, id('frontend'), 'GET', '/products').kind, 'refused');
    assert.equal(policy.inbound('catalog', name, 'GET', '/products').kind, 'refused');
    assert.equal(policy.inbound('catalog', id('frontend'), name, '/products').kind, 'refused');
    assert.equal(policy.outbound('catalog', name, 'POST', '/reserve').kind, 'refused');
    assert.equal(policy.egress('catalog', name).kind, 'refused');
  }
});

test('outbound(), connect and egress permit what is declared only', () => {
  const policy = compileAgentPolicy(agentBundle());
  assert.equal(policy.outbound('catalog', 'stock', 'POST', '/reserve').kind, 'permit');
  assert.equal(policy.outbound('catalog', 'stock', 'GET', '/reserve').kind, 'refused');
  assert.equal(policy.outbound('catalog', 'mail', 'POST', '/reserve').kind, 'refused');
  assert.equal(policy.connectOutbound('catalog', 'db').kind, 'permit');
  assert.equal(policy.connectOutbound('catalog', 'stock').kind, 'refused');
  assert.equal(policy.outbound('catalog', 'db', 'GET', '/').kind, 'refused');
  assert.equal(policy.connectInbound('catalog', id('frontend')).kind, 'refused');
  assert.equal(policy.egress('catalog', 'https://bank.example').kind, 'permit');
  assert.equal(policy.egress('catalog', 'https://bank.example.evil').kind, 'refused');
});

test('a revoked identity neither calls nor is called', () => {
  const revoke = (...identities: string[]) =>
    compileAgentPolicy(agentBundle({ revoked: { identities, serials: [] } }));
  const reasonOf = (decision: { kind: string }) => ('reason' in decision ? decision.reason : decision.kind);
  assert.equal(
    reasonOf(revoke(id('frontend')).inbound('catalog', id('frontend'), 'GET', '/products')),
    'caller-revoked',
  );
  assert.equal(
    reasonOf(revoke(id('catalog')).inbound('catalog', id('frontend'), 'GET', '/products')),
    'callee-revoked',
  );
  assert.equal(
    reasonOf(revoke(id('catalog')).outbound('catalog', 'stock', 'POST', '/reserve')),
    'caller-revoked',
  );
  assert.equal(
    reasonOf(revoke(id('stock')).outbound('catalog', 'stock', 'POST', '/reserve')),
    'callee-revoked',
  );
  assert.equal(reasonOf(revoke(id('db')).connectOutbound('catalog', 'db')), 'callee-revoked');
  assert.equal(reasonOf(revoke(id('catalog')).egress('catalog', 'https://bank.example')), 'caller-revoked');
  assert.equal(reasonOf(revoke(id('mail')).inbound('catalog', id('frontend'), 'GET', '/products')), 'permit');
});

test('a bundle with a pattern that does not parse is refused whole', () => {
  const broken = agentBundle();
  broken.services[0]?.callers[0]?.calls.push(call('GET', '/a/../b'));
  assert.throws(() => compileAgentPolicy(broken), TypeError);
  assert.throws(() => compileEdgePolicy(gatewayBundle([route({ path: 'x' })])), TypeError);
  assert.throws(() => compileEdgePolicy({ ...gatewayBundle([route()]), upstreams: [] }), TypeError);
});

test('a permit cannot be made outside of the room', () => {
  // @ts-expect-error: the key is not exported
  assert.throws(() => new Permit(Symbol('permit'), 'edge/x/0'), TypeError);
});

test('route() finds the most specific route that has the method', () => {
  const bundle = gatewayBundle([
    route({ rule: 'edge/shop.test/0', path: '/**' }),
    route({ rule: 'edge/shop.test/1', path: '/cart', methods: ['POST'] }),
  ]);
  assert.equal(routed(bundle, 'GET', '/cart').route.rule, 'edge/shop.test/0');
  assert.equal(routed(bundle, 'POST', '/cart').route.rule, 'edge/shop.test/1');
});

test('route() tells unknown host, no route and wrong method apart', () => {
  const policy = compileEdgePolicy(gatewayBundle([route({ path: '/cart', methods: ['GET', 'POST'] })]));
  const refused = (nearest: string, reason: string, allow: string[]) => ({
    kind: 'refused',
    reason,
    nearest,
    allow,
  });
  assert.deepEqual(policy.route('evil.test', 'GET', '/cart'), refused('', 'unknown-host', []));
  assert.deepEqual(policy.route('constructor', 'GET', '/cart'), refused('', 'unknown-host', []));
  assert.deepEqual(policy.route('shop.test', 'GET', '/card'), refused('', 'no-route', []));
  assert.deepEqual(
    policy.route('shop.test', 'PUT', '/cart'),
    refused('edge/shop.test/0', 'method-not-allowed', ['GET', 'POST']),
  );
});

const user = (...scopes: string[]) => ({ kind: 'user' as const, scopes: new Set(scopes) });
const anonymous = { kind: 'anonymous' as const };
const application = { kind: 'application' as const };

const admissions: [
  string,
  Partial<BundleRoute>,
  Parameters<ReturnType<typeof compileEdgePolicy>['authorize']>[1],
  string,
][] = [
  ['anybody on an open route', { clients: ['anonymous'] }, anonymous, 'permit'],
  ['a user on an open route', { clients: ['anonymous'] }, user(), 'permit'],
  ['nobody without credentials on a user route', { clients: ['user'] }, anonymous, 'credentials-missing'],
  ['a user on a user route', { clients: ['user'] }, user(), 'permit'],
  ['no application on a user route', { clients: ['user'] }, application, 'client-kind-refused'],
  ['no user on an application route', { clients: ['application'] }, user('a'), 'client-kind-refused'],
  ['no user without the scope', { clients: ['user'], scopes: ['a', 'b'] }, user('a'), 'scope-missing'],
  ['a user with all scopes', { clients: ['user'], scopes: ['a', 'b'] }, user('b', 'a', 'c'), 'permit'],
  [
    'no anonymous caller where scopes are asked',
    { clients: ['anonymous'], scopes: ['a'] },
    anonymous,
    'credentials-missing',
  ],
  [
    'no application where scopes are asked',
    { clients: ['application'], scopes: ['a'] },
    application,
    'scope-missing',
  ],
];
for (const [what, change, caller, expected] of admissions) {
  test(`authorize() admits ${what}`, () => {
    const bundle = gatewayBundle([route(change)]);
    const decision = compileEdgePolicy(bundle).authorize(routed(bundle, 'GET', '/'), caller);
    assert.equal(decision.kind === 'permit' ? 'permit' : decision.reason, expected);
  });
}

test('authorize() refuses when the service or the gateway is revoked', () => {
  for (const [identity, reason] of [
    [id('frontend'), 'callee-revoked'],
    [GATEWAY, 'caller-revoked'],
  ] as const) {
    const bundle = gatewayBundle([route()], [identity]);
    const decision = compileEdgePolicy(bundle).authorize(routed(bundle, 'GET', '/'), anonymous);
    assert.equal(decision.kind === 'refused' && decision.reason, reason);
  }
});
