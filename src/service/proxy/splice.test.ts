import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FakeClock } from '#base/clock';
import { Deadlines } from './deadlines.ts';
import { dialPlaintext } from './dial.ts';
import { listen } from './proxy-lab.ts';
import { DEFAULT_SETTINGS } from './settings.ts';
import { Splice } from './splice.ts';
import type { Dialled } from './upstream-connection.ts';

const LOTS = Buffer.alloc(32 * 1024 * 1024, 'x');

/** A caller and a callee, spliced. @param greet what the callee does first */
async function join(t: TestContext, greet: (callee: Socket) => void = () => {}) {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const called = Promise.withResolvers<Socket>();
  const port = await listen(t, socket => {
    called.resolve(socket);
    greet(socket);
  });
  const arrived = Promise.withResolvers<Socket>();
  const callerPort = await listen(t, socket => arrived.resolve(socket));
  const peer = connect({ host: '127.0.0.1', port: callerPort, allowHalfOpen: true });
  peer.on('error', () => {});
  const socket = await arrived.promise;
  const ends: string[] = [];
  let dialled: Dialled | undefined;
  const splice = new Splice({
    socket,
    dial: () => (dialled = dialPlaintext({ host: '127.0.0.1', port })),
    connected: () => {},
    settings: DEFAULT_SETTINGS,
    clock,
    deadlines,
    ended: ({ detail }) => ends.push(detail),
  });
  splice.begin();
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
  /** Sets the wall clock, as an operator or NTP would. */
  const step = (byMs: number) => {
    clock.jump(clock.nowMs() + byMs);
    deadlines.sweep();
  };
  return {
    splice,
    socket,
    peer,
    callee: await called.promise,
    ends,
    advance,
    step,
    nowMs: clock.nowMs,
    isClosed: () => isClosed,
    deadlines,
    breakOff: () => dialled?.socket.destroy(),
  };
}

/** A caller that does not read, spliced to a callee that has sent it more than the kernel takes. */
async function clog(t: TestContext) {
  const joined = await join(t, callee => callee.write(LOTS));
  joined.peer.pause();
  // The callee's bytes have come and cannot go on: what waits here waits for the peer to read.
  while (joined.socket.writableLength === 0) await sleep(5);
  return joined;
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

for (const [when, before] of [
  ['while both sides are open', async () => {}],
  [
    'after the callee broke off',
    async ({ breakOff, ends }: Awaited<ReturnType<typeof clog>>) => {
      breakOff();
      while (ends.length === 0) await sleep(5);
    },
  ],
] as const) {
  test(`cut() ${when}: of what waits in our buffers nothing arrives, though the peer reads afterwards`, async t => {
    const clogged = await clog(t);
    const { splice, peer, callee, isClosed } = clogged;
    await before(clogged);
    splice.cut();
    await sleep(20);
    assert.equal(isClosed(), true);
    assert.equal(callee.destroyed, true);
    let bytes = 0;
    peer.on('data', (chunk: Buffer) => (bytes += chunk.length));
    const closed = new Promise(resolve => peer.once('close', resolve));
    peer.once('end', () => peer.destroy());
    peer.resume();
    await closed;
    // What the kernel of the peer had received: without a reset there are some megabytes behind it.
    assert.ok(bytes < 1024 * 1024, `${bytes} bytes`);
  });
}

test('a connection that was idle for too long is closed at once', async t => {
  const { socket, ends, advance } = await clog(t);
  advance(DEFAULT_SETTINGS.spliceIdleTimeoutMs);
  assert.equal(socket.destroyed, true);
  assert.deepEqual(ends, ['idle for too long']);
});

const EXPIRED = 'the certificate of the peer has expired';

test('endBy() ends a connection at its time, however busy it is; the earliest of several counts', async t => {
  const { splice, socket, ends, advance, nowMs } = await clog(t);
  splice.endBy(nowMs() + 9_000);
  splice.endBy(nowMs() + 5_000);
  splice.endBy(nowMs() + 9_000);
  advance(4_999);
  assert.equal(socket.destroyed, false);
  advance(1);
  assert.equal(socket.destroyed, true);
  assert.deepEqual(ends, [EXPIRED]);
});

test('endBy(): when the wall clock is set forward, the time that is skipped has passed', async t => {
  const { splice, socket, ends, advance, step, nowMs } = await clog(t);
  splice.endBy(nowMs() + 3_600_000);
  advance(1_000);
  step(3_598_999);
  assert.equal(socket.destroyed, false);
  step(1);
  assert.equal(socket.destroyed, true);
  assert.deepEqual(ends, [EXPIRED]);
});

test('endBy(): when the wall clock is set back, no time is won', async t => {
  const { splice, socket, ends, advance, step, nowMs } = await clog(t);
  splice.endBy(nowMs() + 5_000);
  step(-86_400_000);
  advance(4_999);
  assert.equal(socket.destroyed, false);
  // Nor by a later bound that is reckoned from the clock as it is now.
  splice.endBy(nowMs() + 5_000);
  advance(1);
  assert.equal(socket.destroyed, true);
  assert.deepEqual(ends, [EXPIRED]);
});

test('endBy(): a bound that has passed already ends the connection at once', async t => {
  const { splice, socket, ends, advance, nowMs } = await clog(t);
  splice.endBy(nowMs() - 1);
  advance(0);
  assert.equal(socket.destroyed, true);
  assert.deepEqual(ends, [EXPIRED]);
});

test('a step of the wall clock does not end a connection without a bound, nor count as idleness', async t => {
  const { socket, ends, advance, step } = await clog(t);
  step(365 * 86_400_000);
  advance(DEFAULT_SETTINGS.spliceIdleTimeoutMs - 1);
  step(-2 * 365 * 86_400_000);
  assert.equal(socket.destroyed, false);
  assert.deepEqual(ends, []);
  advance(1);
  assert.deepEqual(ends, ['idle for too long']);
});

test('after the callee has closed, what it sent arrives', async t => {
  const { peer, callee, isClosed } = await clog(t);
  let bytes = 0;
  peer.on('data', (chunk: Buffer) => (bytes += chunk.length));
  callee.end();
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

for (const first of ['the caller', 'the callee'] as const) {
  test(`half-close passes: ${first} may end its side first, and still receives`, async t => {
    const { callee, peer, ends, isClosed } = await join(t);
    const [ending, other] = first === 'the caller' ? [peer, callee] : [callee, peer];
    let received = '';
    ending.on('data', (chunk: Buffer) => (received += chunk.toString()));
    const ended = new Promise(resolve => other.once('end', resolve));
    other.resume();
    ending.end('last words');
    await ended;
    other.write('an ');
    await sleep(20);
    other.end('answer');
    await new Promise(resolve => ending.once('end', resolve));
    assert.equal(received, 'an answer');
    while (!isClosed()) await sleep(5);
    assert.equal(ends.length, 1);
  });
}
