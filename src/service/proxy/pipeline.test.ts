import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { systemClock } from '#base/clock';
import { DEFAULT_LIMITS } from '#domain/http';
import { compileEdgePolicy } from '#domain/policy';
import { edgeRoute, gatewayBundle, MemoryJournal } from '#service/lab';
import {
  ADMITTED,
  Caller,
  Engine,
  type Collect,
  type Destination,
  type Exchange,
  type Hop,
} from '#service/proxy';
import type { ProxySettings } from '#service/proxy';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const series = { observe: () => {} };

/** Never connected: a test plays its other side, without the system between, and sees what was written. */
class PlayedSocket extends Socket {
  text = '';

  override write(part: string | Uint8Array): boolean {
    this.text += typeof part === 'string' ? part : Buffer.from(part).toString('latin1');
    return true;
  }

  play(text: string): void {
    this.emit('data', Buffer.from(text, 'latin1'));
  }
}

class PlayedUpstream extends PlayedSocket {
  override write(part: string | Uint8Array): boolean {
    super.write(part);
    if (part === '0\r\n\r\n' && this.text.includes('/break-end')) throw new RangeError('a bug');
    if (part === '0\r\n\r\n' || this.text.startsWith('GET')) setImmediate(() => this.play(OK));
    return true;
  }
}

const route = edgeRoute({ path: '/**', to: 'web', methods: ['GET', 'POST'] });
const upstream = {
  service: 'web',
  identity: 'spiffe://x/ns/a/sa/web',
  address: { host: '127.0.0.1', port: 1 },
  protocol: 'http',
  record: 'relaxed',
} as const;
const policy = compileEdgePolicy(
  gatewayBundle({ trustAnchors: [], upstreams: [upstream], hosts: [{ host: 'x', routes: [route] }] }),
);

/** One connection to a point whose hop lets everything pass, but for what `changes` does to it. */
function setUp(t: TestContext, changes: Partial<Hop> = {}, settings: Partial<ProxySettings> = {}) {
  const journal = new MemoryJournal();
  const engine = new Engine({ recorder: journal, clock: systemClock, settings });
  t.after(() => engine.close());
  const dial = () => {
    const socket = new PlayedUpstream();
    setImmediate(() => socket.emit('connect'));
    const explain = () => ({ reason: 'upstream-unreachable', detail: '' }) as const;
    return { socket, readyEvent: 'connect', peer: () => undefined, explain, retireAtMs: Infinity } as const;
  };
  const destination: Destination = {
    kind: 'destination',
    pool: engine.pool('web', dial, []),
    callee: 'web',
    mode: 'relaxed',
    maxRequestBytes: 65_536,
    maxResponseBytes: 65_536,
    authority: undefined,
    series,
  };
  const hop: Hop = {
    direction: 'edge',
    believesCaller: false,
    series,
    route: () => destination,
    identify: () => Caller.anonymous('a'),
    limit: () => ADMITTED,
    authorize: x => {
      const match = policy.route('x', x.method, x.path);
      return match.kind === 'route' ? policy.authorize(match, { kind: 'anonymous' }) : match;
    },
    believedFields: () => [],
    dressRequest: () => {},
    dressAnswer: () => {},
    ...changes,
  };
  const connect = () => {
    const socket = new PlayedSocket();
    engine.converse({ socket, address: '192.0.2.1', peer: undefined, serverName: '' }, { hop }, []);
    return socket;
  };
  return { journal, hop, connect };
}

const POST = (path: string) =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n`;

/** What has arrived by now is understood. */
function endOfTurn(): Promise<void> {
  return new Promise(resolve => void setImmediate(resolve));
}

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
