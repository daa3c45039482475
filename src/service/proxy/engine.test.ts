import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabSystem, type Conversation } from '#service/lab';
import type { ProxySettings } from '#service/proxy';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** The shortest way through the engine: plaintext in, plaintext out. */
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

const get = (path = '/', fields = '') => `GET ${path} HTTP/1.1\r\nhost: x\r\n${fields}\r\n`;

test('requests on one connection are answered in order, and use one connection to the upstream', async t => {
  const { client, backend } = await setUp(t, c =>
    c.answer(`HTTP/1.1 200 OK\r\ncontent-length: ${c.target.length}\r\n\r\n${c.target}`),
  );
  client.send(get('/a') + get('/bb') + get('/ccc'));
  assert.deepEqual(
    [await client.answer(), await client.answer(), await client.answer()].map(a => a.body),
    ['/a', '/bb', '/ccc'],
  );
  assert.equal((await client.get('/d')).body, '/d');
  assert.equal(backend.connections(), 1);
});

test('a pipelined request is not begun before the answer to the one before has ended', async t => {
  const waiting: Conversation[] = [];
  const { client, backend } = await setUp(t, c => void waiting.push(c));
  client.send(get('/a') + get('/b'));
  while (backend.seen.length === 0) await sleep(5);
  await sleep(50);
  assert.equal(backend.seen.length, 1);
  waiting[0]?.answer(OK);
  await client.answer();
  while (backend.seen.length === 1) await sleep(5);
  waiting[1]?.answer(OK);
  assert.equal((await client.answer()).status, 200);
});

test('what the backend reads is written anew: path normalised, hop-by-hop fields gone, one spelling of each name', async t => {
  const { client, backend } = await setUp(t, c => c.answer(OK));
  client.send(
    'GET /%7Euser/%c3%a9?q=%2f HTTP/1.1\r\nHost: x\r\nConnection: x-secret, keep-alive\r\nX-Secret: 1\r\nACCEPT:  */*\r\n\r\n',
  );
  assert.equal((await client.answer()).status, 200);
  const head = backend.seen[0]?.head ?? '';
  assert.match(head, /^GET \/~user\/%C3%A9\?q=%2f HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\n/);
  assert.match(head, /\r\naccept: \*\/\*\r\n/);
  assert.doesNotMatch(head, /secret|connection/i);
});

for (const [name, body] of [
  ['a length', 'content-length: 11\r\n\r\nhello world'],
  ['chunks', 'transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n'],
] as const) {
  test(`a request body with ${name} arrives whole, in pieces of any size`, async t => {
    const { client, backend } = await setUp(t, c => c.answer(OK));
    for (const byte of `POST / HTTP/1.1\r\nhost: x\r\n${body}`) {
      client.send(byte);
      await sleep(0);
    }
    assert.equal((await client.answer()).status, 200);
    assert.equal(backend.seen[0]?.body.toString(), 'hello world');
    assert.equal((await client.get('/next')).status, 200);
  });
}

test('a POST without body says so to the upstream, and an empty body needs no waiting', async t => {
  const { client, backend } = await setUp(t, c => c.answer(OK));
  client.send('POST /a HTTP/1.1\r\nhost: x\r\n\r\nPOST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n');
  assert.equal((await client.answer()).status, 200);
  assert.equal((await client.answer()).status, 200);
  assert.deepEqual(
    backend.seen.map(({ fields }) => fields['content-length']),
    ['0', '0'],
  );
});

test('trailers pass in both directions', async t => {
  const { client, backend } = await setUp(t, c =>
    c.answer('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n'),
  );
  client.send(
    'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-check: 9\r\n\r\n',
  );
  const answer = await client.answer();
  assert.equal(answer.body, 'ok');
  assert.match(answer.trailers, /x-sum: 7/);
  assert.match(backend.seen[0]?.trailers ?? '', /x-check: 9/);
});

test('answers without a body keep the connection: HEAD, 204, 304', async t => {
  const answers: Readonly<Record<string, string>> = {
    '/head': 'HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n',
    '/204': 'HTTP/1.1 204 No Content\r\n\r\n',
    '/304': 'HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\netag: "a"\r\n\r\n',
  };
  const { client, backend } = await setUp(t, c => c.answer(answers[c.target] ?? OK));
  client.send('HEAD /head HTTP/1.1\r\nhost: x\r\n\r\n');
  const head = await client.answer('HEAD');
  assert.equal(head.fields['content-length'], '1234');
  assert.equal((await client.get('/204')).status, 204);
  assert.equal((await client.get('/304')).fields['etag'], '"a"');
  assert.equal((await client.get('/')).body, 'ok');
  assert.equal(backend.connections(), 1);
});

