import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { httpCall, RawClient, SHOP } from '#service/lab';
import { callElsewhere, CONNECT, reasonOf, setUp, setUpTcp } from './agent-lab.ts';

/** Takes connections, and neither reads nor says anything. */
async function startMute(t: TestContext) {
  const sockets: Socket[] = [];
  const server = createServer({ pauseOnConnect: true }, socket => {
    socket.on('error', () => {});
    sockets.push(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port }, sockets };
}

test('a callee that takes connections and never ends its handshake: 504 after the time for connecting', async t => {
  const { system, journal } = await setUp(t, {
    settings: { connectTimeoutMs: 150, answerTimeoutMs: 60_000 },
  });
  const { address, sockets } = await startMute(t);
  await callElsewhere(system, address);
  const client = await system.outbound();
  const answer = await client.get('/items/1');
  assert.equal(answer.status, 504);
  assert.equal(reasonOf(answer.body), 'upstream-timeout');
  const record = await journal.find(r => r.reason === 'upstream-timeout');
  assert.deepEqual([record.direction, record.detail], ['outbound', 'no connection in time']);
  assert.equal(sockets.length, 1);
  // Another request is another attempt, and not behind the one that failed.
  assert.equal((await client.get('/items/1')).status, 504);
  assert.equal(sockets.length, 2);
  client.close();
});

test('TCP: a callee that never ends its handshake: the caller is closed after the time for connecting', async t => {
  const { system, journal } = await setUpTcp(t, { settings: { connectTimeoutMs: 150 } });
  const { address } = await startMute(t);
  await callElsewhere(system, address);
  const client = await system.outbound();
  client.send('SELECT 1');
  assert.equal(await client.rest(), '');
  const record = await journal.find(r => r.reason === 'upstream-timeout');
  assert.deepEqual(
    [record.direction, record.method, record.rule, record.bytesIn],
    ['outbound', 'connect', CONNECT.rule, 0],
  );
});

test('a service that takes requests and never answers: 504 after the time for answers, at its own agent', async t => {
  const { system, journal } = await setUp(t, { respond: () => {}, settings: { answerTimeoutMs: 150 } });
  const client = await system.inside(SHOP);
  const answer = await client.get('/items/1', '', 'web');
  assert.equal(answer.status, 504);
  assert.equal((await journal.find(r => r.reason === 'upstream-timeout')).detail, 'no answer in time');
  client.close();
});

test('a service that does not read what it is sent: 504 once nothing moves', async t => {
  const { system, journal } = await setUp(t, {
    settings: { bodyIdleTimeoutMs: 150, answerTimeoutMs: 60_000 },
    shopCalls: [httpCall('POST', '/items/*')],
  });
  const { address } = await startMute(t);
  await system.applyAgent({}, { app: address });
  const client = await system.inside(SHOP);
  const body = Buffer.alloc(32 * 1024 * 1024);
  client.send(`POST /items/1 HTTP/1.1\r\nhost: web\r\ncontent-length: ${body.length}\r\n\r\n`).send(body);
  const record = await journal.find(r => r.reason === 'upstream-timeout');
  assert.deepEqual([record.direction, record.detail], ['inbound', 'the upstream does not read the request']);
  assert.equal((await client.answer()).status, 504);
  client.close();
});

test('a caller that connects and sends nothing is closed without a word, by mTLS and beside its service', async t => {
  const { system, journal } = await setUp(t, { settings: { headTimeoutMs: 150 } });
  for (const client of [await system.inside(SHOP), await system.outbound(), await system.egress()])
    assert.equal(await client.rest(), '');
  assert.deepEqual(journal.records, []);
});

test('a head that drips in over mTLS has one time for all of it: 408', async t => {
  const { system, journal } = await setUp(t, { settings: { headTimeoutMs: 250 } });
  const client = await system.inside(SHOP);
  const drip = setInterval(() => client.send('x'), 20);
  t.after(() => clearInterval(drip));
  client.send('GET /items/1 HTTP/1.1\r\nhost: web\r\n');
  const answer = await client.answer();
  assert.equal(answer.status, 408);
  const record = await journal.find(r => r.reason === 'request-timeout');
  assert.deepEqual([record.direction, record.decision], ['inbound', 'refused']);
  client.close();
});

test('a handshake that a caller does not end is closed, recorded and counted', async t => {
  const { system, journal } = await setUp(t, { settings: { handshakeTimeoutMs: 100 } });
  const silent = await RawClient.tcp(system.agent.port('inbound/web'));
  assert.equal(await silent.rest(), '');
  const record = await journal.find(r => r.reason === 'peer-unverified');
  assert.deepEqual([record.direction, record.detail], ['inbound', 'ERR_TLS_HANDSHAKE_TIMEOUT']);
  const metrics = await fetch(`http://127.0.0.1:${system.agent.adminPort}/metrics`);
  assert.match(
    await metrics.text(),
    /^ringwall_transactions_total\{direction="inbound",.*"peer-unverified".*\} 1$/m,
  );
});
