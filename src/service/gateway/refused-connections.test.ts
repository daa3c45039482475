import assert from 'node:assert/strict';
import { connect as connectTls } from 'node:tls';
import { test, type TestContext } from 'node:test';
import { FakeClock } from '#base/clock';
import { edgeRoute, LabSystem, RawClient } from '#service/lab';
import type { ProxySettings } from '#service/proxy';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** Time stands still, but for what the test lets pass. */
async function setUp(t: TestContext, settings: Partial<ProxySettings>) {
  const clock = new FakeClock(Date.now());
  const system = await LabSystem.start({
    respond: c => c.answer(OK),
    routes: [edgeRoute({ path: '/', to: 'web' })],
    settings,
    clock,
  });
  t.after(() => system.close());
  /** `detail` of what was recorded of the edge, by reason and address. */
  const recorded = () =>
    system.journal.records
      .filter(({ direction }) => direction === 'edge')
      .map(({ reason, detail, client }) => [reason, client.address, detail].join(' | '))
      .sort();
  const counted = async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${system.gateway.adminPort}/metrics`)).text();
    return metrics
      .split('\n')
      .filter(line => line.startsWith('ringwall_transactions_total{direction="edge"'));
  };
  const from = (localAddress: string) => {
    const options = { servername: 'shop.test', localAddress };
    return system.outside(options);
  };
  /** One after the other: the records tell how many there were, and not in which order. */
  const refusedFrom = async (localAddress: string, times: number) => {
    for (let i = 0; i < times; i++) await assert.rejects(from(localAddress));
  };
  return { system, clock, recorded, counted, from, refusedFrom };
}

const counter = (decision: string, reason: string, count: number) =>
  `ringwall_transactions_total{direction="edge",service="",decision="${decision}",reason="${reason}",status="none"} ${count}`;

test('connections above the share of their address: counted each, recorded once a second and address', async t => {
  const { system, clock, recorded, counted, from, refusedFrom } = await setUp(t, {
    maxConnectionsPerAddress: 1,
  });
  const held = [await from('127.0.0.1'), await from('127.0.0.2')];
  await refusedFrom('127.0.0.1', 5);
  await refusedFrom('127.0.0.2', 2);
  const why = 'too many connections of one address';
  const first = [`rate-limited | 127.0.0.1 | ${why}`, `rate-limited | 127.0.0.2 | ${why}`];
  assert.deepEqual(recorded(), first);
  clock.advance(1_000);
  await system.journal.find(({ detail }) => detail.endsWith('3 more within the second'));
  assert.deepEqual(recorded(), [first[0], `${first[0]}, and 3 more within the second`, first[1], first[1]]);
  assert.deepEqual(await counted(), [counter('refused', 'rate-limited', 7)]);
  // Those that were let in are none the worse.
  for (const client of held) {
    assert.equal((await client.get('/')).status, 200);
    client.close();
  }
});

test('connections above what the point takes: counted each, recorded once a second and address', async t => {
  const { system, clock, recorded, counted, from, refusedFrom } = await setUp(t, { maxConnections: 1 });
  const held = await from('127.0.0.1');
  await refusedFrom('127.0.0.1', 1);
  await refusedFrom('127.0.0.2', 4);
  const why = 'too many connections';
  const first = [`overloaded | 127.0.0.1 | ${why}`, `overloaded | 127.0.0.2 | ${why}`];
  assert.deepEqual(recorded(), first);
  clock.advance(1_000);
  await system.journal.find(({ detail }) => detail.endsWith('2 more within the second'));
  assert.deepEqual(recorded(), [...first, `overloaded | 127.0.0.2 | ${why}, and 2 more within the second`]);
  assert.deepEqual(await counted(), [counter('failed', 'overloaded', 5)]);
  held.close();
});

test('handshakes that fail at the edge are counted by their reasons', async t => {
  const { system, recorded, counted } = await setUp(t, {});
  for (let i = 0; i < 3; i++) {
    const plain = await RawClient.tcp(system.gateway.port);
    plain.send('GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n');
    await plain.rest();
  }
  for (let i = 0; i < 2; i++) {
    const old = connectTls({
      host: '127.0.0.1',
      port: system.gateway.port,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL@SECLEVEL=0',
      rejectUnauthorized: false,
    });
    await new Promise(resolve => old.once('error', resolve));
  }
  await system.journal.find(({ reason }) => reason === 'peer-unverified');
  assert.deepEqual((await counted()).sort(), [
    counter('refused', 'peer-unverified', 2),
    counter('refused', 'plaintext-refused', 3),
  ]);
  assert.equal(recorded().length, 2);
});

test('a handshake that does not end is closed, recorded and counted', async t => {
  const { system, clock, recorded, counted } = await setUp(t, { handshakeTimeoutMs: 100 });
  const silent = await RawClient.tcp(system.gateway.port);
  assert.equal(await silent.rest(), '');
  clock.advance(1_000);
  assert.deepEqual(recorded(), ['peer-unverified | 127.0.0.1 | ERR_TLS_HANDSHAKE_TIMEOUT']);
  assert.deepEqual(await counted(), [counter('refused', 'peer-unverified', 1)]);
});
