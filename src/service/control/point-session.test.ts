import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { FakeClock } from '#base/clock';
import { silentLog } from '#base/log';
import type { WantedBundle } from './desired-state.ts';
import { PointSession, type SessionDuties } from './point-session.ts';
import { hello, lineOf } from './point-by-hand.ts';

/** A point that may leave unread what it is sent. */
function pointThat(reads: 'reads' | 'never reads', duties: Partial<SessionDuties> = {}) {
  const errors: { code?: string }[] = [];
  const written: string[] = [];
  const stream = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      written.push(chunk.toString());
      if (reads === 'reads') done();
    },
  });
  stream.on('error', (error: { code?: string }) => errors.push(error));
  const clock = new FakeClock();
  const certificate = { serial: '1', notAfterMs: clock.nowMs() + 3_600_000 };
  // A session uses nothing of its socket but that it is a stream.
  const session = new PointSession({ name: 'agent', kind: 'agent' }, certificate, stream as TLSSocket, {
    keeper: { appendBatch: () => Promise.resolve(1) },
    clock,
    log: silentLog,
    certify: () => Promise.resolve({ kind: 'refused', reason: 'not-entitled' }),
    isForeign: () => false,
    reported: () => {},
    shown: () => {},
    ...duties,
  });
  const turn = () => new Promise(resolve => setImmediate(resolve));
  const say = async (text: string) => {
    stream.emit('data', Buffer.from(text));
    await turn();
  };
  return { session, stream, clock, errors, written, say, turn };
}

const MEGABYTE = 1024 * 1024;
const bundleOf = (version: number) =>
  ({
    bundle: { version },
    digest: `d${version}`,
    envelope: { payloadType: 'x', payload: 'x'.repeat(MEGABYTE), signatures: [] },
  }) as unknown as WantedBundle;

test('a point that never reads holds one bundle up, however many come', async () => {
  const mute = pointThat('never reads');
  await mute.say(hello());
  for (let version = 1; version <= 200; version++) mute.session.offer(bundleOf(version));
  assert.ok(mute.stream.writableLength < 1.1 * MEGABYTE);
  // Positive control: who reads gets them.
  const good = pointThat('reads');
  await good.say(hello());
  for (let version = 1; version <= 3; version++) {
    good.session.offer(bundleOf(version));
    await good.turn();
  }
  assert.equal(good.written.length, 3);
});

test('a point that asks for certificates and never reads gets few of them, and is ended', async () => {
  let issued = 0;
  const certificateChainPem = 'x'.repeat(2048);
  const certify: SessionDuties['certify'] = () => {
    issued += 1;
    const certificate = { certificateChainPem, serial: '1', notBeforeMs: 0, notAfterMs: 1 };
    return Promise.resolve({ kind: 'issued', certificate });
  };
  const ask = (id: number) => lineOf({ kind: 'certify', id, identity: 'spiffe://a/b', request: 'r' });
  const mute = pointThat('never reads', { certify });
  await mute.say(hello());
  for (let id = 0; id < 1000; id++) await mute.say(ask(id));
  assert.ok(issued < 50, `${issued} were issued`);
  assert.ok(mute.stream.writableLength < 200_000);
  for (let id = 0; id < 1200 && !mute.stream.destroyed; id++) await mute.say(ask(id));
  assert.equal(mute.errors[0]?.code, 'too-many-requests');
  // Positive control: who reads gets all.
  issued = 0;
  const good = pointThat('reads', { certify });
  await good.say(hello());
  for (let id = 0; id < 1000; id++) await good.say(ask(id));
  assert.equal(issued, 1000);
});

test('acknowledgements in a flood cost their reading, and long ones end the stream', async () => {
  let reports = 0;
  const eager = pointThat('reads', { reported: () => void (reports += 1) });
  await eager.say(hello());
  const applied = lineOf({ kind: 'applied', version: 1, digest: 'd', tookMs: 1 });
  const sinceMs = performance.now();
  await eager.say(applied.repeat(20_000));
  assert.ok(performance.now() - sinceMs < 5000);
  assert.equal(reports, 20_001);
  assert.equal(eager.stream.destroyed, false);
  const long: readonly (readonly [string, object])[] = [
    ['digest', { kind: 'applied', version: 1, digest: 'd'.repeat(129), tookMs: 1 }],
    ['message', { kind: 'rejected', version: 1, fault: 'x', message: 'm'.repeat(1025) }],
    ['fault', { kind: 'rejected', version: 1, fault: 'x'.repeat(65), message: '' }],
    ['time', { kind: 'applied', version: 1, digest: 'd', tookMs: -1 }],
  ];
  for (const [what, message] of long) {
    const { say, stream } = pointThat('reads');
    await say(hello() + lineOf(message));
    assert.equal(stream.destroyed, true, what);
  }
});

test('only a point that is asked to show a bundle may send a long line, and it has half a minute', async () => {
  const shown: unknown[] = [];
  const isForeign = () => true;
  const envelope = {
    payloadType: 'x',
    payload: 'x'.repeat(9 * MEGABYTE),
    signatures: [{ keyid: '', sig: '' }],
  };
  const answer = lineOf({ kind: 'shown', envelope });
  const asked = pointThat('reads', { isForeign, shown: (_, given) => void shown.push(given) });
  await asked.say(hello());
  asked.session.askToShow();
  await asked.say(answer);
  assert.equal(shown.length, 1);
  await asked.say(answer);
  assert.equal(asked.errors[0]?.code, 'line-too-long');
  const unasked = pointThat('reads', { isForeign });
  await unasked.say(hello() + answer);
  assert.equal(unasked.errors[0]?.code, 'line-too-long');
  const silent = pointThat('reads', { isForeign });
  await silent.say(hello());
  silent.session.askToShow();
  silent.clock.advance(30_000);
  await silent.say(
    lineOf({ kind: 'health', recordsBehind: 0, journalHealthy: true, certificateNotAfterMs: 0 }),
  );
  silent.session.checkAlive(15_000);
  assert.equal(silent.stream.destroyed, false);
  silent.clock.advance(1);
  silent.session.checkAlive(15_000);
  await silent.turn();
  assert.equal(silent.errors[0]?.code, 'silent');
});
