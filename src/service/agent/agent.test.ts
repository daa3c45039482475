import assert from 'node:assert/strict';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { AgentBundle } from '#domain/bundle';
import { serviceIdentity } from '#domain/spiffe';
import {
  agentService,
  GATEWAY,
  httpCall,
  LabAuthority,
  LabSystem,
  RawClient,
  SHOP,
  startBackend,
  WEB,
  type LabOptions,
} from '#service/lab';
import type { SvidKeyPair } from '#service/point';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const CONNECT = {
  kind: 'connect',
  rule: 'calls/shop/web/0',
  at: { file: 'lab.yaml', line: 1, column: 1 },
} as const;
const STRANGER = serviceIdentity('lab.test', 'default', 'stranger');

async function setUp(t: TestContext, options: Partial<LabOptions> = {}) {
  const system = await LabSystem.start({
    respond: c => c.answer(OK),
    calls: [httpCall('GET', '/gateway')],
    shopCalls: [httpCall('GET', '/items/*')],
    ...options,
  });
  t.after(() => system.close());
  return { system, backend: system.backend, journal: system.journal };
}

const reasonOf = (body: string) => (JSON.parse(body) as { reason: string }).reason;

test('a declared call goes through both agents, and the callee is told who calls', async t => {
  const { system, backend, journal } = await setUp(t);
  const client = await system.outbound();
  const id = '0190a7f4-3c4e-7b6a-8d2e-0123456789ab';
  const answer = await client.get(
    '/items/1',
    `x-request-id: ${id}\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n`,
  );
  assert.equal(answer.status, 200);
  const fields = backend.seen[0]?.fields ?? {};
  assert.equal(fields['x-ringwall-caller'], SHOP);
  assert.equal(fields['x-request-id'], id);
  assert.match(fields['traceparent'] ?? '', /^00-0af7651916cd43dd8448eb211c80319c-/);
  assert.equal(fields['host'], 'web');
  assert.deepEqual(
    journal.records.map(r => [r.direction, r.caller, r.callee, r.requestId, r.traceId]),
    [
      ['inbound', SHOP, WEB, id, '0af7651916cd43dd8448eb211c80319c'],
      ['outbound', SHOP, WEB, id, '0af7651916cd43dd8448eb211c80319c'],
    ],
  );
  client.close();
});

test('the outbound side refuses what is not declared', async t => {
  const { system, backend, journal } = await setUp(t);
  const client = await system.outbound();
  for (const request of ['POST /items/1', 'GET /gateway', 'GET /items/1/2']) {
    client.send(`${request} HTTP/1.1\r\nhost: web\r\n\r\n`);
    const answer = await client.answer();
    assert.equal(answer.status, 403, request);
    assert.equal(reasonOf(answer.body), 'no-such-call');
  }
  assert.equal(backend.seen.length, 0);
  assert.equal((await journal.find(r => r.reason === 'no-such-call')).direction, 'outbound');
  client.close();
});

test('the inbound side decides for itself: a real identity gets what it may and no more', async t => {
  const { system, backend } = await setUp(t);
  const shop = await system.inside(SHOP);
  assert.equal((await shop.get('/items/1', '', 'web')).status, 200);
  assert.equal((await shop.get('/gateway', '', 'web')).status, 403);
  shop.send('POST /items/1 HTTP/1.1\r\nhost: web\r\ncontent-length: 0\r\n\r\n');
  assert.equal((await shop.answer()).status, 403);
  const stranger = await system.inside(STRANGER);
  assert.equal((await stranger.get('/items/1', '', 'web')).status, 403);
  assert.equal(backend.seen.length, 1);
  shop.close();
  stranger.close();
});

