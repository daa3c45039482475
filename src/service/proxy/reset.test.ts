import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { LabAuthority, SHOP, WEB } from '#service/lab';
import { callingContext, dialMutualTls, dialPlaintext } from './dial.ts';
import type { Arrival } from './listener.ts';
import { listen, openListener, until } from './proxy-lab.ts';
import { reset } from './reset.ts';

const LOTS = Buffer.alloc(32 * 1024 * 1024, 'x');
const HOST = '127.0.0.1';

/** Our end of a connection, and a peer that does not read what we send it. */
type Ends = { readonly ours: Pick<Arrival, 'socket'>; readonly peer: Socket };

async function keys() {
  const authority = await LabAuthority.open('lab.test');
  const [web, shop] = [await authority.identity(WEB), await authority.identity(SHOP)];
  const ca = [...authority.trustAnchors];
  return { ca, web, shop, context: { cert: web.certificateChainPem, key: web.privateKeyPem, ca } };
}

/** A caller that came to a listener of ours. */
async function arrive(t: TestContext, kind: 'plaintext' | 'mtls'): Promise<Ends> {
  const { ca, shop, context } = await keys();
  const { listener, arrivals } = await openListener(t, {
    security: kind === 'plaintext' ? { kind } : { kind, context, trustDomain: 'lab.test' },
  });
  const carrier = connect({ host: HOST, port: listener.port });
  const peer =
    kind === 'plaintext'
      ? carrier
      : connectTls({
          socket: carrier,
          ca,
          cert: shop.certificateChainPem,
          key: shop.privateKeyPem,
          checkServerIdentity: () => undefined,
        });
  await until(() => arrivals.length > 0);
  return { ours: arrivals[0]!, peer };
}

/** A callee that we have dialled. */
async function dial(t: TestContext, kind: 'plaintext' | 'mtls'): Promise<Ends> {
  const { ca, shop, context } = await keys();
  const answered = Promise.withResolvers<Socket>();
  const tls = createTlsServer({ ...context, requestCert: true }, socket => answered.resolve(socket));
  const port = await listen(t, socket => {
    if (kind === 'plaintext') answered.resolve(socket);
    else tls.emit('connection', socket);
  });
  const address = { host: HOST, port };
  const dialled =
    kind === 'plaintext'
      ? dialPlaintext(address)
      : dialMutualTls({
          address,
          identity: WEB,
          trustDomain: 'lab.test',
          context: callingContext(shop, ca),
          ownNotAfterMs: shop.notAfterMs,
          revoked: () => ({ identities: new Set(), serials: new Set() }),
        });
  await new Promise(resolve => dialled.socket.once(dialled.readyEvent, resolve));
  return { ours: dialled, peer: await answered.promise };
}

/** Bytes that reach a peer which begins to read only once our end is closed. */
async function arrivedAfter({ ours, peer }: Ends, close: () => void): Promise<number> {
  const { socket } = ours;
  for (const end of [socket, peer]) end.on('error', () => {});
  peer.pause();
  socket.write(LOTS);
  // The kernel takes what it can, and no more of it for a while.
  for (let taken = -1; taken !== socket.bytesWritten - socket.writableLength;) {
    taken = socket.bytesWritten - socket.writableLength;
    await sleep(50);
  }
  close();
  assert.equal(socket.destroyed, true);
  await sleep(20);
  let bytes = 0;
  peer.on('data', (chunk: Buffer) => (bytes += chunk.length));
  const closed = new Promise(resolve => peer.once('close', resolve));
  peer.once('end', () => peer.destroy());
  peer.resume();
  await closed;
  return bytes;
}

for (const [whose, make] of [
  ['a caller', arrive],
  ['a callee', dial],
] as const) {
  test(`reset() takes back what ${whose} has not received yet; destroy() does not`, async t => {
    const ends = await make(t, 'plaintext');
    const taken = await arrivedAfter(ends, () => reset(ends.ours.socket));
    const again = await make(t, 'plaintext');
    const destroyed = await arrivedAfter(again, () => again.ours.socket.destroy());
    // What the peer's kernel had received is the peer's.
    assert.ok(taken < destroyed / 4, `${taken} bytes after a reset, ${destroyed} after a close`);
  });

  test(`reset() by TLS is a close, also of ${whose} whose handshake has just ended: Node does not crash`, async t => {
    for (let round = 0; round < 20; round++) {
      const { ours, peer } = await make(t, 'mtls');
      peer.on('error', () => {});
      const closed = new Promise(resolve => ours.socket.once('close', resolve));
      reset(ours.socket);
      await closed;
      peer.destroy();
    }
  });
}

test('reset() of a socket whose end is on its way closes it, and loses no handle', async t => {
  const { ours, peer } = await arrive(t, 'plaintext');
  const { socket } = ours;
  socket.on('error', error => assert.fail(error));
  peer.pause();
  socket.write(LOTS);
  socket.end();
  const handles = () => process.getActiveResourcesInfo().filter(name => name === 'TCPSocketWrap').length;
  await until(() => handles() === 2);
  const closed = new Promise(resolve => socket.once('close', resolve));
  reset(socket);
  await closed;
  await until(() => handles() === 1);
  peer.destroy();
});
