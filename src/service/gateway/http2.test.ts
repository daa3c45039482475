import assert from 'node:assert/strict';
import {
  connect,
  constants,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import { test, type TestContext } from 'node:test';
import {
  edgeRoute,
  FLAG,
  FRAME,
  frame,
  headerBlock,
  LabSystem,
  PREFACE,
  RawClient,
  type LabOptions,
} from '#service/lab';

const OK =
  'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nserver: secret/1.0\r\nconnection: x-hop\r\nx-hop: a\r\n\r\nok';

const routes = [
  edgeRoute({ path: '/', to: 'web' }),
  edgeRoute({
    path: '/cart/**',
    to: 'web',
    methods: ['GET', 'POST', 'HEAD'],
    clients: ['user'],
    maxRequestBytes: 1000,
    maxResponseBytes: 4_000_000,
  }),
];

type Got = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly trailers: IncomingHttpHeaders;
};

async function setUp(t: TestContext, options: Partial<LabOptions> = {}) {
  const system = await LabSystem.start({ respond: c => c.answer(OK), routes, ...options });
  t.after(() => system.close());
  const open = (serverName = 'shop.test') => {
    const session = connect(`https://${serverName}`, {
      createConnection: () =>
        connectTls({
          host: '127.0.0.1',
          port: system.gateway.port,
          servername: serverName,
          ca: [...system.authority.trustAnchors],
          ALPNProtocols: ['h2'],
        }),
    });
    session.on('error', () => {});
    t.after(() => session.destroy());
    return session;
  };
  const token = await system.issuer.token({ sub: 'alice', scope: 'cart' });
  return { system, session: open(), open, authorization: `Bearer ${token}`, backend: system.backend };
}

async function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: readonly string[],
  trailers?: OutgoingHttpHeaders,
): Promise<Got> {
  const stream = session.request(headers, {
    endStream: body === undefined,
    waitForTrailers: trailers !== undefined,
  });
  if (trailers !== undefined) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  for (const part of body ?? []) stream.write(part);
  if (body !== undefined) stream.end();
  let late: IncomingHttpHeaders = {};
  stream.on('trailers', received => (late = received));
  const [received] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }];
  let text = '';
  for await (const chunk of stream.setEncoding('latin1')) text += String(chunk);
  return { status: received[':status'], headers: received, body: text, trailers: late };
}

test('HTTP/2: a request passes the same pipeline, and reaches the service in HTTP/1.1', async t => {
  const { session, authorization, backend, system } = await setUp(t);
  const got = await ask(session, {
    ':path': '/cart/1?a=b',
    authorization,
    'x-forwarded-for': '192.0.2.9',
    'x-ringwall-user': 'mallory',
  });
  assert.equal(got.status, 200);
  assert.equal(got.body, 'ok');
  assert.equal(got.headers['server'], undefined);
  assert.equal(got.headers['x-hop'], undefined);
  assert.equal(got.headers['strict-transport-security'], 'max-age=31536000');
  const seen = backend.seen[0];
  assert.equal(seen?.target, '/cart/1?a=b');
  assert.equal(seen.fields['x-ringwall-user'], 'alice');
  assert.equal(seen.fields['x-forwarded-for'], '127.0.0.1');
  assert.equal(seen.fields['x-forwarded-host'], 'shop.test:443');
  assert.equal(seen.fields['authorization'], undefined);
  const record = await system.journal.find(({ direction }) => direction === 'edge');
  assert.equal(record.requestId, got.headers['x-request-id']);
  assert.deepEqual([record.decision, record.status, record.path], ['allowed', 200, '/cart/1']);
});

test('HTTP/2: content goes on as it comes, with its trailers, and so does the answer', async t => {
  const answer = [
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n',
    '3\r\nabc\r\n',
    '0\r\nx-sum: 7\r\n\r\n',
  ];
  const { session, authorization, backend } = await setUp(t, { respond: c => answer.forEach(c.answer) });
  const got = await ask(session, { ':path': '/cart/1', ':method': 'POST', authorization }, ['one', 'two'], {
    'x-end': 'yes',
  });
  assert.deepEqual([got.body, got.trailers['x-sum']], ['abc', '7']);
  assert.equal(backend.seen[0]?.body.toString(), 'onetwo');
  assert.match(backend.seen[0].trailers, /x-end: yes/);
});