test('only the gateway may speak of users', async t => {
  const { system, backend } = await setUp(t);
  const claims = 'x-ringwall-user: root\r\nx-ringwall-client: user:root\r\nx-forwarded-for: 9.9.9.9\r\n';
  const shop = await system.inside(SHOP);
  await shop.get('/items/1', `${claims}x-ringwall-caller: ${GATEWAY}\r\n`, 'web');
  assert.doesNotMatch(backend.seen[0]?.head ?? 'root', /root|9\.9\.9\.9/);
  assert.equal(backend.seen[0]?.fields['x-ringwall-caller'], SHOP);
  // The control: from the gateway they arrive.
  const gateway = await system.inside(GATEWAY);
  await gateway.get('/gateway', claims, 'web');
  assert.equal(backend.seen[1]?.fields['x-ringwall-user'], 'root');
  assert.equal(backend.seen[1]?.fields['x-forwarded-for'], '9.9.9.9');
  shop.close();
  gateway.close();
});

for (const [name, options] of [
  ['no certificate', async () => ({ cert: undefined, key: undefined })],
  [
    'a certificate of another trust domain',
    async () => pairOf(await LabAuthority.open('evil.test'), 'spiffe://evil.test/ns/default/sa/shop'),
  ],
  [
    'a certificate of another authority of the same name',
    async () => pairOf(await LabAuthority.open('lab.test'), SHOP),
  ],
  [
    'an expired certificate',
    async (system: LabSystem) => {
      const nowMs = Date.now();
      const validity = {
        kind: 'between',
        notBeforeMs: nowMs - 7_200_000,
        notAfterMs: nowMs - 3_600_000,
      } as const;
      const pair = await system.authority.identity(SHOP, validity);
      return { cert: pair.certificateChainPem, key: pair.privateKeyPem };
    },
  ],
  [
    'a server certificate of the edge',
    async (system: LabSystem) => {
      const pair = await system.authority.server(['web']);
      return { cert: pair.certificateChainPem, key: pair.privateKeyPem };
    },
  ],
] as const) {
  test(`${name} is not let in, and it is recorded`, async t => {
    const { system, backend, journal } = await setUp(t);
    const credentials = await options(system);
    await assert.rejects(async () => {
      const client = await RawClient.tls(system.agent.port('inbound/web'), {
        ca: [...system.authority.trustAnchors],
        checkServerIdentity: () => undefined,
        ...(credentials.cert === undefined ? {} : credentials),
      });
      await client.get('/items/1', '', 'web');
    });
    assert.equal((await journal.find(r => r.reason === 'peer-unverified')).direction, 'inbound');
    assert.equal(backend.seen.length, 0);
  });
}

async function pairOf(authority: LabAuthority, identity: string) {
  const pair = await authority.identity(identity);
  return { cert: pair.certificateChainPem, key: pair.privateKeyPem };
}

test('plaintext on an mTLS port is closed and recorded', async t => {
  const { system, journal } = await setUp(t);
  const plain = await RawClient.tcp(system.agent.port('inbound/web'));
  plain.send('GET /items/1 HTTP/1.1\r\nhost: web\r\n\r\n');
  await plain.rest();
  await journal.find(r => r.reason === 'plaintext-refused' && r.direction === 'inbound');
});

test('a revoked caller: live connections are closed at once, new ones are refused, and a restored one is served', async t => {
  const { system, backend, journal } = await setUp(t);
  const client = await system.inside(SHOP);
  assert.equal((await client.get('/items/1', '', 'web')).status, 200);
  await system.applyAgent({ revoked: { identities: [SHOP], serials: [] } });
  await client.rest();
  await assert.rejects(async () => {
    const again = await system.inside(SHOP);
    await again.get('/items/1', '', 'web');
  });
  assert.equal((await journal.find(r => r.reason === 'caller-revoked')).caller, SHOP);
  assert.equal(backend.seen.length, 1);
  await system.applyAgent();
  const back = await system.inside(SHOP);
  assert.equal((await back.get('/items/1', '', 'web')).status, 200);
  back.close();
});

