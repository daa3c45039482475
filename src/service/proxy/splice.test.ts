import assert from 'node:assert/strict';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FakeClock } from '#base/clock';
import { Deadlines } from './deadlines.ts';
import { dialPlaintext } from './dial.ts';
import { DEFAULT_SETTINGS } from './settings.ts';
import { Splice } from './splice.ts';
import type { Dialled } from './upstream-connection.ts';

const LOTS = Buffer.alloc(32 * 1024 * 1024, 'x');

/** A caller that does not read, spliced to a callee that has sent it more than the kernel takes. */
async function clog(t: TestContext) {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const callees: Socket[] = [];
  const callee = await listen(t, socket => {
    callees.push(socket);
    socket.write(LOTS);
  });
  const arrived = Promise.withResolvers<Socket>();
  const callerPort = await listen(t, socket => arrived.resolve(socket));
  const peer = connect({ host: '127.0.0.1', port: callerPort });
  peer.on('error', () => {});
  peer.pause();
  const socket = await arrived.promise;
  const ends: string[] = [];
  let dialled: Dialled | undefined;
  const splice = new Splice({
    socket,
    dial: () => (dialled = dialPlaintext({ host: '127.0.0.1', port: callee })),
    connected: () => {},
    settings: DEFAULT_SETTINGS,
    deadlines,
    ended: ({ detail }) => ends.push(detail),
  });
  splice.begin();
  // The callee's bytes have come and cannot go on: what waits here waits for the peer to read.
  while (socket.writableLength === 0) await sleep(5);
  let isClosed = false;
  void splice.closed.then(() => (isClosed = true));
  t.after(() => {
    splice.cut();
    peer.destroy();
    deadlines.close();
  });
  const advance = (byMs: number) => {
    clock.advance(byMs);
    deadlines.sweep();
  };
  return {
    splice,
    socket,
    peer,
    callees,
    ends,
    advance,
    isClosed: () => isClosed,
    deadlines,
    breakOff: () => dialled?.socket.destroy(),
  };
}

async function listen(t: TestContext, accept: (socket: Socket) => void): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, socket => {
    socket.on('error', () => {});
    sockets.push(socket);
    accept(socket);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test('cut() closes both sockets at once, also of a peer that does not read', async t => {
  const { splice, socket, ends, isClosed, deadlines } = await clog(t);
  splice.cut();
  assert.equal(socket.destroyed, true);
  await sleep(20);
  assert.equal(isClosed(), true);
  assert.equal(deadlines.size, 0);
  assert.deepEqual(ends, ['cut by the point']);
});

test('a connection that was idle for too long is closed at once', async t => {
  const { socket, ends, advance } = await clog(t);
  advance(DEFAULT_SETTINGS.spliceIdleTimeoutMs);
  assert.equal(socket.destroyed, true);
  assert.deepEqual(ends, ['idle for too long']);
});

test('endBy() ends a connection at its time, however busy it is', async t => {
  const { splice, socket, ends, advance } = await clog(t);
  splice.endBy(5_000);
  splice.endBy(9_000);
  advance(4_999);
  assert.equal(socket.destroyed, false);
  advance(1);
  assert.equal(socket.destroyed, true);
  assert.deepEqual(ends, ['the certificate of the peer has expired']);
});

test('after the callee has closed, what it sent arrives', async t => {
  const { peer, callees, isClosed } = await clog(t);
  let bytes = 0;
  peer.on('data', (chunk: Buffer) => (bytes += chunk.length));
  callees[0]?.end();
  peer.resume();
  await new Promise(resolve => peer.once('end', resolve));
  assert.equal(bytes, LOTS.length);
  peer.end();
  while (!isClosed()) await sleep(5);
});

test('after the callee broke off, a peer that does not read is waited for, but not forever', async t => {
  const { socket, breakOff, ends, advance, isClosed, deadlines } = await clog(t);
  breakOff();
  while (ends.length === 0) await sleep(5);
  advance(DEFAULT_SETTINGS.spliceLingerTimeoutMs - 1);
  assert.equal(socket.destroyed, false);
  // It can still be cut meanwhile: the index forgets it only now.
  assert.equal(isClosed(), false);
  advance(1);
  assert.equal(socket.destroyed, true);
  await sleep(20);
  assert.equal(isClosed(), true);
  assert.equal(deadlines.size, 0);
  assert.equal(ends.length, 1);
});
