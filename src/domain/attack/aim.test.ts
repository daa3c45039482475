import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isReason } from '#domain/decision';
import { parseModel, type Model } from '#domain/model';
import { matchesPattern, normalisePath } from '#domain/path';
import { RINGS } from '#domain/rings';
import { aimAll, CATALOGUE, createField, type Shot, type Terrain } from './index.ts';

const EVERYTHING: Terrain = { hasNamespaces: true, hasTokens: true, points: ['gateway', 'agent'] };
const NOTHING: Terrain = { hasNamespaces: false, hasTokens: false, points: [] };
const METHODS = ['GET', 'POST', 'PUT', 'DELETE'] as const;
const PATHS = ['/', '/items', '/items/*', '/a/**', '/carts/*/items', '/x'] as const;

type Drawn = {
  readonly services: number;
  readonly calls: readonly {
    readonly from: number;
    readonly to: number;
    readonly method: string;
    readonly path: string;
  }[];
  readonly routes: readonly {
    readonly to: number;
    readonly method: string;
    readonly path: string;
    readonly user: boolean;
  }[];
};

const anyCall = fc.record({
  from: fc.nat(5),
  to: fc.nat(5),
  method: fc.constantFrom(...METHODS),
  path: fc.constantFrom(...PATHS),
});
const anyRoute = fc.record({
  to: fc.nat(5),
  method: fc.constantFrom(...METHODS),
  path: fc.constantFrom(...PATHS),
  user: fc.boolean(),
});
const anyModel = fc
  .record({
    services: fc.integer({ min: 2, max: 6 }),
    calls: fc.array(anyCall, { maxLength: 12 }),
    routes: fc.array(anyRoute, { minLength: 1, maxLength: 6 }),
  })
  .map(modelOf);

test('the catalogue has at least 80 kinds, with unique ids in their rings, each with references', () => {
  assert.ok(CATALOGUE.length >= 80, `${CATALOGUE.length}`);
  assert.equal(new Set(CATALOGUE.map(({ id }) => id)).size, CATALOGUE.length);
  for (const { id, ring, title, references } of CATALOGUE) {
    assert.ok(id.startsWith(`${ring}/`) && Object.hasOwn(RINGS, ring), id);
    assert.ok(title !== '' && references.length > 0, id);
    for (const reference of references) {
      assert.match(
        reference,
        /^(CWE-\d+|CVE-\d{4}-\d{4,}|GHSA-[\w-]+|ASVS \d+\.\d+\.\d+|API\d+:2023|T\d{4}(\.\d{3})?|RFC \d+( §[\d.]+)?)$/,
        `${id}: ${reference}`,
      );
    }
  }
});

test('aimAll() gives unique ids, known services and reasons that exist', () => {
  fc.assert(
    fc.property(anyModel, model => {
      const shots = aimAll(createField(model, EVERYTHING), CATALOGUE);
      const all = CATALOGUE.flatMap(attack => attack.aim(createField(model, EVERYTHING)));
      assert.equal(new Set(all.map(({ id }) => id)).size, shots.length);
      for (const { id, service, expect } of shots) {
        assert.ok(model.services.has(service), id);
        assert.doesNotMatch(id, /\s/);
        if (expect.kind === 'refused')
          assert.ok(expect.reasons.length > 0 && expect.reasons.every(isReason), id);
      }
    }),
    { numRuns: 60 },
  );
});

test('aimAll() gives the same shots for the same model: they can be replayed by their ids', () => {
  fc.assert(
    fc.property(anyModel, model => {
      const aim = () => JSON.stringify(aimAll(createField(model, EVERYTHING)));
      assert.equal(aim(), aim());
    }),
    { numRuns: 30 },
  );
});

test('no shot that must be refused asks for a declared call of a service', () => {
  fc.assert(
    fc.property(anyModel, model => {
      for (const shot of aimAll(createField(model, EVERYTHING))) {
        if (shot.attack.ring !== 'authorization' || shot.expect.kind !== 'refused') continue;
        const asked = callOf(shot);
        if (asked === undefined) continue;
        assert.ok(!isDeclared(model, asked), `${shot.id} asks for what is declared`);
      }
    }),
    { numRuns: 100 },
  );
});

test('no shot at the edge that must be refused asks for a declared route', () => {
  fc.assert(
    fc.property(anyModel, model => {
      for (const { id, attack, probe } of aimAll(createField(model, EVERYTHING))) {
        if (attack.ring !== 'edge' || probe.kind !== 'edge' || probe.message.kind !== 'request') continue;
        const { method, path } = probe.message;
        const routes = model.edge.hosts.find(({ host }) => host === probe.host)?.routes ?? [];
        const isRouted = routes.some(
          route => (route.methods as readonly string[]).includes(method) && matchesPattern(route.path, path),
        );
        assert.ok(!isRouted, `${id} asks for what is declared`);
      }
    }),
    { numRuns: 100 },
  );
});

