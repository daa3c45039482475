import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SHOP, WEB } from '#service/lab';
import { reasonOf, setUp, startWeb, unavailable } from './agent-lab.ts';

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
