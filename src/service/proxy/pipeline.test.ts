import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { DEFAULT_LIMITS } from '#domain/http';
import { ADMITTED, Caller, type Collect, type Exchange, type Hop, type ProxySettings } from '#service/proxy';
import { Pipeline } from './pipeline.ts';
import { endOfTurn, OK, playPoint, type PlayedSocket } from './proxy-lab.ts';

/** One connection to a point whose hop lets everything pass, but for what `changes` does to it. */
function setUp(t: TestContext, changes: Partial<Hop> = {}, settings: Partial<ProxySettings> = {}) {
  return playPoint(t, { hop: changes, settings, dialled: answerOk });
}

function answerOk(socket: PlayedSocket): void {
  socket.written = part => {
    if (part === '0\r\n\r\n' && socket.text.includes('/break-end')) throw new RangeError('a bug');
    if (part === '0\r\n\r\n' || socket.text.startsWith('GET')) setImmediate(() => socket.play(OK));
  };
}

const POST = (path: string) =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n`;

function broken(): never {
  throw new RangeError('a bug');
}

/** Breaks for `/break…` and lets the rest pass. */
const breaks =
  <R>(otherwise: R) =>
  (x: Exchange): R =>
    x.intake.head.rawPath.startsWith('/break') ? broken() : otherwise;

const collect: Collect = { kind: 'collect', maxBytes: 1000, decide: broken };
const stages: readonly (readonly [stage: string, changes: Partial<Hop>])[] = [
  ['identify', { identify: breaks(Caller.anonymous('a')) }],
  ['identify, later', { identify: async x => breaks(Caller.anonymous('a'))(x) }],
  ['limit', { limit: breaks(ADMITTED) }],
  ['limit, with the body', { limit: x => (x.path.startsWith('/break') ? collect : ADMITTED) }],
  ['dressRequest', { dressRequest: (_headers, x) => breaks(undefined)(x) }],
  ['the end of the body', {}],
];
for (const [stage, changes] of stages) {
  test(`a bug in ${stage} ends one request with 500, recorded, and nothing else`, async t => {
    const { journal, connect } = setUp(t, changes);
    const first = connect();
    first.play(`${POST('/break-end')}0\r\n\r\n`);
    const record = await journal.find(r => r.reason === 'internal-error');
    assert.equal(record.detail, 'RangeError');
    assert.match(first.text, /^HTTP\/1\.1 500 /);
    const second = connect();
    second.play('GET /fine HTTP/1.1\r\nhost: x\r\n\r\n');
    assert.equal((await journal.find(r => r.path === '/fine')).status, 200);
    assert.match(second.text, /\r\n\r\nok$/);
  });
}

test('a bug in route ends one request with 500: no destination is known', async t => {
  const { journal, connect } = setUp(t, { route: broken });
  const socket = connect();
  socket.play('GET /break HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.equal((await journal.find(r => r.reason === 'internal-error')).callee, '');
  assert.match(socket.text, /^HTTP\/1\.1 500 /);
});

test('a bug in what answers cuts the connection, and is recorded', async t => {
  const { journal, connect } = setUp(t, { limit: broken, dressAnswer: broken });
  const socket = connect();
  socket.play('GET /break HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.equal((await journal.find(() => true)).reason, 'internal-error');
  assert.equal(socket.destroyed, true);
  assert.equal(socket.text, '');
});

test('a body that is collected costs its bytes, and not its chunks', async t => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const never: Collect = { kind: 'collect', maxBytes: 65_536, decide: broken };
  const { connect } = setUp(t, { limit: () => never });
  const usedBytes = () => {
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = usedBytes();
  const sockets = Array.from({ length: 4 }, connect);
  for (const socket of sockets) {
    socket.play(POST('/'));
    for (let i = 0; i < 60; i++) socket.play('1\r\na\r\n'.repeat(1000));
  }
  await endOfTurn();
  const grownBytes = usedBytes() - before;
  assert.ok(grownBytes < 4_000_000, `${grownBytes} bytes for 4 bodies of 60,000 bytes`);
  assert.ok(sockets.every(socket => socket.text === ''));
});

test('a collected body is whole, whatever its pieces, and does not change with the buffer it was read into', async t => {
  const bodies: string[] = [];
  const whole: Collect = {
    kind: 'collect',
    maxBytes: 65_536,
    decide: body => (bodies.push(body.toString()), ADMITTED),
  };
  const { connect, journal } = setUp(t, { limit: () => whole });
  const socket = connect();
  const head = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 65536\r\n\r\n';
  socket.play(head);
  const expected = Array.from({ length: 65_536 }, (_, i) => String.fromCharCode(97 + (i % 23))).join('');
  for (let at = 0, step = 1; at < expected.length; at += step++) {
    const piece = Buffer.from(expected.slice(at, at + step));
    socket.emit('data', piece);
    await endOfTurn();
    piece.fill(0);
  }
  assert.deepEqual(bodies, [expected]);
  const tooLong = connect();
  tooLong.play(`${POST('/long')}1ffff\r\n`);
  for (let i = 0; i < 66; i++) tooLong.play('a'.repeat(1000));
  assert.equal((await journal.find(r => r.path === '/long')).reason, 'request-too-large');
  assert.equal(bodies.length, 1);
});

test('a head that comes in single bytes is decoded once for each of its lines', async t => {
  let decoded = 0;
  const http = {
    ...DEFAULT_LIMITS,
    // Asked for whenever fields are decoded.
    get maxHeaders() {
      decoded++;
      return DEFAULT_LIMITS.maxHeaders;
    },
  };
  const { connect } = setUp(t, {}, { http });
  const socket = connect();
  const field = (name: string) => `${name}: ${'v'.repeat(8000)}\r\n`;
  const head = `GET / HTTP/1.1\r\nhost: x\r\n${field('a')}${field('b')}${field('c')}${field('d')}`;
  for (const byte of head) {
    socket.play(byte);
    await endOfTurn();
  }
  assert.ok(head.length > 30_000);
  assert.equal(socket.text, '');
  // A long head is looked at twice.
  assert.ok(decoded <= 2 * 6, `${decoded} times`);
  assert.ok(decoded >= 6);
});

test('a line that is too long is refused before it ends: 431, or 414 for the target', async t => {
  const { connect } = setUp(t);
  for (const [start, status] of [
    ['GET / HTTP/1.1\r\nhost: x\r\na: ', '431'],
    ['GET /', '414'],
  ] as const) {
    const socket = connect();
    socket.play(start);
    for (let i = 0; i < 8192 && socket.text === ''; i++) {
      socket.play('a');
      await endOfTurn();
    }
    assert.equal(socket.text.slice(9, 12), status);
  }
});

test('a bug in receiving a request that waited for its caller to read closes this connection and no other', async t => {
  const { connect } = setUp(t);
  const get = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';
  const socket = connect().play(get);
  await endOfTurn();
  Object.defineProperty(socket, 'writableNeedDrain', { value: true, configurable: true });
  while (!socket.text.endsWith('ok')) await endOfTurn();
  socket.play(get);
  await endOfTurn();
  const receive = t.mock.method(Pipeline.prototype, 'receive', broken);
  Object.defineProperty(socket, 'writableNeedDrain', { value: false });
  // Within the event: what is thrown here would end the process.
  socket.emit('drain');
  assert.equal(socket.destroyed, true);
  assert.equal(receive.mock.callCount(), 1);
  receive.mock.restore();
  const other = connect().play(get);
  while (!other.text.endsWith('ok')) await endOfTurn();
});

test('durable mode: a bug after the record is on disk closes this connection, and the journal goes on', async t => {
  const { connect, journal } = playPoint(t, { destination: { mode: 'durable' }, dialled: answerOk });
  journal.mode = 'hold';
  const get = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';
  const sockets = [connect(), connect()] as const;
  for (const socket of sockets) socket.play(get);
  await journal.untilHeld(2);
  sockets[0].written = broken;
  journal.release();
  assert.deepEqual(
    sockets.map(({ destroyed, text }) => [destroyed, text.endsWith('ok')]),
    [
      [true, true],
      [false, true],
    ],
  );
  journal.mode = 'write';
  sockets[1].text = '';
  sockets[1].play(get);
  while (!sockets[1].text.endsWith('ok')) await endOfTurn();
});
