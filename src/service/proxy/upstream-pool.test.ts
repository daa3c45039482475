import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { FakeClock } from '#base/clock';
import { startBackend } from '#service/lab';
import { Deadlines } from './deadlines.ts';
import { dialPlaintext } from './dial.ts';
import { ConnectionIndex, type Revoked } from './revocation.ts';
import { DEFAULT_SETTINGS } from './settings.ts';
import type { AnswerSink, UpstreamConnection } from './upstream-connection.ts';
import { Turn } from './turn.ts';
import { UpstreamPool } from './upstream-pool.ts';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const WEB = 'spiffe://lab.test/ns/default/sa/web';

async function setUp(
  t: TestContext,
  options: { readonly maxConnections?: number; readonly retireAtMs?: number } = {},
) {
  const backend = await startBackend(c => c.answer(OK));
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const none: Revoked = { identities: new Set(), serials: new Set() };
  const state = { revoked: none };
  const dial = () => ({
    ...dialPlaintext(backend.address),
    retireAtMs: options.retireAtMs ?? Number.MAX_SAFE_INTEGER,
  });
  const pool = new UpstreamPool(dial, [WEB], {
    settings: { ...DEFAULT_SETTINGS, maxUpstreamConnections: options.maxConnections ?? 8 },
    deadlines,
    clock,
    turn: new Turn(),
    index: new ConnectionIndex(),
    revoked: () => state.revoked,
  });
  t.after(async () => {
    pool.destroy();
    deadlines.close();
    await backend.close();
  });
  return { pool, state, backend, clock };
}

/** Sends one request; resolves with what became of it. */
function request(pool: UpstreamPool): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const sink: AnswerSink = {
    method: 'GET',
    upstreamConnecting: () => {},
    upstreamReady: (connection: UpstreamConnection) =>
      connection.send('GET / HTTP/1.1\r\nhost: web\r\n\r\n', false),
    upstreamDrained: () => {},
    answerInterim: () => {},
    answerHead: () => {},
    answerData: () => {},
    answerFlush: () => {},
    answerEnd: () => resolve('answered'),
    upstreamFailed: ({ reason }) => resolve(reason),
  };
  pool.acquire(sink);
  return promise;
}

test('a connection that becomes ready after its other end was revoked is not used', async t => {
  const { pool, state, backend } = await setUp(t);
  assert.equal(await request(pool), 'answered');
  pool.retire();
  const answer = request(pool);
  state.revoked = { identities: new Set([WEB]), serials: new Set() };
  assert.equal(await answer, 'upstream-unverified');
  assert.equal(backend.seen.length, 1);
  assert.equal(pool.size, 0);
});

test('a connection past its time serves nobody, not even who waits for it', async t => {
  const clock = new FakeClock();
  const { pool, backend } = await setUp(t, { maxConnections: 1, retireAtMs: clock.nowMs() });
  assert.deepEqual(await Promise.all([request(pool), request(pool), request(pool)]), [
    'answered',
    'answered',
    'answered',
  ]);
  assert.equal(backend.connections(), 3);
});

test('a connection within its time serves those who wait for it', async t => {
  const { pool, backend } = await setUp(t, { maxConnections: 1 });
  await Promise.all([request(pool), request(pool), request(pool)]);
  assert.equal(backend.connections(), 1);
});