test('no mTLS session is resumed: every connection shows its certificate again', async t => {
  const { system } = await setUp(t);
  const first = await system.inside(SHOP);
  const session = new Promise<Buffer>(resolve => (first.socket as TLSSocket).once('session', resolve));
  assert.equal((await first.get('/items/1', '', 'web')).status, 200);
  const second = await system.inside(SHOP, { session: await session });
  assert.equal((second.socket as TLSSocket).isSessionReused(), false);
  assert.equal((await second.get('/items/1', '', 'web')).status, 200);
  first.close();
  second.close();
});

test('a revoked serial cuts its connections and leaves those of a new certificate', async t => {
  const { system } = await setUp(t);
  const old = await system.inside(SHOP);
  assert.equal((await old.get('/items/1', '', 'web')).status, 200);
  const serial = system.identities.current(SHOP)?.serial ?? '';
  system.identities.held.set(SHOP, await system.authority.identity(SHOP));
  const fresh = await system.inside(SHOP);
  assert.equal((await fresh.get('/items/1', '', 'web')).status, 200);
  await system.applyAgent({ revoked: { identities: [], serials: [serial] } });
  await old.rest();
  assert.equal((await fresh.get('/items/1', '', 'web')).status, 200);
  fresh.close();
});

test('a revoked callee is not called any more, on connections that were open before', async t => {
  const { system, backend } = await setUp(t);
  const client = await system.outbound();
  assert.equal((await client.get('/items/1')).status, 200);
  await system.applyAgent({ revoked: { identities: [WEB], serials: [] } });
  const again = client.ended ? await system.outbound() : client;
  const answer = await again.get('/items/1');
  assert.equal(answer.status, 503);
  assert.equal(reasonOf(answer.body), 'callee-revoked');
  assert.equal(backend.seen.length, 1);
  again.close();
});

test('who answers under another identity is not sent the request', async t => {
  const { system, backend, journal } = await setUp(t);
  // The port of `web` answers with the certificate of a stranger of the same trust domain.
  const bundle = system.agentBundle();
  const [web, shop] = bundle.services;
  assert.ok(web !== undefined && shop?.outbound[0] !== undefined);
  const [outbound] = shop.outbound;
  const lying = { ...outbound.to, identity: STRANGER };
  await system.agent.apply(
    { ...bundle, services: [web, { ...shop, outbound: [{ ...outbound, to: lying }] }] },
    system.identities,
  );
  const client = await system.outbound();
  const answer = await client.get('/items/1');
  assert.equal(answer.status, 502);
  assert.equal(reasonOf(answer.body), 'upstream-unverified');
  assert.match((await journal.find(r => r.reason === 'upstream-unverified')).detail, /another identity/);
  assert.equal(backend.seen.length, 0);
  client.close();
});

test('a new bundle decides at once, requests in flight end under the old one', async t => {
  const { system } = await setUp(t, {
    respond: c => setTimeout(() => c.answer(OK), c.target === '/items/slow' ? 100 : 0),
  });
  const shop = await system.inside(SHOP);
  shop.send('GET /items/slow HTTP/1.1\r\nhost: web\r\n\r\n');
  await new Promise(resolve => setTimeout(resolve, 30));
  await system.applyAgent({}, { callers: [] });
  assert.equal((await shop.answer()).status, 200);
  assert.equal((await shop.get('/items/1', '', 'web')).status, 403);
  shop.close();
});

test('a service that leaves the bundle is not reachable any more; an address may change its purpose', async t => {
  const { system, backend } = await setUp(t);
  const port = system.agent.port('inbound/web');
  const other = agentService({ name: 'other', app: backend.address, inbound: { host: '127.0.0.1', port } });
  const fixed = {
    ...system.agentBundle(),
    services: [{ ...system.agentBundle().services[0]!, inbound: { host: '127.0.0.1', port: 0 } }],
  };
  await system.agent.apply(fixed, system.identities);
  assert.equal(system.agent.port('outbound/shop/web'), 0);
  await assert.rejects(system.outbound());
  system.identities.held.set(other.identity, await system.authority.identity(other.identity));
});

