import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bundleSchema, type AgentBundle } from '#domain/bundle';
import { compile, type CompileInput, type Placement } from '#domain/compile';
import { parseModel, type Model } from '#domain/model';

const TEXT = `apiVersion: ringwall.dev/v1
system: shop
trustDomain: shop.internal
users:
  issuers:
    - { name: shop, issuer: local, audience: shop }
edge:
  hosts:
    shop.test:
      - { path: /, methods: [GET, HEAD], to: frontend, clients: [anonymous], limits: [20/s burst 40 per client] }
      - { path: /cart/**, methods: [POST], to: frontend, clients: [user], scopes: [cart], limits: [10/s per user] }
services:
  frontend:
    data: internal
    listen: http 8080
    calls:
      constructor: [GET /items/*]
  constructor:
    data: restricted
    namespace: stock
    listen: http 8081
    calls:
      db: [connect]
    egress: [https://bank.example]
  db:
    data: restricted
    listen: tcp 5432
`;

function model(): Model {
  const parsed = parseModel({ file: 'ringwall.yaml', text: TEXT, directory: '/' });
  return parsed.kind === 'model' ? parsed.model : assert.fail(JSON.stringify(parsed.problems));
}

let port = 15_000;
const address = () => ({ host: '127.0.0.1', port: ++port });

function place({ services }: Model): Placement {
  return {
    gateway: { name: 'gateway', listen: { host: '127.0.0.1', port: 4443 }, admin: address() },
    agents: [{ name: 'agent', admin: address(), services: [...services.keys()] }],
    services: new Map(
      [...services.values()].map(({ name, calls, egress }) => [
        name,
        {
          inbound: address(),
          app: address(),
          outbound: new Map(calls.map(({ service }) => [service, address()])),
          egress: new Map(egress.map(({ origin }) => [origin, address()])),
        },
      ]),
    ),
  };
}

function input(change: Partial<CompileInput> = {}): CompileInput {
  const declared = model();
  return {
    model: declared,
    modelDigest: 'sha256:00',
    placement: place(declared),
    version: 7,
    trustAnchors: ['PEM'],
    revoked: { identities: [], serials: [] },
    issuerUrl: () => 'http://127.0.0.1:4445',
    ...change,
  };
}

const service = (bundle: AgentBundle, name: string) => {
  const found = bundle.services.find(candidate => candidate.name === name);
  assert.ok(found);
  return found;
};

test('compile() makes bundles that fit their published shape, also after a journey as JSON', () => {
  for (const bundle of compile(input())) assert.deepEqual(bundleSchema.parse(JSON.stringify(bundle)), bundle);
});

test('compile() gives the gateway each routed service once, with the identity that must answer', () => {
  const [gateway] = compile(input());
  assert.deepEqual(
    gateway.upstreams.map(({ service: name, identity, record }) => [name, identity, record]),
    [['frontend', 'spiffe://shop.internal/ns/default/sa/frontend', 'relaxed']],
  );
  assert.deepEqual(gateway.issuers, [
    { name: 'shop', issuer: 'http://127.0.0.1:4445', audience: 'shop', algorithm: 'ES256' },
  ]);
});

test('compile() lets a service be called by its declared callers and the gateway by its routes, nobody else', () => {
  const [, agent] = compile(input());
  assert.ok(agent);
  const calls = (name: string) =>
    service(agent, name).callers.map(({ identity, calls }) => [
      identity,
      ...calls.map(call =>
        call.kind === 'connect' ? 'connect' : `${call.method} ${call.path} ${call.rule}`,
      ),
    ]);
  assert.deepEqual(calls('frontend'), [
    [
      'spiffe://shop.internal/ns/ringwall/sa/gateway',
      'GET / edge/shop.test/0',
      'HEAD / edge/shop.test/0',
      'POST /cart/** edge/shop.test/1',
    ],
  ]);
  assert.deepEqual(calls('constructor'), [
    ['spiffe://shop.internal/ns/default/sa/frontend', 'GET /items/* calls/frontend/constructor/0'],
  ]);
  assert.deepEqual(calls('db'), [['spiffe://shop.internal/ns/stock/sa/constructor', 'connect']]);
});

test('compile() keeps the line of each rule', () => {
  const [gateway, agent] = compile(input());
  assert.ok(agent);
  assert.deepEqual(gateway.hosts[0]?.routes[1]?.at.line, 11);
  assert.equal(service(agent, 'db').callers[0]?.calls[0]?.at.line, 23);
  assert.equal(service(agent, 'constructor').egress[0]?.at.line, 24);
});

test('compile() hands on version, revocations and trust anchors to every bundle', () => {
  const revoked = { identities: ['spiffe://shop.internal/ns/default/sa/db'], serials: ['0a'] };
  for (const bundle of compile(input({ revoked }))) {
    assert.equal(bundle.version, 7);
    assert.deepEqual(bundle.revoked, revoked);
    assert.deepEqual(bundle.trustAnchors, ['PEM']);
  }
});

test('compile() splits services over agents', () => {
  const declared = model();
  const placement = place(declared);
  const agents = [...declared.services.keys()].map(name => ({
    name: `agent-${name}`,
    admin: address(),
    services: [name],
  }));
  const [, ...bundles] = compile(input({ model: declared, placement: { ...placement, agents } }));
  assert.deepEqual(
    bundles.map(({ point, services }) => [point, services.map(({ name }) => name)]),
    [
      ['agent-frontend', ['frontend']],
      ['agent-constructor', ['constructor']],
      ['agent-db', ['db']],
    ],
  );
});

test('compile() refuses a placement that forgets a service', () => {
  const declared = model();
  const placement = place(declared);
  const services = new Map(placement.services);
  services.delete('db');
  assert.throws(() => compile(input({ model: declared, placement: { ...placement, services } })), TypeError);
});
