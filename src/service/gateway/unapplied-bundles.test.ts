import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { edgeRoute, LabSystem, WEB } from '#service/lab';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

async function setUp(t: TestContext) {
  const routes = [edgeRoute({ path: '/', to: 'web' })];
  const system = await LabSystem.start({ respond: c => c.answer(OK), routes });
  t.after(() => system.close());
  const client = await system.outside();
  t.after(() => client.close());
  /** A bundle that cannot be put in force: its address is taken. */
  const applyInVain = async (revoked: { readonly identities: string[]; readonly serials: string[] }) => {
    const before = system.gateway.health().bundle;
    const listen = { host: '127.0.0.1', port: system.backend.address.port };
    await assert.rejects(system.applyGateway({ listen, revoked }), { code: 'EADDRINUSE' });
    assert.equal(system.gateway.health().bundle, before);
  };
  return { system, client, applyInVain };
}

const reasonOf = (body: string) => (JSON.parse(body) as { reason: string }).reason;

test('a callee that a bundle revokes which cannot be put in force: 503, on every connection, until one takes it back', async t => {
  const { system, client, applyInVain } = await setUp(t);
  const { backend, journal } = system;
  assert.equal((await client.get('/')).status, 200);
  await applyInVain({ identities: [WEB], serials: [] });
  for (const caller of [client, await system.outside()]) {
    const answer = await caller.get('/');
    assert.equal(answer.status, 503);
    assert.equal(reasonOf(answer.body), 'callee-revoked');
  }
  const record = await journal.find(({ reason }) => reason === 'callee-revoked');
  assert.deepEqual([record.direction, record.callee, record.status], ['edge', WEB, 503]);
  assert.equal(backend.seen.length, 1);
  await applyInVain({ identities: [], serials: [] });
  assert.equal((await client.get('/')).status, 503);
  await system.applyGateway();
  assert.equal((await client.get('/')).status, 200);
});

for (const [why, code, spoil] of [
  ['has no certificate for the edge', 'no-edge-certificate', 'certificate'],
  ['declares an issuer twice', 'duplicate-issuer', 'issuers'],
] as const) {
  test(`a bundle that ${why} is not put in force, and revokes all the same`, async t => {
    const { system, client } = await setUp(t);
    if (spoil === 'certificate') system.identities.held.delete('edge');
    const { bundleIssuer } = system.issuer;
    const issuers = spoil === 'issuers' ? [bundleIssuer, { ...bundleIssuer, name: 'again' }] : [bundleIssuer];
    const revoked = { identities: [WEB], serials: [] };
    await assert.rejects(system.applyGateway({ issuers, revoked }), { code });
    assert.equal(reasonOf((await client.get('/')).body), 'callee-revoked');
  });
}

test('the certificate that such a bundle revokes is not called any more, and a new one of its service is', async t => {
  const { system, client, applyInVain } = await setUp(t);
  assert.equal((await client.get('/')).status, 200);
  await applyInVain({ identities: [], serials: [system.identities.current(WEB)?.serial ?? ''] });
  const answer = await client.get('/');
  assert.equal(answer.status, 502);
  assert.equal(reasonOf(answer.body), 'upstream-unverified');
  assert.equal(system.backend.seen.length, 1);
  system.identities.held.set(WEB, await system.authority.identity(WEB));
  system.agent.identitiesChanged();
  assert.equal((await client.get('/')).status, 200);
});
