import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { FakeClock } from '#base/clock';
import { BodyDecoder, DEFAULT_LIMITS } from '#domain/http';
import { Deadlines } from './deadlines.ts';
import { endOfTurn, OK, PlayedSocket, playPoint } from './proxy-lab.ts';
import { DEFAULT_SETTINGS } from './settings.ts';
import { Turn } from './turn.ts';
import { UpstreamConnection, type AnswerSink } from './upstream-connection.ts';

const UNTIL_CLOSE = 'HTTP/1.1 200 OK\r\n\r\nuntil the end';
const GET = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';

function broken(): never {
  throw new RangeError('a bug');
}

/** One connection to a played upstream, with a request under way. */
function setUp(t: TestContext, changes: Partial<AnswerSink> = {}) {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  t.after(() => deadlines.close());
  const socket = new PlayedSocket();
  const told: string[] = [];
  const sink: AnswerSink = {
    method: 'GET',
    upstreamConnecting: () => {},
    upstreamReady: connection => connection.send(GET, false),
    upstreamDrained: () => {},
    answerInterim: () => {},
    answerHead: ({ status }) => void told.push(`${status}`),
    answerData: chunk => void told.push(chunk.toString()),
    answerFlush: () => {},
    answerEnd: () => void told.push('end'),
    upstreamFailed: ({ reason, detail }) => void told.push(`${reason}: ${detail}`),
    ...changes,
  };
  const explain = () => ({ reason: 'upstream-unreachable', detail: 'no answer' }) as const;
  const dialled = {
    socket,
    explain,
    readyEvent: 'connect',
    peer: () => undefined,
    retireAtMs: Infinity,
  } as const;
  let closed = 0;
  const connection = new UpstreamConnection(
    dialled,
    { ready: () => {}, released: () => {}, closed: () => void closed++ },
    { settings: DEFAULT_SETTINGS, deadlines, turn: new Turn() },
  );
  connection.reserve(sink);
  socket.emit('connect');
  const advance = (byMs: number) => {
    clock.advance(byMs);
    deadlines.sweep();
  };
  return { socket, told, advance, closed: () => closed };
}

test('the head of an answer that comes in single bytes is decoded once for each of its lines', async t => {
  let decoded = 0;
  const http = {
    ...DEFAULT_LIMITS,
    // Asked for whenever fields are decoded.
    get maxHeaders() {
      decoded++;
      return DEFAULT_LIMITS.maxHeaders;
    },
  };
  const { connect, upstreams } = playPoint(t, { settings: { http } });
  const caller = connect().play(GET);
  while (upstreams[0]?.text.endsWith('\r\n\r\n') !== true) await endOfTurn();
  decoded = 0;
  const field = (name: string) => `${name}: ${'v'.repeat(8000)}\r\n`;
  const head = `HTTP/1.1 200 OK\r\ncontent-length: 2\r\n${field('a')}${field('b')}${field('c')}`;
  for (const byte of head) {
    upstreams[0].play(byte);
    await endOfTurn();
  }
  assert.ok(head.length > 20_000);
  assert.equal(caller.text, '');
  // A long head is looked at twice.
  assert.ok(decoded <= 2 * 5, `${decoded} times`);
  assert.ok(decoded >= 5);
  upstreams[0].play('\r\nok');
  await endOfTurn();
  assert.match(caller.text, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok$/);
});

test('an answer that ends with its connection is whole', async t => {
  const { socket, told, closed } = setUp(t);
  socket.play(UNTIL_CLOSE).playEnd();
  assert.deepEqual(told, ['200', 'until the end', 'end']);
  assert.equal(closed(), 1);
});

const faults: readonly (readonly [what: string, changes: Partial<AnswerSink>, told: readonly string[]])[] = [
  ['the head', { answerHead: broken }, ['internal-error: RangeError']],
  ['the body', { answerData: broken }, ['200', 'internal-error: RangeError']],
  ['the end', { answerEnd: broken }, ['200', 'until the end', 'internal-error: RangeError']],
];
for (const [what, changes, expected] of faults) {
  test(`a bug in taking ${what} of an answer, as its connection ends, fails this answer and nothing else`, async t => {
    const { socket, told, closed } = setUp(t, changes);
    // Within the event: what is thrown here would end the process.
    socket.play(UNTIL_CLOSE).playEnd();
    await endOfTurn();
    assert.deepEqual(told, expected);
    assert.equal(closed(), 1);
    assert.equal(socket.destroyed, true);
  });
}