test('a 103 passes, a 100 of the upstream does not', async t => {
  const { client } = await setUp(t, c =>
    c.answer(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n${OK}`),
  );
  client.send(get());
  assert.equal((await client.answer()).status, 103);
  assert.equal((await client.answer()).status, 200);
});

test('interim answers pass up to 8 KiB: their heads are no way around the bound on answers', async t => {
  const interim = (status: number) => `HTTP/1.1 ${status} Hint\r\nlink: ${'a'.repeat(3000)}\r\n\r\n`;
  const { client } = await setUp(t, c => c.answer([102, 103, 104, 105].map(interim).join('') + OK));
  const statuses: number[] = [];
  client.send(get());
  do statuses.push((await client.answer()).status);
  while (statuses.at(-1) !== 200);
  assert.deepEqual(statuses, [102, 103, 200]);
});

test('"Expect: 100-continue" is answered by us, and not passed on (RFC 9110 §10.1.1)', async t => {
  const { client, backend } = await setUp(t, c => c.answer(OK));
  client.send('POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n');
  assert.equal((await client.answer()).status, 100);
  client.send('hi');
  assert.equal((await client.answer()).status, 200);
  assert.equal(backend.seen[0]?.fields['expect'], undefined);
  assert.equal(backend.seen[0]?.body.toString(), 'hi');
});

test('a client of HTTP/1.0 gets no chunks and no 1xx', async t => {
  const { client } = await setUp(t, c =>
    c.answer(
      'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    ),
  );
  client.send('GET / HTTP/1.0\r\nhost: x\r\n\r\n');
  const text = await client.rest();
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(text, /\r\n\r\nok$/);
  assert.doesNotMatch(text, /chunked/);
});

test('an answer that ends with its connection becomes chunks', async t => {
  const { client } = await setUp(t, c => c.socket.end('HTTP/1.0 200 OK\r\n\r\nuntil the end'));
  const answer = await client.get('/');
  assert.equal(answer.body, 'until the end');
  assert.equal(answer.fields['transfer-encoding'], 'chunked');
});

test('"Connection: close" is honoured', async t => {
  const { client } = await setUp(t, c => c.answer(OK));
  client.send(get('/', 'connection: close\r\n'));
  assert.equal((await client.answer()).fields['connection'], 'close');
  await client.rest();
});

test('an answer before the end of the request closes the connection after it, and the client can read it', async t => {
  const { client, backend } = await setUp(t, () => {});
  client.send(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\n${'x'.repeat(1000)}`);
  while (backend.open().length === 0) await sleep(5);
  await sleep(20);
  backend.open()[0]?.write('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno');
  const answer = await client.answer();
  assert.equal(answer.status, 403);
  assert.equal(answer.fields['connection'], 'close');
  await client.rest();
});

const malformed: readonly (readonly [name: string, bytes: string, status: number])[] = [
  [
    'both lengths',
    'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
  ],
  ['a bare LF', 'GET / HTTP/1.1\nhost: x\n\n', 400],
  ['HTTP/0.9', 'GET /\r\n\r\n', 400],
  ['two hosts', 'GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n', 400],
  ['an encoded slash', get('/a%2fb'), 400],
  ['dot segments', get('/a/../b'), 400],
  ['another transfer coding', 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n', 501],
  ['too many fields', get('/', Array.from({ length: 200 }, (_, i) => `a${i}: 1\r\n`).join('')), 431],
  ['another version', 'GET / HTTP/3.0\r\nhost: x\r\n\r\n', 505],
  ['a broken chunk', 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n', 400],
];
for (const [name, bytes, status] of malformed) {
  test(`${name} is refused, closes the connection, is recorded and never reaches the upstream`, async t => {
    const { client, backend, journal } = await setUp(t, c => c.answer(OK));
    // The control: the same way is open to a request that is well formed.
    assert.equal((await client.get('/')).status, 200);
    client.send(`${bytes}GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n`);
    const answer = await client.answer();
    assert.equal(answer.status, status);
    assert.equal(answer.fields['content-type'], 'application/problem+json');
    if (!bytes.includes('/a')) {
      assert.equal(answer.fields['connection'], 'close');
      await client.rest();
    } else await client.answer();
    const record = await journal.find(r => r.status === status);
    assert.equal(record.decision, 'refused');
    assert.equal(record.requestId, answer.fields['x-request-id']);
    assert.ok(
      backend.seen.every(({ target, method }) => method === 'GET' && !target.includes('a')) ||
        bytes.includes('/a'),
    );
    assert.ok(!backend.seen.some(({ target }) => target === '/smuggled') || bytes.includes('/a'));
  });
}

test('the query does not get into the record, neither of a request nor of what could not be read', async t => {
  const { client, journal } = await setUp(t, c => c.answer(OK));
  await client.get('/path?token=secret');
  client.send('GET /bad?token=secret HTTP/9\r\n\r\n');
  await client.answer();
  assert.ok(journal.records.length >= 2);
  assert.doesNotMatch(JSON.stringify(journal.records), /secret/);
});
