import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabSystem, type Conversation } from '#service/lab';
import type { ProxySettings } from '#service/proxy';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

async function setUp(
  t: TestContext,
  respond: (c: Conversation) => void,
  settings: Partial<ProxySettings> = {},
) {
  const system = await LabSystem.start({ respond, settings });
  t.after(() => system.close());
  const client = await system.egress();
  t.after(() => client.close());
  return { system, client, backend: system.backend, journal: system.journal };
}

const reasonOf = (body: string) => (JSON.parse(body) as { reason: string }).reason;

// ---- upstreams

const misbehaviours: readonly (readonly [
  name: string,
  respond: (c: Conversation) => void,
  status: number,
  reason: string,
])[] = [
  ['closes without an answer', c => c.socket.destroy(), 502, 'upstream-unreachable'],
  ['answers garbage', c => c.answer('SSH-2.0-OpenSSH\r\n\r\n'), 502, 'upstream-malformed'],
  ['closes within the head', c => c.socket.end('HTTP/1.1 200 OK\r\ncontent-le'), 502, 'upstream-malformed'],
  [
    'gives two lengths',
    c => c.answer('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok'),
    502,
    'upstream-malformed',
  ],
  [
    'gives two different lengths',
    c => c.answer('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok'),
    502,
    'upstream-malformed',
  ],
  [
    'upgrades unasked',
    c => c.answer('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n'),
    502,
    'upstream-malformed',
  ],
  [
    'sends interim answers without end',
    c => c.answer('HTTP/1.1 102 Processing\r\n\r\n'.repeat(50)),
    502,
    'upstream-malformed',
  ],
  [
    'has a head without end',
    c => c.answer(`HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(20_000)}`),
    502,
    'upstream-malformed',
  ],
  ['says nothing', () => {}, 504, 'upstream-timeout'],
];
for (const [name, respond, status, reason] of misbehaviours) {
  test(`an upstream that ${name}: ${status} ${reason}`, async t => {
    const { client, journal } = await setUp(t, respond, { answerTimeoutMs: 200 });
    client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    let answer = await client.answer();
    while (answer.status < 200) answer = await client.answer();
    assert.equal(answer.status, status);
    assert.equal(reasonOf(answer.body), reason);
    const record = await journal.find(r => r.reason === reason);
    assert.equal(record.decision, 'failed');
    // The caller's connection is not to blame.
    assert.equal(answer.fields['connection'], undefined);
  });
}

test('an upstream that nobody listens on: 502', async t => {
  const { client, backend } = await setUp(t, c => c.answer(OK));
  await backend.close();
  const answer = await client.get('/');
  assert.equal(answer.status, 502);
  assert.equal(reasonOf(answer.body), 'upstream-unreachable');
});

for (const [name, respond] of [
  [
    'cuts a body of known length',
    (c: Conversation) => c.socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'),
  ],
  [
    'cuts a chunked body',
    (c: Conversation) => c.socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n'),
  ],
  [
    'stalls within its body',
    (c: Conversation) => c.answer('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'),
  ],
  [
    'breaks its chunks',
    (c: Conversation) =>
      setTimeout(() => c.answer('zz\r\n'), 30) &&
      c.answer('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n'),
  ],
] as const) {
  test(`an upstream that ${name}: the caller can see that the answer is not whole`, async t => {
    const { client, journal } = await setUp(t, respond, { bodyIdleTimeoutMs: 200 });
    client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    const text = await client.rest();
    assert.match(text, /^HTTP\/1\.1 200 OK/);
    assert.doesNotMatch(text, /\r\n0\r\n\r\n$/);
    assert.equal((await journal.find(r => r.reason !== '')).decision, 'failed');
  });
}

test('a second answer goes to nobody, and its connection is not used again', async t => {
  const { client, backend } = await setUp(t, c =>
    c.answer(`${OK}HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\npoisoned`),
  );
  for (let i = 0; i < 3; i++) assert.equal((await client.get(`/${i}`)).body, 'ok');
  assert.equal(backend.connections(), 3);
});

