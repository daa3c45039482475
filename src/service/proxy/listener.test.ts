import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { LabAuthority, RawClient, SHOP, WEB } from '#service/lab';
import { Listener, type Held, type ListenerOptions } from './listener.ts';
import { listen, openListener, until } from './proxy-lab.ts';

const authority = await LabAuthority.open('lab.test');
const [web, shop] = [await authority.identity(WEB), await authority.identity(SHOP)];
const ca = [...authority.trustAnchors];
const context = { cert: web.certificateChainPem, key: web.privateKeyPem, ca };
const mtls = { kind: 'mtls', context, trustDomain: 'lab.test' } as const;
const asShop: ConnectionOptions = {
  ca,
  cert: shop.certificateChainPem,
  key: shop.privateKeyPem,
  checkServerIdentity: () => undefined,
};

/** The beginning of a handshake, as it goes over the wire. */
async function clientHello(t: TestContext): Promise<Buffer> {
  const heard = Promise.withResolvers<Buffer>();
  const port = await listen(t, socket => socket.once('data', heard.resolve));
  const client = connectTls({ host: '127.0.0.1', port, ...asShop });
  client.on('error', () => {});
  const hello = await heard.promise;
  client.destroy();
  return hello;
}

/** Notes what becomes of the connections that it holds. */
function holding(told: string[]): ListenerOptions['accept'] {
  return ({ socket }): Held => {
    const { promise, resolve } = Promise.withResolvers<void>();
    socket.on('error', () => {});
    socket.on('close', resolve);
    return { drain: () => void told.push('drain'), cut: () => void socket.destroy(), closed: promise };
  };
}

// ---- how many

test('above the bound for one address a connection is closed before any handshake, and told of', async t => {
  const { listener, arrivals, refusals } = await openListener(t, {
    security: mtls,
    settings: { maxConnectionsPerAddress: 2 },
  });
  const held = [await RawClient.tls(listener.port, asShop), await RawClient.tls(listener.port, asShop)];
  const third = (await RawClient.tcp(listener.port)).send(await clientHello(t));
  assert.equal(await third.rest(), '');
  await assert.rejects(RawClient.tls(listener.port, asShop));
  assert.deepEqual(refusals, Array(2).fill('rate-limited | too many connections of one address | 127.0.0.1'));
  assert.equal(arrivals.length, 2);
  // Who leaves makes room.
  held[0]?.close();
  await until(() => listener.size === 1);
  held.push(await RawClient.tls(listener.port, asShop));
  await until(() => arrivals.length === 3);
  for (const client of held) client.close();
});

test('handshakes that are under way count, too', async t => {
  const { listener, refusals } = await openListener(t, {
    security: mtls,
    settings: { maxConnectionsPerAddress: 1 },
  });
  const silent = await RawClient.tcp(listener.port);
  await until(() => listener.size === 1);
  await assert.rejects(RawClient.tls(listener.port, asShop));
  assert.equal(refusals.length, 1);
  silent.close();
});

test('above the bound for all a connection is closed before any handshake, and told of', async t => {
  const { listener, arrivals, refusals } = await openListener(t, {
    security: mtls,
    settings: { maxConnections: 1 },
  });
  const first = await RawClient.tls(listener.port, asShop);
  const second = (await RawClient.tcp(listener.port)).send(await clientHello(t));
  assert.equal(await second.rest(), '');
  assert.deepEqual(refusals, ['overloaded | too many connections | 127.0.0.1']);
  first.close();
  await until(() => listener.size === 0);
  const third = await RawClient.tls(listener.port, asShop);
  await until(() => arrivals.length === 2);
  third.close();
});

// ---- handshakes that do not end

for (const [what, begin] of [
  ['sends nothing', () => Buffer.alloc(0)],
  ['sends half a handshake', (hello: Buffer) => hello.subarray(0, 50)],
] as const) {
  test(`a caller that ${what} is closed when the time for handshakes is over, and told of`, async t => {
    const { listener, arrivals, refusals } = await openListener(t, {
      security: mtls,
      settings: { handshakeTimeoutMs: 100 },
    });
    const client = (await RawClient.tcp(listener.port)).send(begin(await clientHello(t)));
    assert.equal(await client.rest(), '');
    assert.deepEqual(refusals, ['peer-unverified | ERR_TLS_HANDSHAKE_TIMEOUT | 127.0.0.1']);
    await until(() => listener.size === 0);
    // The control: a handshake that ends is in time.
    const other = await RawClient.tls(listener.port, asShop);
    await until(() => arrivals.length === 1);
    await sleep(150);
    assert.equal(other.ended, false);
    other.close();
  });
}

