import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { endOfTurn, OK, playPoint } from './proxy-lab.ts';
import { DEFAULT_SETTINGS } from './settings.ts';

const CLOSE = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
const { bodyIdleTimeoutMs, headTimeoutMs, keepAliveTimeoutMs, lingerTimeoutMs } = DEFAULT_SETTINGS;

/** A caller whose kernel takes what is written to it only when the test says so. */
class SlowCaller extends Duplex {
  taken = '';
  #flush: (() => void) | undefined;

  constructor() {
    super({ allowHalfOpen: true, decodeStrings: false });
  }

  override _read(): void {}

  override _write(part: string | Buffer, _encoding: string, done: () => void): void {
    this.#flush = () => {
      this.taken += part.toString('latin1');
      done();
    };
  }

  setNoDelay(): this {
    return this;
  }

  destroySoon(): void {
    this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  flush(): void {
    this.#flush?.();
    this.#flush = undefined;
  }
}

/** The last answer on a connection is written, and its caller has not taken it yet. */
async function setUp(t: TestContext) {
  const point = playPoint(t, {
    dialled: socket => (socket.written = () => setImmediate(() => socket.play(OK))),
  });
  const caller = new SlowCaller();
  const held = point.accept(caller as unknown as Socket);
  caller.push(CLOSE);
  while (caller.writableLength === 0) await endOfTurn();
  await endOfTurn();
  return { ...point, caller, held };
}

test('the last answer on a connection is waited for as long as any other, and then no longer', async t => {
  const { caller, advance } = await setUp(t);
  advance(bodyIdleTimeoutMs - 1);
  assert.equal(caller.destroyed, false);
  caller.flush();
  await endOfTurn();
  assert.match(caller.taken, /ok$/);
  advance(lingerTimeoutMs - 1);
  assert.equal(caller.destroyed, false);
  advance(1);
  assert.equal(caller.destroyed, true);
});

test('a caller that never takes its last answer is not waited for for ever', async t => {
  const { caller, advance } = await setUp(t);
  advance(bodyIdleTimeoutMs);
  assert.equal(caller.destroyed, true);
});

test('a caller that closes its side while its last answer is on its way gets all of it', async t => {
  const { caller } = await setUp(t);
  caller.push(null);
  await endOfTurn();
  assert.equal(caller.destroyed, false);
  caller.flush();
  await endOfTurn();
  assert.match(caller.taken, /ok$/);
  assert.equal(caller.destroyed, true);
});

test('cut() waits for nobody', async t => {
  const { caller, held } = await setUp(t);
  held.cut();
  assert.equal(caller.destroyed, true);
  assert.equal(caller.taken, '');
  await held.closed;
});

test('a caller that sends nothing is closed without a word, before its first request and after it', async t => {
  const { connect, advance, journal, upstreams } = playPoint(t);
  const silent = connect();
  advance(headTimeoutMs - 1);
  assert.equal(silent.destroyed, false);
  advance(1);
  assert.equal(silent.destroyed, true);
  const served = connect().play('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  while (upstreams[0]?.text.endsWith('\r\n\r\n') !== true) await endOfTurn();
  upstreams[0].play(OK);
  await endOfTurn();
  const answer = served.text;
  advance(keepAliveTimeoutMs - 1);
  assert.equal(served.destroyed, false);
  advance(1);
  assert.equal(served.destroyed, true);
  assert.equal(served.text, answer);
  assert.equal(journal.records.length, 1);
});

test('a head that comes byte by byte has one time for all of it: 408', async t => {
  const { connect, advance, journal } = playPoint(t);
  const caller = connect();
  for (const byte of 'GET / HTTP') {
    assert.equal(caller.text, '');
    caller.play(byte);
    await endOfTurn();
    advance(headTimeoutMs / 10);
  }
  assert.match(caller.text, /^HTTP\/1\.1 408 /);
  assert.equal((await journal.find(() => true)).reason, 'request-timeout');
});