test('a late second answer, sent while the connection is idle, goes to nobody', async t => {
  const { client, backend } = await setUp(t, c => c.answer(OK));
  assert.equal((await client.get('/1')).body, 'ok');
  backend.open()[0]?.write('HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\npoisoned');
  await sleep(50);
  assert.equal((await client.get('/2')).body, 'ok');
  assert.equal(backend.connections(), 2);
});

test('a kept connection that the upstream closed costs an idempotent request nothing', async t => {
  let cut = false;
  const { client, backend } = await setUp(t, c => {
    if (!cut) c.answer(OK);
    else if (c.socket === backend.seen[0]?.socket) c.socket.destroy();
    else c.answer(OK);
  });
  assert.equal((await client.get('/1')).status, 200);
  cut = true;
  assert.equal((await client.get('/2')).status, 200);
  assert.deepEqual(
    backend.seen.map(({ target }) => target),
    ['/1', '/2', '/2'],
  );
});

test('a POST is not sent twice', async t => {
  let cut = false;
  const { client, backend } = await setUp(t, c => (cut ? c.socket.destroy() : c.answer(OK)));
  assert.equal((await client.get('/1')).status, 200);
  cut = true;
  client.send('POST /2 HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n');
  assert.equal((await client.answer()).status, 502);
  assert.equal(backend.seen.length, 2);
});

test('above the bound on connections requests wait, and above the bound on waiting they are refused', async t => {
  const held: Conversation[] = [];
  const { system } = await setUp(t, c => void held.push(c), { maxUpstreamConnections: 1, maxWaiting: 1 });
  const clients = await Promise.all([1, 2, 3].map(() => system.egress()));
  for (const client of clients) {
    client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await sleep(30);
  }
  assert.equal((await clients[2]!.answer()).status, 503);
  held[0]?.answer(OK);
  assert.equal((await clients[0]!.answer()).status, 200);
  while (held.length < 2) await sleep(5);
  held[1]?.answer(OK);
  assert.equal((await clients[1]!.answer()).status, 200);
  for (const client of clients) client.close();
});

// ---- streams

const MEGABYTE = Buffer.alloc(1_048_576, 'x');

test('100 MB pass through at the pace of the reader: what it has not read waits in the upstream', async t => {
  const megabytes = 100;
  let sent = 0;
  let received = 0;
  const { system } = await setUp(t, c => {
    c.answer(`HTTP/1.1 200 OK\r\ncontent-length: ${megabytes * MEGABYTE.length}\r\n\r\n`);
    const more = () => {
      while (sent < megabytes) {
        sent++;
        if (!c.socket.write(MEGABYTE)) {
          c.socket.once('drain', more);
          return;
        }
      }
    };
    more();
  });
  const socket = connect({ host: '127.0.0.1', port: system.agent.port(`egress/shop/${system.origin}`) });
  t.after(() => socket.destroy());
  socket.pause();
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await sleep(300);
  // Two pairs of kernel buffers and what we hold of it.
  assert.ok(sent < 20, `${sent} MB`);
  let ahead = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    received += chunk.length;
    ahead = Math.max(ahead, sent - received / MEGABYTE.length);
    if (received >= megabytes * MEGABYTE.length) break;
  }
  assert.ok(received > megabytes * MEGABYTE.length);
  assert.ok(ahead < 20, `${ahead} MB`);
});

test('an upload waits for an upstream that does not read', async t => {
  const { system, backend } = await setUp(t, () => {});
  const socket = connect({ host: '127.0.0.1', port: system.agent.port(`egress/shop/${system.origin}`) });
  t.after(() => socket.destroy());
  socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 104857600\r\n\r\n');
  while (backend.open().length === 0) await sleep(5);
  backend.open()[0]?.pause();
  let written = 0;
  while (written < 100 && socket.writableLength < 8 * MEGABYTE.length) {
    socket.write(MEGABYTE);
    written++;
    await sleep(2);
  }
  await sleep(100);
  // Kernel buffers take some megabytes; the rest never left the client.
  assert.ok(socket.writableLength > 4 * MEGABYTE.length, `${socket.writableLength}`);
});

// ---- slow clients