test('an agent without a certificate for a service does not serve it, and serves it once the certificate comes', async t => {
  const { system } = await setUp(t);
  const pair = system.identities.current(WEB)!;
  system.identities.held.delete(WEB);
  await system.applyAgent();
  assert.equal(system.agent.port('inbound/web'), 0);
  system.identities.held.set(WEB, pair);
  system.agent.identitiesChanged();
  while (system.agent.port('inbound/web') === 0) await new Promise(resolve => setTimeout(resolve, 10));
  const shop = await system.inside(SHOP);
  assert.equal((await shop.get('/items/1', '', 'web')).status, 200);
  shop.close();
});

test('a certificate that comes while a new bundle is put in force takes nothing back and opens no port twice', async t => {
  const { system } = await setUp(t);
  const pair = system.identities.current(WEB)!;
  const port = system.agent.port('inbound/web');
  const inbound = { host: '127.0.0.1', port };
  const bundle = system.agentBundle();
  const placed = (version: number) => ({
    ...bundle,
    version,
    services: bundle.services.map(service => (service.identity === WEB ? { ...service, inbound } : service)),
  });
  system.identities.held.delete(WEB);
  await system.agent.apply(placed(10), system.identities);
  assert.equal(system.agent.port('inbound/web'), 0);
  system.identities.held.set(WEB, pair);
  system.agent.identitiesChanged();
  await Promise.all([
    system.agent.apply(placed(11), system.identities),
    system.agent.apply(placed(12), system.identities),
  ]);
  assert.equal(system.agent.port('inbound/web'), port);
  assert.equal(system.agent.health().bundle, 12);
  // A bundle that opens nothing is quicker than the former one, which opens a port for the late certificate.
  system.identities.held.delete(WEB);
  await system.agent.apply({ ...bundle, version: 13 }, system.identities);
  system.identities.held.set(WEB, pair);
  system.agent.identitiesChanged();
  const { services } = placed(14);
  const revoked = { identities: [SHOP], serials: [] };
  const [, shop] = services;
  assert.ok(shop !== undefined);
  await system.agent.apply({ ...bundle, version: 14, revoked, services: [shop] }, system.identities);
  await sleep(100);
  assert.equal(system.agent.health().bundle, 14);
  assert.equal(system.agent.port('inbound/web'), 0);
  const client = await system.egress();
  assert.equal(reasonOf((await client.get('/')).body), 'caller-revoked');
  client.close();
});

test('egress reaches its origin and no other, whatever the request says', async t => {
  const { system, backend } = await setUp(t);
  const elsewhere = await startBackend(c => c.answer(OK));
  t.after(() => elsewhere.close());
  const client = await system.egress();
  client.send(
    `GET http://127.0.0.1:${elsewhere.address.port}/x HTTP/1.1\r\nhost: 127.0.0.1:${elsewhere.address.port}\r\n\r\n`,
  );
  assert.equal((await client.answer()).status, 200);
  assert.equal(elsewhere.seen.length, 0);
  assert.equal(backend.seen[0]?.fields['host'], `127.0.0.1:${backend.address.port}`);
  client.close();
});

test('egress in plaintext beyond loopback is no bundle', async t => {
  const { system } = await setUp(t);
  const bundle = system.agentBundle();
  const shop = bundle.services[1]!;
  const egress = [{ ...shop.egress[0]!, origin: 'http://bank.example' }];
  await assert.rejects(
    system.agent.apply({ ...bundle, services: [{ ...shop, egress }] }, system.identities),
    { code: 'bad-origin' },
  );
});

