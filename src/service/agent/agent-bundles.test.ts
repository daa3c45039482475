import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import type { AgentService } from '#domain/bundle';
import { serviceIdentity } from '#domain/spiffe';
import {
  agentService,
  httpCall,
  RawClient,
  SHOP,
  WEB,
  type Conversation,
  type LabOptions,
} from '#service/lab';
import { OK, reasonOf, setUp } from './agent-lab.ts';

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

test('a service that leaves the bundle is not reachable any more', async t => {
  const { system } = await setUp(t);
  const port = system.agent.port('inbound/web');
  const bundle = system.agentBundle();
  const [, shop] = bundle.services;
  await system.agent.apply({ ...bundle, services: [{ ...shop!, outbound: [] }] }, system.identities);
  for (const purpose of ['inbound/web', 'outbound/shop/web']) assert.equal(system.agent.port(purpose), 0);
  await assert.rejects(system.outbound());
  await assert.rejects(RawClient.tcp(port), { code: 'ECONNREFUSED' });
});

// ---- an address that changes its purpose

const OTHER = serviceIdentity('lab.test', 'default', 'other');

/** The address at which `web` is served; `hand` gives it to `other`, whose callers have other calls. */
async function setUpHandOver(t: TestContext, respond?: LabOptions['respond']) {
  const { system, backend, journal } = await setUp(t, respond === undefined ? {} : { respond });
  system.identities.held.set(OTHER, await system.authority.identity(OTHER));
  const inbound = { host: '127.0.0.1', port: await freePort() };
  const serve = async (service: AgentService) => {
    const bundle = system.agentBundle();
    await system.agent.apply({ ...bundle, services: [{ ...service, inbound }] }, system.identities);
  };
  await serve(system.agentBundle().services[0]!);
  const callers = [{ identity: SHOP, service: 'shop', calls: [httpCall('GET', '/other')] }];
  const hand = () => serve(agentService({ name: 'other', app: backend.address, callers }));
  const pair = system.identities.current(SHOP)!;
  const connect = () =>
    RawClient.tls(inbound.port, {
      ca: [...system.authority.trustAnchors],
      cert: pair.certificateChainPem,
      key: pair.privateKeyPem,
      checkServerIdentity: () => undefined,
    });
  return { system, backend, journal, hand, connect, inbound };
}

test('an address that changes its purpose: connections of the former one end, and new ones meet the new one', async t => {
  const { hand, connect, backend } = await setUpHandOver(t);
  const idle = await connect();
  assert.equal((await idle.get('/items/1', '', 'web')).status, 200);
  await hand();
  assert.equal(await idle.rest(), '');
  const client = await connect();
  const certificate = (client.socket as TLSSocket).getPeerX509Certificate();
  assert.equal(certificate?.subjectAltName, `URI:${OTHER}`);
  assert.equal((await client.get('/items/1', '', 'other')).status, 403);
  assert.equal((await client.get('/other', '', 'other')).status, 200);
  assert.deepEqual(
    backend.seen.map(({ target }) => target),
    ['/items/1', '/other'],
  );
  client.close();
});

test('an address that changes its purpose: what is in flight ends, and what follows on its connection is not served', async t => {
  const held: Conversation[] = [];
  const { hand, connect, backend } = await setUpHandOver(t, c => void held.push(c));
  const client = await connect();
  client.send('GET /items/1 HTTP/1.1\r\nhost: web\r\n\r\nGET /items/2 HTTP/1.1\r\nhost: web\r\n\r\n');
  while (held.length === 0) await sleep(5);
  await hand();
  held[0]?.answer(OK);
  const answer = await client.answer();
  assert.equal(answer.status, 200);
  assert.equal(answer.fields['connection'], 'close');
  assert.equal(await client.rest(), '');
  assert.equal(backend.seen.length, 1);
});

test('an address that changes its purpose: a request that was half there is decided on by neither: 503', async t => {
  const { hand, connect, backend, journal } = await setUpHandOver(t);
  const client = await connect();
  client.send('GET /items/1 HTTP/1.1\r\nhost: web\r\n');
  await sleep(50);
  await hand();
  client.send('\r\n');
  const answer = await client.answer();
  assert.equal(answer.status, 503);
  assert.equal(reasonOf(answer.body), 'draining');
  await client.rest();
  assert.equal((await journal.find(r => r.reason === 'draining')).decision, 'failed');
  assert.equal(backend.seen.length, 0);
});

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

// ---- certificates that come late

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