test('a head that trickles in is ended by a timeout of its own: 408, recorded', async t => {
  const { client, journal } = await setUp(t, c => c.answer(OK), { headTimeoutMs: 250 });
  const trickle = setInterval(() => client.send('a'), 20);
  t.after(() => clearInterval(trickle));
  client.send('GET / HTTP/1.1\r\nx: ');
  assert.equal((await client.answer()).status, 408);
  clearInterval(trickle);
  assert.equal((await journal.find(r => r.reason === 'request-timeout')).status, 408);
});

test('a body that stalls: 408, and the upstream is let go', async t => {
  const { client, backend } = await setUp(t, c => c.answer(OK), { bodyIdleTimeoutMs: 200 });
  client.send('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf');
  assert.equal((await client.answer()).status, 408);
  await client.rest();
  await sleep(20);
  assert.equal(backend.open().length, 0);
});

test('a body that trickles for ever: 408 once its rate is too low', async t => {
  const { client } = await setUp(t, c => c.answer(OK), {
    bodyIdleTimeoutMs: 5_000,
    rateGraceMs: 300,
    minBytesPerSecond: 1_000,
  });
  client.send('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n');
  const trickle = setInterval(() => client.send('a'), 20);
  t.after(() => clearInterval(trickle));
  assert.equal((await client.answer()).status, 408);
});

test('a caller that does not read its answer is cut off, and holds no upstream', async t => {
  const { system, backend, journal } = await setUp(
    t,
    c => {
      c.answer(`HTTP/1.1 200 OK\r\ncontent-length: ${50 * MEGABYTE.length}\r\n\r\n`);
      for (let i = 0; i < 50; i++) c.socket.write(MEGABYTE);
    },
    { bodyIdleTimeoutMs: 300 },
  );
  const socket = connect({ host: '127.0.0.1', port: system.agent.port(`egress/shop/${system.origin}`) });
  t.after(() => socket.destroy());
  socket.pause();
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.match((await journal.find(r => r.detail !== '')).detail, /does not read/);
  while (backend.open().length > 0) await sleep(10);
});

test('an idle connection is closed without a word', async t => {
  const { client, journal } = await setUp(t, c => c.answer(OK), { keepAliveTimeoutMs: 150 });
  assert.equal((await client.get('/')).status, 200);
  assert.equal(await client.rest(), '');
  assert.equal(journal.records.length, 1);
});

test('an address may not have more than its share of connections', async t => {
  const { system } = await setUp(t, c => c.answer(OK), { maxConnectionsPerAddress: 3 });
  const second = await system.egress();
  const third = await system.egress();
  const fourth = await system.egress();
  assert.equal(await fourth.rest(), '');
  assert.equal((await third.get('/')).status, 200);
  second.close();
  await sleep(30);
  const fifth = await system.egress();
  assert.equal((await fifth.get('/')).status, 200);
  third.close();
  fifth.close();
});

test('a caller that resets its connection lets the upstream go', async t => {
  const { client, backend, journal } = await setUp(t, () => {});
  client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  while (backend.seen.length === 0) await sleep(5);
  client.socket.resetAndDestroy();
  while (backend.open().length > 0) await sleep(5);
  const record = await journal.find(r => r.status === 0);
  assert.match(record.detail, /closed/);
});

test('who closes his writing side after the request still gets his answer', async t => {
  const { client } = await setUp(t, c => setTimeout(() => c.answer(OK), 50));
  client.socket.end('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.equal((await client.answer()).body, 'ok');
});

test('pipelined requests of a caller that does not read are not served into memory', async t => {
  const { system, backend } = await setUp(t, c =>
    c.answer(`HTTP/1.1 200 OK\r\ncontent-length: ${MEGABYTE.length}\r\n\r\n${MEGABYTE.toString()}`),
  );
  const socket = connect({ host: '127.0.0.1', port: system.agent.port(`egress/shop/${system.origin}`) });
  t.after(() => socket.destroy());
  socket.pause();
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(200));
  await sleep(300);
  assert.ok(backend.seen.length < 30, `${backend.seen.length}`);
});
