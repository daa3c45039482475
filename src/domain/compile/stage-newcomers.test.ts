import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AgentBundle, Bundle } from '#domain/bundle';
import { compile, stageNewcomers, type Placement } from '#domain/compile';
import { parseModel } from '#domain/model';

/** Ports by purpose, the same in each model. */
const ports = new Map<string, number>();
const address = (purpose: string) => {
  const port = ports.get(purpose) ?? 15_000 + ports.size;
  ports.set(purpose, port);
  return { host: '127.0.0.1', port };
};

function bundlesOf(edge: string, services: string): Bundle[] {
  const text = `apiVersion: ringwall.dev/v1
system: shop
trustDomain: shop.internal
edge:
  hosts:
    shop.test:
${edge}
services:
${services}
`;
  const parsed = parseModel({ file: 'ringwall.yaml', text, directory: '/' });
  assert.equal(parsed.kind, 'model', JSON.stringify(parsed));
  const { model } = parsed;
  const placement: Placement = {
    gateway: { name: 'gateway', listen: address('edge'), admin: address('gateway') },
    agents: [{ name: 'agent', admin: address('agent'), services: [...model.services.keys()] }],
    services: new Map(
      [...model.services.values()].map(({ name, calls }) => [
        name,
        {
          inbound: address(`in ${name}`),
          app: address(`app ${name}`),
          outbound: new Map(calls.map(({ service }) => [service, address(`${name} ${service}`)])),
          egress: new Map(),
        },
      ]),
    ),
  };
  return compile({
    model,
    modelDigest: 'sha256:0',
    placement,
    version: 1,
    trustAnchors: [],
    revoked: { identities: [], serials: [] },
    issuerUrl: () => '',
  });
}

const agentOf = (bundles: readonly Bundle[]): AgentBundle =>
  bundles.find(bundle => bundle.kind === 'agent') ?? assert.fail();
const callersOf = (bundles: readonly Bundle[], name: string) =>
  agentOf(bundles)
    .services.find(service => service.name === name)
    ?.callers.map(({ service }) => service);

const ROUTE = '      - { path: /, methods: [GET], to: front, clients: [anonymous] }';
const before = bundlesOf(
  ROUTE,
  `  front: { data: internal, listen: http 80, calls: { stock: [GET /a] } }
  stock: { data: internal, listen: http 81 }
  gone: { data: internal, listen: http 82, calls: { stock: [GET /b] } }`,
);
const after = bundlesOf(
  `${ROUTE}\n      - { path: /mail, methods: [GET], to: mail, clients: [anonymous] }`,
  `  front: { data: internal, listen: http 80, calls: { stock: [GET /a, GET /c], mail: [POST /m], queue: [POST /q] } }
  stock: { data: internal, listen: http 81 }
  mail: { data: internal, listen: http 83, calls: { stock: [GET /d], queue: [POST /q] } }
  queue: { data: internal, listen: http 84 }`,
);
const staged = stageNewcomers(before, after);

test('stageNewcomers() leaves the gateway, and what services could do, as they were', () => {
  assert.deepEqual(staged[0], before[0]);
  for (const name of ['front', 'stock', 'gone']) {
    const [was, is] = [before, staged].map(bundles =>
      agentOf(bundles).services.find(service => service.name === name),
    );
    assert.deepEqual({ ...is, callers: [] }, { ...was, callers: [] });
  }
});

test('stageNewcomers() adds new services whole, and lets them in at their callees', () => {
  assert.deepEqual(
    agentOf(staged).services.map(({ name }) => name),
    ['front', 'stock', 'gone', 'mail', 'queue'],
  );
  for (const name of ['mail', 'queue']) {
    const [is, will] = [staged, after].map(bundles =>
      agentOf(bundles).services.find(service => service.name === name),
    );
    assert.deepEqual(is, will);
  }
  assert.deepEqual(callersOf(staged, 'stock'), ['front', 'gone', 'mail']);
});

test('stageNewcomers() opens nothing between services that were there', () => {
  const calls = agentOf(staged).services.find(({ name }) => name === 'stock')?.callers[0]?.calls;
  assert.deepEqual(
    calls?.map(call => call.kind === 'http' && call.path),
    ['/a'],
  );
  assert.deepEqual(callersOf(staged, 'front'), ['gateway']);
});

test('stageNewcomers() without new services is what was', () => {
  assert.deepEqual(stageNewcomers(before, before), before);
});