test('HTTP/2: an answer to HEAD has the length and no content', async t => {
  const { session, authorization } = await setUp(t, {
    respond: c => c.answer('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n'),
  });
  const got = await ask(session, { ':path': '/cart/1', ':method': 'HEAD', authorization });
  assert.deepEqual([got.status, got.headers['content-length'], got.body], [200, '100', '']);
});

for (const [what, headers, status, reason] of [
  ['no credentials', { ':path': '/cart/1' }, 401, 'credentials-missing'],
  ['an unknown path', { ':path': '/nowhere' }, 404, 'no-route'],
  ['another method', { ':path': '/', ':method': 'DELETE' }, 405, 'method-not-allowed'],
  ['an ambiguous path', { ':path': '/cart/..%2fadmin' }, 400, 'ambiguous-path'],
  [
    'another host than that of the connection',
    { ':path': '/', ':authority': 'other.test' },
    421,
    'unknown-host',
  ],
  [
    'a Host beside :authority that differs',
    { ':path': '/', ':authority': 'shop.test', host: 'other.test' },
    400,
    'malformed-request',
  ],
  [
    'a long declared body',
    { ':path': '/cart/1', ':method': 'POST', 'content-length': '5000' },
    401,
    'credentials-missing',
  ],
  ['a method in lower case', { ':path': '/', ':method': 'get' }, 400, 'malformed-request'],
] as const) {
  test(`HTTP/2: ${what}: ${status}, as in HTTP/1.1`, async t => {
    const { session, system, backend } = await setUp(t);
    const got = await ask(session, headers, 'content-length' in headers ? ['x'.repeat(5000)] : undefined);
    assert.equal(got.status, status);
    assert.equal((JSON.parse(got.body) as { reason: string }).reason, reason);
    assert.equal(got.headers['content-type'], 'application/problem+json');
    const record = await system.journal.find(({ requestId }) => requestId === got.headers['x-request-id']);
    assert.equal(record.reason, reason);
    assert.equal(backend.seen.length, 0);
  });
}

test('HTTP/2: a body above the bound is refused while it comes, and the other streams go on', async t => {
  const { session, authorization } = await setUp(t);
  const big = ask(session, { ':path': '/cart/1', ':method': 'POST', authorization }, ['x'.repeat(5000)]);
  const small = ask(session, { ':path': '/cart/2', authorization });
  assert.equal((await big).status, 413);
  assert.equal((await small).status, 200);
});

test('HTTP/2: a hundred streams at once are a hundred requests', async t => {
  const { session, authorization, system } = await setUp(t);
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, i) => ask(session, { ':path': `/cart/${i}`, authorization })),
  );
  assert.ok(answers.every(({ status, body }) => status === 200 && body === 'ok'));
  assert.equal(new Set(answers.map(({ headers }) => headers['x-request-id'])).size, 100);
  assert.equal(system.journal.records.filter(({ direction }) => direction === 'edge').length, 100);
});

test('HTTP/2: a stream that is not read holds its answer at the service, and no other stream', async t => {
  const size = 3_000_000;
  const { session, authorization } = await setUp(t, {
    respond: c =>
      c.answer(
        c.target === '/cart/big'
          ? `HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n${'x'.repeat(size)}`
          : OK,
      ),
  });
  const stream = session.request({ ':path': '/cart/big', authorization });
  await once(stream, 'response');
  assert.equal((await ask(session, { ':path': '/cart/1', authorization })).body, 'ok');
  let bytes = 0;
  for await (const chunk of stream) bytes += (chunk as Buffer).length;
  assert.equal(bytes, size);
});

test('HTTP/2: a stream that its caller ends is over, and recorded', async t => {
  const { session, authorization, system, backend } = await setUp(t, { respond: () => {} });
  const stream = session.request({ ':path': '/cart/1', authorization });
  stream.on('error', () => {});
  while (backend.seen.length === 0) await new Promise(resolve => setTimeout(resolve, 5));
  stream.close(constants.NGHTTP2_CANCEL);
  const record = await system.journal.find(({ direction }) => direction === 'edge');
  assert.equal(record.status, 0);
});

const REQUEST = headerBlock(
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'shop.test'],
  [':path', '/'],
);
const ODD = Array.from({ length: 1_000 }, (_, i) => 2 * i + 1);
const U32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