test('TCP: bytes go both ways over mTLS after the peer is authorized, and are counted in one record', async t => {
  const { system, journal } = await setUp(t, { protocol: 'tcp', shopCalls: [CONNECT], calls: [] });
  const client = await system.outbound();
  client.send('GET / HTTP/1.1\r\n\r\n');
  await client.until('ok');
  client.socket.end();
  await client.rest();
  for (const direction of ['inbound', 'outbound']) {
    const record = await journal.find(r => r.direction === direction);
    assert.deepEqual(
      [record.method, record.rule, record.bytesIn, record.bytesOut],
      ['connect', CONNECT.rule, 18, OK.length],
    );
  }
});

test('TCP: who may not connect is closed, and what is open is cut by a revocation', async t => {
  const { system, backend, journal } = await setUp(t, {
    protocol: 'tcp',
    shopCalls: [CONNECT],
    calls: [],
    record: 'durable',
  });
  const stranger = await system.inside(STRANGER);
  await stranger.rest();
  await journal.find(r => r.reason === 'no-such-call' && r.caller === STRANGER);
  assert.equal(backend.connections(), 0);
  const client = await system.outbound();
  client.send('GET / HTTP/1.1\r\n\r\n');
  await client.until('ok');
  assert.equal(journal.records.filter(r => r.detail === 'opened').length, 2);
  await system.applyAgent({ revoked: { identities: [SHOP], serials: [] } });
  await client.rest();
});

test('TCP: a call that leaves the model is cut while it is open', async t => {
  const { system } = await setUp(t, { protocol: 'tcp', shopCalls: [CONNECT], calls: [] });
  const client = await system.outbound();
  client.send('GET / HTTP/1.1\r\n\r\n');
  await client.until('ok');
  await system.applyAgent({}, { callers: [] });
  await client.rest();
});

// ---- revocations and certificates that change while something is under way

/** Who answers as `web` with this certificate, in place of its agent. */
async function startWeb(t: TestContext, system: LabSystem, pair: SvidKeyPair) {
  let connections = 0;
  let requests = 0;
  const tls = createTlsServer({
    cert: pair.certificateChainPem,
    key: pair.privateKeyPem,
    ca: [...system.authority.trustAnchors],
    requestCert: true,
    ALPNProtocols: ['http/1.1'],
  });
  tls.on('tlsClientError', () => {});
  tls.on('secureConnection', socket => {
    connections++;
    socket.on('error', () => {});
    socket.on('data', () => {
      requests++;
      socket.write(OK);
    });
  });
  const arrived = Promise.withResolvers<void>();
  let gate = Promise.resolve();
  const front = createTcpServer(socket => {
    socket.on('error', () => {});
    arrived.resolve();
    void gate.then(() => tls.emit('connection', socket));
  });
  await new Promise<void>(resolve => front.listen(0, '127.0.0.1', resolve));
  t.after(() => front.close());
  const address = { host: '127.0.0.1', port: (front.address() as AddressInfo).port };
  const apply = async (changes: Partial<AgentBundle> = {}) => {
    const bundle = system.agentBundle(changes);
    const services = bundle.services.map(service => ({
      ...service,
      outbound: service.outbound.map(target => ({ ...target, to: { ...target.to, address } })),
    }));
    await system.agent.apply({ ...bundle, services }, system.identities);
  };
  return {
    apply,
    arrived: arrived.promise,
    /** Lets handshakes wait; returns what lets them go on. */
    hold: () => {
      const held = Promise.withResolvers<void>();
      gate = held.promise;
      return held.resolve;
    },
    connections: () => connections,
    requests: () => requests,
  };
}