test('a handshake that trickles in has one time for all of it', async t => {
  const { listener, refusals } = await openListener(t, {
    security: mtls,
    settings: { handshakeTimeoutMs: 150 },
  });
  const hello = await clientHello(t);
  const client = await RawClient.tcp(listener.port);
  let at = 0;
  const trickle = setInterval(() => client.send(hello.subarray(at, ++at)), 20);
  t.after(() => clearInterval(trickle));
  await client.rest();
  assert.ok(at < 50, `${at} bytes`);
  assert.equal(refusals.length, 1);
});

// ---- who is let in, and for what

test('before its bundle is in force a listener lets nobody in, and nobody is told of', async t => {
  const { options, arrivals, refusals } = await openListener(t);
  const listener = new Listener(options);
  t.after(() => listener.close());
  await listener.listen();
  assert.equal(await (await RawClient.tcp(listener.port)).rest(), '');
  assert.deepEqual(refusals, []);
  listener.open(options);
  const client = await RawClient.tcp(listener.port);
  await until(() => arrivals.length === 1);
  client.close();
});

for (const [what, before, after] of [
  ['its purpose', { security: mtls }, { purpose: 'inbound/other' }],
  ['what it asks of connections', { security: { kind: 'plaintext' } }, { security: mtls }],
] as const) {
  test(`when an address changes ${what}, the connections of before are drained`, async t => {
    const told: string[] = [];
    const { listener, options } = await openListener(t, { ...before, accept: holding(told) });
    const client =
      before.security.kind === 'mtls'
        ? await RawClient.tls(listener.port, asShop)
        : await RawClient.tcp(listener.port);
    await until(() => listener.size === 1);
    await sleep(20);
    // The control: the same once more changes nothing.
    listener.open({ ...options });
    assert.deepEqual(told, []);
    listener.open({ ...options, ...after });
    assert.deepEqual(told, ['drain']);
    client.close();
  });
}

/** Begins a handshake of `asShop`, and holds back what the client says after its first words. */
async function beginHandshake(t: TestContext, port: number, holdFrom: 'hello' | 'certificate') {
  const held = Promise.withResolvers<() => void>();
  const front = await listen(t, client => {
    const back = connect({ host: '127.0.0.1', port });
    back.on('error', () => {});
    back.pipe(client);
    back.on('close', () => client.destroy());
    const hold = () => {
      client.pause();
      held.resolve(() => void client.pipe(back));
    };
    if (holdFrom === 'hello') hold();
    else {
      client.once('data', (hello: Buffer) => {
        back.write(hello);
        hold();
      });
    }
  });
  const client = connectTls({ host: '127.0.0.1', port: front, ...asShop });
  client.on('error', () => {});
  const closed = new Promise(resolve => client.once('close', resolve));
  t.after(() => client.destroy());
  const release = await held.promise;
  await sleep(30);
  return { release, closed };
}

const evil = await LabAuthority.open('evil.test');
for (const holdFrom of ['hello', 'certificate'] as const) {
  for (const [what, after, isLetIn] of [
    ['for another purpose', { purpose: 'inbound/other' }, false],
    ['for another purpose in plaintext', { purpose: 'outbound/web', security: { kind: 'plaintext' } }, false],
    [
      'for another purpose, open to everybody',
      { purpose: 'edge', security: { kind: 'tls', context } },
      false,
    ],
    ['for another trust domain', { security: { ...mtls, trustDomain: evil.trustDomain } }, false],
    ['for the same purpose', {}, true],
  ] as const) {
    test(`a handshake that ends after the address is ${what} (held before its ${holdFrom}) is ${isLetIn ? '' : 'not '}let in`, async t => {
      const { listener, options, arrivals } = await openListener(t, { security: mtls });
      const { release, closed } = await beginHandshake(t, listener.port, holdFrom);
      await until(() => listener.size === 1);
      listener.open({ ...options, ...after });
      release();
      if (isLetIn) {
        await until(() => arrivals.length === 1);
        assert.equal(arrivals[0]?.peer?.identity, SHOP);
      } else {
        await closed;
        await until(() => listener.size === 0);
        assert.equal(arrivals.length, 0);
      }
    });
  }
}
