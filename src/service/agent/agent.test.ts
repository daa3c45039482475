import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { GATEWAY, LabAuthority, RawClient, SHOP, WEB, type LabSystem } from '#service/lab';
import { reasonOf, setUp, startWeb, STRANGER } from './agent-lab.ts';

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
    assert.equal(web.sockets.length, connections);
    client.close();
  }
});

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

test('connections above the share of their address are counted and recorded by the listener that they came to', async t => {
  const { system, journal } = await setUp(t, { settings: { maxConnectionsPerAddress: 1 } });
  const held = [await system.inside(SHOP), await system.outbound(), await system.egress()];
  await assert.rejects(system.inside(SHOP));
  for (const refused of [await system.outbound(), await system.egress()])
    assert.equal(await refused.rest(), '');
  const metrics = await (await fetch(`http://127.0.0.1:${system.agent.adminPort}/metrics`)).text();
  for (const direction of ['inbound', 'outbound', 'egress'] as const) {
    const record = await journal.find(r => r.direction === direction);
    assert.deepEqual(
      [record.reason, record.decision, record.client.address],
      ['rate-limited', 'refused', '127.0.0.1'],
    );
    assert.match(metrics, new RegExp(`_total\\{direction="${direction}".*"rate-limited".*\\} 1\n`));
  }
  for (const client of held) client.close();
});

test('a callee that speaks TLS 1.2 at best is not spoken to', async t => {
  const { system } = await setUp(t);
  const web = await startWeb(t, system, await system.authority.identity(WEB), { maxVersion: 'TLSv1.2' });
  await web.apply();
  const client = await system.outbound();
  assert.equal(reasonOf((await client.get('/items/1')).body), 'upstream-unverified');
  assert.equal(web.requests(), 0);
  client.close();
});