test('every pair of services without a call between them is attacked, where the callee can be reached at all', () => {
  fc.assert(
    fc.property(anyModel, model => {
      const field = createField(model, EVERYTHING);
      const shots = new Set(aimAll(field).map(({ id }) => id));
      const reachable = new Set(field.entries.map(({ service }) => service));
      for (const caller of model.services.values()) {
        for (const callee of model.services.keys()) {
          const isCalled = caller.calls.some(({ service }) => service === callee);
          if (caller.name === callee || isCalled || !reachable.has(callee)) continue;
          assert.ok(
            shots.has(`authorization/undeclared-pair@${caller.name}/${callee}`),
            `${caller.name} → ${callee}`,
          );
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('every control of an HTTP call is a request that the model allows', () => {
  fc.assert(
    fc.property(anyModel, model => {
      for (const { id, control } of aimAll(createField(model, EVERYTHING))) {
        if (
          control?.kind !== 'inbound' ||
          control.certificate.kind !== 'service' ||
          control.message.kind !== 'request'
        )
          continue;
        const { method, path } = control.message;
        assert.ok(
          isDeclared(model, { caller: control.certificate.service, callee: control.service, method, path }),
          id,
        );
      }
    }),
    { numRuns: 60 },
  );
});

test('aimAll() asks for nothing that the terrain does not have', () => {
  fc.assert(
    fc.property(anyModel, model => {
      for (const { id, attack, probe } of aimAll(createField(model, NOTHING))) {
        assert.notEqual(attack.ring, 'network', id);
        if (probe.kind === 'edge' || probe.kind === 'burst') assert.equal(probe.token.kind, 'none', id);
      }
    }),
    { numRuns: 30 },
  );
});

type Asked = {
  readonly caller: string;
  readonly callee: string;
  readonly method: string;
  readonly path: string;
};

function callOf({ probe }: Shot): Asked | undefined {
  if (!('message' in probe) || probe.message.kind !== 'request') return undefined;
  const { method, path } = probe.message;
  if (probe.kind === 'outbound') return { caller: probe.caller, callee: probe.callee, method, path };
  if (probe.kind !== 'inbound' || probe.certificate.kind !== 'service') return undefined;
  return { caller: probe.certificate.service, callee: probe.service, method, path };
}

function isDeclared(model: Model, { caller, callee, method, path }: Asked): boolean {
  const normalised = normalisePath(path.split('?', 1)[0] ?? '');
  if (normalised.kind !== 'path') return false;
  const calls = model.services.get(caller)?.calls.find(({ service }) => service === callee)?.calls ?? [];
  return calls.some(
    call => call.kind === 'http' && call.method === method && matchesPattern(call.path, normalised.path),
  );
}

function modelOf({ services, calls, routes }: Drawn): Model {
  const name = (at: number) => `s${at % services}`;
  const lines = [
    'apiVersion: ringwall.dev/v1',
    'system: drawn',
    'trustDomain: a.test',
    'users:',
    '  issuers:',
    '    - { name: i, issuer: local, audience: a }',
  ];
  lines.push('edge:', '  hosts:', '    shop.a.test:');
  const seenRoutes = new Set<string>();
  for (const { to, method, path, user } of routes) {
    if (seenRoutes.has(`${method} ${path}`)) continue;
    seenRoutes.add(`${method} ${path}`);
    const clients = user ? 'clients: [user], scopes: [some]' : 'clients: [anonymous]';
    lines.push(
      `      - { path: ${path}, methods: [${method}], to: ${name(to)}, ${clients}, limits: [5/s per client] }`,
    );
  }
  lines.push('services:');
  for (let at = 0; at < services; at++) {
    lines.push(`  s${at}:`, '    data: internal', `    listen: http ${8080 + at}`);
    const own = Map.groupBy(
      calls.filter(({ from, to }) => name(from) === `s${at}` && name(to) !== `s${at}`),
      ({ to }) => name(to),
    );
    if (own.size > 0) lines.push('    calls:');
    for (const [callee, list] of own) {
      lines.push(
        `      ${callee}: [${[...new Set(list.map(({ method, path }) => `"${method} ${path}"`))].join(', ')}]`,
      );
    }
  }
  const parsed = parseModel({ file: 'drawn.yaml', text: lines.join('\n'), directory: '/' });
  if (parsed.kind === 'model') return parsed.model;
  throw new TypeError(`${parsed.problems.map(({ message }) => message).join('; ')}\n${lines.join('\n')}`);
}