for (const [what, attack] of [
  [
    'rapid resets (CVE-2023-44487)',
    ODD.flatMap(id => [
      frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, id, REQUEST),
      frame(FRAME.rstStream, FLAG.none, id, U32(constants.NGHTTP2_CANCEL)),
    ]),
  ],
  [
    'a flood of CONTINUATION (CVE-2024-27316)',
    [
      frame(FRAME.headers, FLAG.none, 1, REQUEST),
      ...ODD.map(id => frame(FRAME.continuation, FLAG.none, 1, headerBlock([`x-${id}`, 'a'.repeat(1_000)]))),
    ],
  ],
  [
    'a flood of SETTINGS (CVE-2019-9515)',
    ODD.flatMap(() => Array.from({ length: 10 }, () => frame(FRAME.settings, FLAG.none, 0))),
  ],
  [
    'a flood of PING (CVE-2019-9512)',
    ODD.flatMap(() => Array.from({ length: 10 }, () => frame(FRAME.ping, FLAG.none, 0, Buffer.alloc(8)))),
  ],
  [
    'a window that overflows',
    [
      frame(FRAME.windowUpdate, FLAG.none, 0, U32(0x7fff_ffff)),
      frame(FRAME.windowUpdate, FLAG.none, 0, U32(0x7fff_ffff)),
    ],
  ],
  ['content on a stream that is not open', [frame(FRAME.data, FLAG.none, 1, Buffer.alloc(10))]],
] as const) {
  test(`HTTP/2: ${what} ends that connection, and a good client is served meanwhile`, async t => {
    const { session, system, authorization } = await setUp(t, {
      respond: c => setTimeout(() => c.answer(OK), 20),
    });
    const client = await RawClient.tls(system.gateway.port, {
      servername: 'shop.test',
      ca: [...system.authority.trustAnchors],
      ALPNProtocols: ['h2'],
    });
    t.after(() => client.close());
    client.send(Buffer.concat([PREFACE, frame(FRAME.settings, FLAG.none, 0)]));
    for (const bytes of attack) client.send(bytes);
    const answered = ask(session, { ':path': '/cart/1', authorization });
    await client.rest();
    assert.equal((await answered).status, 200);
  });
}

test('HTTP/2: a table entry that is named 12,000 times is refused, and costs nobody anything (CVE-2016-6581)', async t => {
  const { session, system, authorization, backend } = await setUp(t);
  const client = await RawClient.tls(system.gateway.port, {
    servername: 'shop.test',
    ca: [...system.authority.trustAnchors],
    ALPNProtocols: ['h2'],
  });
  t.after(() => client.close());
  // One literal of 3,900 bytes into the dynamic table (RFC 7541 §6.2.1), and then references to it.
  const entry = Buffer.concat([Buffer.of(0x40), headerBlock(['x-a', 'a'.repeat(3_900)]).subarray(1)]);
  const block = Buffer.concat([REQUEST, entry, Buffer.alloc(12_000, 0xbe)]);
  client.send(Buffer.concat([PREFACE, frame(FRAME.settings, FLAG.none, 0)]));
  client.send(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, block));
  assert.equal((await ask(session, { ':path': '/cart/1', authorization })).status, 200);
  await client.until(
    frame(FRAME.rstStream, FLAG.none, 1, U32(constants.NGHTTP2_ENHANCE_YOUR_CALM)).toString('latin1'),
  );
  assert.equal(backend.seen.length, 1);
});

test('HTTP/2: a draining gateway lets the streams in flight end, and takes no more', async t => {
  const { session, authorization, system } = await setUp(t, {
    respond: c => setTimeout(() => c.answer(OK), 100),
  });
  const slow = ask(session, { ':path': '/cart/1', authorization });
  await new Promise(resolve => setTimeout(resolve, 40));
  const goodbye = once(session, 'goaway');
  const drained = system.gateway.drain();
  await goodbye;
  assert.equal((await slow).body, 'ok');
  await drained;
});

test('HTTP/2: an answer in durable mode leaves after its record', async t => {
  const { session, authorization, system } = await setUp(t, { record: 'durable' });
  system.journal.mode = 'hold';
  const stream = session.request({ ':path': '/cart/1', authorization });
  let answered = false;
  stream.on('response', () => (answered = true));
  // The agent's record, then the gateway's.
  while (system.journal.held === 0) await new Promise(resolve => setTimeout(resolve, 5));
  system.journal.release();
  while (system.journal.held === 0) await new Promise(resolve => setTimeout(resolve, 5));
  await new Promise(resolve => setTimeout(resolve, 30));
  assert.equal(answered, false);
  system.journal.release();
  await once(stream, 'response');
  stream.close();
});