test('a certificate that is revoked while the handshake with it is under way is not accepted', async t => {
  const { system } = await setUp(t);
  const pair = await system.authority.identity(WEB);
  const web = await startWeb(t, system, pair);
  await web.apply();
  const goOn = web.hold();
  const client = await system.outbound();
  client.send('GET /items/1 HTTP/1.1\r\nhost: web\r\n\r\n');
  await web.arrived;
  await web.apply({ revoked: { identities: [], serials: [pair.serial] } });
  goOn();
  const answer = await client.answer();
  assert.equal(answer.status, 502);
  assert.equal(reasonOf(answer.body), 'upstream-unverified');
  assert.equal(web.requests(), 0);
  // The control: it was the revocation.
  await web.apply();
  assert.equal((await client.get('/items/1')).status, 200);
  client.close();
});

test('a connection to a callee is not kept beyond the certificate of the callee', async t => {
  const { system } = await setUp(t);
  const nowMs = Date.now();
  const soon = { kind: 'between', notBeforeMs: nowMs - 5_000, notAfterMs: nowMs + 20_000 } as const;
  for (const [pair, connections] of [
    [await system.authority.identity(WEB, soon), 2],
    [await system.authority.identity(WEB), 1],
  ] as const) {
    const web = await startWeb(t, system, pair);
    await web.apply();
    const client = await system.outbound();
    assert.equal((await client.get('/items/1')).status, 200);
    assert.equal((await client.get('/items/2')).status, 200);
    assert.equal(web.connections(), connections);
    client.close();
  }
});

/** A bundle that cannot be put in force, for one of its ports is taken. */
async function unavailable(t: TestContext, system: LabSystem, revoked: AgentBundle['revoked']) {
  const squatter = createTcpServer();
  await new Promise<void>(resolve => squatter.listen(0, '127.0.0.1', resolve));
  t.after(() => squatter.close());
  const bundle = system.agentBundle({ revoked });
  const port = (squatter.address() as AddressInfo).port;
  const fresh = {
    ...bundle.services[0]!,
    name: 'fresh',
    identity: SHOP,
    inbound: { host: '127.0.0.1', port },
  };
  return { ...bundle, services: [...bundle.services, fresh] };
}

test('a bundle that cannot be put in force revokes all the same, until one is that does not', async t => {
  const { system, backend, journal } = await setUp(t);
  const [inside, outbound, egress] = [
    await system.inside(SHOP),
    await system.outbound(),
    await system.egress(),
  ];
  for (const client of [inside, outbound, egress]) assert.equal((await client.get('/items/1')).status, 200);
  const inForce = system.agent.health().bundle;
  const bundle = await unavailable(t, system, { identities: [SHOP], serials: [] });
  await assert.rejects(system.agent.apply(bundle, system.identities), { code: 'EADDRINUSE' });
  assert.equal(system.agent.health().bundle, inForce);
  for (const client of [inside, outbound, egress]) await client.rest();
  await assert.rejects(async () => (await system.inside(SHOP)).get('/items/1'));
  assert.equal((await journal.find(r => r.reason === 'caller-revoked')).direction, 'inbound');
  for (const again of [await system.outbound(), await system.egress()]) {
    const answer = await again.get('/items/1');
    assert.equal(reasonOf(answer.body), 'caller-revoked');
    again.close();
  }
  assert.equal(backend.seen.length, 3);
  // Nor does a late certificate, by which the former bundle is applied anew, take it back.
  const pair = system.identities.current(WEB)!;
  system.identities.held.delete(WEB);
  await system.applyAgent();
  await assert.rejects(
    system.agent.apply(await unavailable(t, system, { identities: [SHOP], serials: [] }), system.identities),
  );
  system.identities.held.set(WEB, pair);
  system.agent.identitiesChanged();
  while (system.agent.port('inbound/web') === 0) await sleep(10);
  await assert.rejects(async () => (await system.inside(SHOP)).get('/items/1'));
  await system.applyAgent();
  const back = await system.inside(SHOP);
  assert.equal((await back.get('/items/1')).status, 200);
  back.close();
});