test('a bug of the decoder, as the connection ends, fails this answer and nothing else', async t => {
  const { socket, told, closed } = setUp(t);
  t.mock.method(BodyDecoder.prototype, 'finish', broken);
  socket.play(UNTIL_CLOSE).playEnd();
  await endOfTurn();
  assert.deepEqual(told, ['200', 'until the end', 'internal-error: RangeError']);
  assert.equal(closed(), 1);
});

test("a body that must not end with its connection fails as the other side's fault", async t => {
  const { socket, told } = setUp(t);
  t.mock.method(BodyDecoder.prototype, 'finish', broken);
  socket.play('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf').playEnd();
  await endOfTurn();
  assert.deepEqual(told, ['200', 'half', 'upstream-malformed: the upstream closed the connection']);
});

for (const [how, play] of [
  ['its connection', (socket: PlayedSocket) => socket.play(UNTIL_CLOSE).playEnd()],
  ['its length', (socket: PlayedSocket) => socket.play(OK)],
  ['a broken connection', (socket: PlayedSocket) => socket.play('HTTP/1.1 200 OK\r\n').playReset()],
] as const) {
  test(`a bug in recording an answer that ends with ${how} closes the caller's connection and no other`, async t => {
    const { connect, upstreams, journal } = playPoint(t);
    const caller = connect().play(GET);
    const other = connect().play(GET);
    while (upstreams.some(({ text }) => text === '') || upstreams.length < 2) await endOfTurn();
    const append = t.mock.method(journal, 'append', broken);
    play(upstreams[0]!);
    await endOfTurn();
    assert.equal(append.mock.callCount(), 1);
    append.mock.restore();
    // Nobody would answer it any more.
    assert.equal(caller.destroyed, true);
    upstreams[1]!.play(OK);
    await endOfTurn();
    assert.match(other.text, /ok$/);
    assert.equal(journal.records.length, 1);
  });
}

test('a bug in recording a caller that leaves ends nothing else', async t => {
  const { connect, upstreams, journal } = playPoint(t);
  const caller = connect().play(GET);
  const other = connect().play(GET);
  while (upstreams.some(({ text }) => text === '') || upstreams.length < 2) await endOfTurn();
  const append = t.mock.method(journal, 'append', broken);
  caller.playReset();
  while (append.mock.callCount() === 0) await endOfTurn();
  append.mock.restore();
  upstreams[1]!.play(OK);
  await endOfTurn();
  assert.match(other.text, /ok$/);
  assert.equal(upstreams[0]!.destroyed, true);
});

test('the head of an answer that trickles in is not waited for beyond its time', async t => {
  const { socket, told, advance } = setUp(t);
  const { answerTimeoutMs } = DEFAULT_SETTINGS;
  const head = 'HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 2\r\n\r\n';
  for (const byte of head.slice(0, 20)) {
    socket.play(byte);
    await endOfTurn();
    advance(answerTimeoutMs / 20);
  }
  assert.deepEqual(told, ['upstream-timeout: no answer in time']);
});

test('interim answers do not prolong the time for an answer, and its body has a time of its own', async t => {
  const { answerTimeoutMs, bodyIdleTimeoutMs } = DEFAULT_SETTINGS;
  const late = setUp(t);
  late.socket.play('HTTP/1.1 103 Early Hints\r\n\r\n');
  await endOfTurn();
  late.advance(answerTimeoutMs - 1);
  assert.deepEqual(late.told, []);
  late.socket.play('HTTP/1.1 103 Early Hints\r\n\r\n');
  await endOfTurn();
  late.advance(1);
  assert.deepEqual(late.told, ['upstream-timeout: no answer in time']);
  const { socket, told, advance } = setUp(t);
  advance(answerTimeoutMs - 1);
  for (const part of ['HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n', 'a', 'b']) {
    socket.play(part);
    await endOfTurn();
    advance(bodyIdleTimeoutMs - 1);
  }
  assert.deepEqual(told, ['200', 'a', 'b']);
  advance(1);
  assert.deepEqual(told.slice(3), ['upstream-timeout: the answer stalled']);
});
