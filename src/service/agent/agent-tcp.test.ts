import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FakeClock } from '#base/clock';
import { SHOP, WEB } from '#service/lab';
import {
  CONNECT,
  OK,
  receivedUntilClosed,
  setUpTcp,
  STRANGER,
  unavailable,
  untilStuck,
} from './agent-lab.ts';

test('TCP: bytes go both ways over mTLS after the peer is authorized, and are counted in one record', async t => {
  const { system, journal } = await setUpTcp(t);
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
  const { system, backend, journal } = await setUpTcp(t, { record: 'durable' });
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
  const { system } = await setUpTcp(t);
  const client = await system.outbound();
  client.send('GET / HTTP/1.1\r\n\r\n');
  await client.until('ok');
  await system.applyAgent({}, { callers: [] });
  await client.rest();
});

test('TCP: a bundle that cannot be put in force cuts what it revokes, and it does not come back', async t => {
  const { system, backend, journal } = await setUpTcp(t);
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
  const { system } = await setUpTcp(t);
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
    const { system, journal } = await setUpTcp(t);
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

for (const whose of ['the caller', 'the callee'] as const) {
  test(`TCP: what was on its way as ${whose} is revoked arrives nowhere, though it is read afterwards`, async t => {
    const lots = Buffer.alloc(48 * 1024 * 1024, 'x');
    const { system, backend } = await setUpTcp(t, { respond: c => c.answer(OK) });
    const client = await system.outbound();
    client.send('GET / HTTP/1.1\r\n\r\n');
    await client.until('ok');
    const callee = backend.open()[0]!;
    const [from, to] = whose === 'the caller' ? [callee, client.socket] : [client.socket, callee];
    to.pause();
    from.write(lots);
    await untilStuck(() => from.bytesWritten - from.writableLength);
    const identity = whose === 'the caller' ? SHOP : WEB;
    await system.applyAgent({ revoked: { identities: [identity], serials: [] } });
    await sleep(20);
    const bytes = await receivedUntilClosed(to);
    // What the kernel of the one end had received; at each of the three hops some megabytes waited.
    assert.ok(bytes < 1024 * 1024, `${bytes} bytes`);
  });
}

test('TCP: when the wall clock is set forward beyond a certificate, its connection ends', async t => {
  const clock = new FakeClock(Date.now());
  const { system, journal } = await setUpTcp(t, { clock });
  const client = await system.outbound();
  client.send('GET / HTTP/1.1\r\n\r\n');
  await client.until('ok');
  const notAfterMs = Math.max(...[SHOP, WEB].map(name => system.identities.current(name)?.notAfterMs ?? 0));
  clock.jump(notAfterMs - 60_000);
  await sleep(250);
  assert.equal(client.ended, false);
  clock.jump(notAfterMs + 1_000);
  await client.rest();
  await journal.find(r => r.detail === 'the certificate of the peer has expired');
});