test('a callee that a bundle revokes which cannot be put in force is not called any more', async t => {
  const { system, backend } = await setUp(t);
  const bundle = await unavailable(t, system, { identities: [WEB], serials: [] });
  await assert.rejects(system.agent.apply(bundle, system.identities));
  const client = await system.outbound();
  assert.equal(reasonOf((await client.get('/items/1')).body), 'callee-revoked');
  assert.equal(backend.seen.length, 0);
  client.close();
});

test('TCP: a bundle that cannot be put in force cuts what it revokes, and it does not come back', async t => {
  const { system, backend, journal } = await setUp(t, { protocol: 'tcp', shopCalls: [CONNECT], calls: [] });
  const client = await system.outbound();
  client.send('GET / HTTP/1.1\r\n\r\n');
  await client.until('ok');
  const bundle = await unavailable(t, system, { identities: [SHOP], serials: [] });
  await assert.rejects(system.agent.apply(bundle, system.identities));
  await client.rest();
  const again = await system.outbound();
  await again.rest();
  await journal.find(r => r.reason === 'caller-revoked' && r.direction === 'outbound');
  assert.equal(backend.connections(), 1);
});

test('TCP: a revoked serial cuts the connections to its holder', async t => {
  const { system } = await setUp(t, { protocol: 'tcp', shopCalls: [CONNECT], calls: [] });
  const client = await system.outbound();
  client.send('GET / HTTP/1.1\r\n\r\n');
  await client.until('ok');
  const serial = system.identities.current(WEB)?.serial ?? '';
  system.identities.held.set(WEB, await system.authority.identity(WEB));
  await system.applyAgent({ revoked: { identities: [], serials: [serial] } });
  await client.rest();
  // The control: the service itself is not revoked.
  const again = await system.outbound();
  again.send('GET / HTTP/1.1\r\n\r\n');
  await again.until('ok');
  again.close();
});

for (const whose of [SHOP, WEB]) {
  const end = whose === SHOP ? 'caller' : 'callee';
  test(`TCP: a connection ends with the certificate of its ${end}`, async t => {
    const { system, journal } = await setUp(t, { protocol: 'tcp', shopCalls: [CONNECT], calls: [] });
    const nowMs = Date.now();
    const soon = { kind: 'between', notBeforeMs: nowMs - 5_000, notAfterMs: nowMs + 2_000 } as const;
    const pair = await system.authority.identity(whose, soon);
    system.identities.held.set(whose, pair);
    await system.applyAgent();
    const client = await system.outbound();
    // Never idle: it is the certificate that ends it.
    const busy = setInterval(() => client.send('GET / HTTP/1.1\r\n\r\n'), 50);
    t.after(() => clearInterval(busy));
    await client.until('ok');
    const closed = new Promise<void>(resolve => client.socket.once('close', resolve));
    await Promise.race([closed, sleep(5_000, undefined, { ref: false })]);
    assert.ok(client.ended);
    assert.ok(Date.now() >= pair.notAfterMs);
    const expired = await journal.find(r => r.detail === 'the certificate of the peer has expired');
    assert.equal(expired.direction, whose === SHOP ? 'inbound' : 'outbound');
  });
}

test('a flood of refused handshakes is counted in full, and recorded once a second', async t => {
  const { system, journal } = await setUp(t);
  const port = system.agent.port('inbound/web');
  for (let i = 0; i < 50; i++) {
    const plain = await RawClient.tcp(port);
    plain.send('GET /items/1 HTTP/1.1\r\nhost: web\r\n\r\n');
    await plain.rest();
  }
  const more = await journal.find(r => r.detail.endsWith(' more within the second'));
  assert.equal(more.reason, 'plaintext-refused');
  assert.ok(journal.records.filter(r => r.reason === 'plaintext-refused').length <= 4);
  const metrics = await fetch(`http://127.0.0.1:${system.agent.adminPort}/metrics`);
  assert.match(await metrics.text(), /^ringwall_transactions_total\{.*reason="plaintext-refused".*\} 50$/m);
});
