import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { readAnswer } from '#service/lab';
import { Caller } from './caller.ts';
import { endOfTurn, OK, playPoint, type PlayedSocket, type PlayOptions } from './proxy-lab.ts';

// What comes within one turn of the event loop: several pieces, and the end of the connection behind them.

const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
const post = (path: string, body = 'hello') =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
const chunked = (path: string) =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`;

function setUp(t: TestContext, options: PlayOptions = {}) {
  const { connect, upstreams, journal } = playPoint(t, options);
  /** The connection to the upstream on which `text` was sent. */
  const asked = async (text: string): Promise<PlayedSocket> => {
    for (let turns = 0; turns < 50; turns++) {
      const found = upstreams.find(socket => socket.text.includes(text));
      if (found !== undefined) return found;
      await endOfTurn();
    }
    throw new Error(`the upstream was not asked ${JSON.stringify(text)}`);
  };
  const records = () =>
    journal.records.map(({ method, path, status, reason }) => `${method} ${path} ${status} ${reason}`.trim());
  return { connect, upstreams, asked, records, journal };
}

async function settle(): Promise<void> {
  for (let turns = 0; turns < 10; turns++) await endOfTurn();
}

/** What the caller has got: `<status> <body>` of each answer. */
function answersOf({ text, destroyed }: PlayedSocket): readonly string[] {
  const answers: string[] = [];
  let rest = Buffer.from(text, 'latin1');
  for (;;) {
    const read = readAnswer(rest, 'GET', destroyed);
    if (read === undefined) break;
    answers.push(`${read.answer.status} ${read.answer.body}`);
    rest = rest.subarray(read.length);
  }
  assert.equal(rest.length, 0, `more than answers: ${rest.toString('latin1')}`);
  return answers;
}

// ---- the caller's side

test('a request and its FIN: it is answered, then the connection ends', async t => {
  const { connect, asked, records } = setUp(t);
  const caller = connect().play(get('/a')).playEnd();
  (await asked('/a')).play(OK);
  await settle();
  assert.deepEqual(answersOf(caller), ['200 ok']);
  assert.equal(caller.destroyed, true);
  assert.deepEqual(records(), ['GET /a 200']);
});

for (const [what, request, hop] of [
  ['a length', post('/a'), {}],
  ['chunks', chunked('/a'), {}],
  ['a caller that is looked up', post('/a'), { identify: async () => Caller.anonymous('a') }],
] as const) {
  test(`a request with a body, ${what}, and its FIN: it is whole, and answered`, async t => {
    const { connect, asked, records } = setUp(t, { hop });
    const caller = connect().play(request).playEnd();
    (await asked('hello')).play(OK);
    await settle();
    assert.deepEqual(answersOf(caller), ['200 ok']);
    assert.deepEqual(records(), ['POST /a 200']);
  });
}

for (const [what, request] of [
  ['its length', post('/a').slice(0, -1)],
  ['its chunks', chunked('/a').slice(0, -1)],
  ['its last chunk', chunked('/a').slice(0, -'0\r\n\r\n'.length)],
] as const) {
  for (const upstreamIs of ['cold', 'warm'] as const) {
    test(`a body that its FIN cuts short of ${what} is no request, the upstream being ${upstreamIs}`, async t => {
      const { connect, asked, records, journal, upstreams } = setUp(t);
      if (upstreamIs === 'warm') {
        const before = connect().play(get('/warm'));
        (await asked('/warm')).play(OK);
        while (before.text === '') await endOfTurn();
        journal.records.length = 0;
      }
      const caller = connect().play(request).playEnd();
      await settle();
      assert.equal(caller.text, '');
      assert.equal(caller.destroyed, true);
      assert.deepEqual(records(), ['POST /a 0']);
      assert.match(journal.records[0]?.detail ?? '', /closed before the body ended/);
      // Who began to read it finds that it does not end.
      assert.ok(upstreams.every(({ text, destroyed }) => destroyed || !text.includes('/a')));
    });
  }
}

test('a head that its FIN cuts short: 400', async t => {
  const { connect, records, upstreams } = setUp(t);
  const caller = connect().play('GET /a HTTP/1.1\r\nhost: x\r\n').playEnd();
  await settle();
  assert.match(caller.text, /^HTTP\/1\.1 400 /);
  assert.deepEqual(
    records(),
    ['GET  400 malformed-request'.replace('GET ', '- /a')].slice(1).concat(records()),
  );
  assert.equal(upstreams.length, 0);
});

test('a FIN alone: no answer, no record', async t => {
  const { connect, records } = setUp(t);
  const caller = connect().playEnd();
  await settle();
  assert.equal(caller.destroyed, true);
  assert.equal(caller.text, '');
  assert.deepEqual(records(), []);
});

test('two requests in one piece: answered in their order, the second begun after the first', async t => {
  const { connect, asked, upstreams, records } = setUp(t);
  const caller = connect().play(get('/a') + get('/b'));
  const upstream = await asked('/a');
  await settle();
  assert.ok(!upstream.text.includes('/b'));
  upstream.play(OK);
  await asked('/b');
  upstream.play(OK.replace('ok', 'no'));
  await settle();
  assert.deepEqual(answersOf(caller), ['200 ok', '200 no']);
  assert.equal(upstreams.length, 1);
  assert.deepEqual(records(), ['GET /a 200', 'GET /b 200']);
});

test('requests and their FIN: each that came whole is answered', async t => {
  const { connect, asked, records } = setUp(t);
  const caller = connect()
    .play(get('/a') + post('/b') + get('/c'))
    .playEnd();
  for (const path of ['/a', '/b', '/c']) (await asked(path)).play(OK);
  await settle();
  assert.deepEqual(answersOf(caller), ['200 ok', '200 ok', '200 ok']);
  assert.equal(caller.destroyed, true);
  assert.deepEqual(records(), ['GET /a 200', 'POST /b 200', 'GET /c 200']);
});

test('a request, half a request and their FIN: one answer and a 400', async t => {
  const { connect, asked, upstreams } = setUp(t);
  const caller = connect()
    .play(`${get('/a')}GET /b HTTP`)
    .playEnd();
  (await asked('/a')).play(OK);
  await settle();
  assert.match(caller.text, /\r\n\r\nokHTTP\/1\.1 400 /);
  assert.equal(upstreams.length, 1);
  assert.ok(!upstreams[0]?.text.includes('/b'));
});

test('a request and a reset: nobody is answered, the upstream is let go', async t => {
  const { connect, upstreams, journal } = setUp(t);
  const caller = connect().play(get('/a')).playReset();
  await settle();
  assert.equal(caller.text, '');
  assert.ok(upstreams.every(({ destroyed, text }) => destroyed || text === ''));
  assert.ok(journal.records.length <= 1);
});

test('a request in several pieces of one turn is one request', async t => {
  const { connect, asked, records } = setUp(t);
  const caller = connect();
  for (const piece of post('/a').match(/[^]{1,7}/g) ?? []) caller.play(piece);
  (await asked('hello')).play(OK);
  await settle();
  assert.deepEqual(answersOf(caller), ['200 ok']);
  assert.deepEqual(records(), ['POST /a 200']);
});

// ---- the upstream's side

const endings: readonly (readonly [how: string, end: (socket: PlayedSocket) => unknown])[] = [
  ['its FIN', socket => socket.playEnd()],
  ['a reset', socket => socket.playReset()],
];
for (const [how, end] of endings) {
  test(`an answer and ${how}: the answer passes, and the connection is not used again`, async t => {
    const { connect, asked, records, upstreams } = setUp(t);
    const caller = connect().play(get('/a'));
    end((await asked('/a')).play(OK));
    await settle();
    assert.deepEqual(answersOf(caller), ['200 ok']);
    caller.play(post('/b'));
    const second = await asked('/b');
    second.play(OK);
    await settle();
    assert.equal(upstreams.indexOf(second), 1);
    assert.deepEqual(answersOf(caller), ['200 ok', '200 ok']);
    assert.deepEqual(records(), ['GET /a 200', 'POST /b 200']);
  });

  test(`an answer and ${how}: what waits behind it in the pipeline goes another way`, async t => {
    const { connect, asked, records, upstreams } = setUp(t);
    const caller = connect().play(get('/a') + post('/b'));
    end((await asked('/a')).play(OK));
    const second = await asked('hello');
    assert.equal(upstreams.indexOf(second), 1);
    second.play(OK);
    await settle();
    assert.deepEqual(answersOf(caller), ['200 ok', '200 ok']);
    assert.deepEqual(records(), ['GET /a 200', 'POST /b 200']);
    assert.ok(!upstreams[0]?.text.includes('/b'));
  });

  test(`half an answer and ${how}: 502, or a connection that is cut where the head had left`, async t => {
    const { connect, asked, records } = setUp(t);
    const [early, late] = [connect().play(get('/early')), connect().play(get('/late'))];
    end((await asked('/early')).play('HTTP/1.1 200 OK\r\ncontent-le'));
    const upstream = (await asked('/late')).play('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf');
    await settle();
    end(upstream.play('more'));
    await settle();
    assert.match(early.text, /^HTTP\/1\.1 502 /);
    assert.equal(early.destroyed, false);
    assert.match(late.text, /\r\n\r\nhalf(more)?$/);
    assert.equal(late.destroyed, true);
    assert.deepEqual(records(), ['GET /early 502 upstream-malformed', 'GET /late 200 upstream-malformed']);
  });
}

test('an answer without a length and its FIN is whole; with a reset it is not', async t => {
  const { connect, asked, records } = setUp(t);
  const text = 'HTTP/1.1 200 OK\r\n\r\nuntil the end';
  const [whole, cut] = [connect().play(get('/whole')), connect().play(get('/cut'))];
  (await asked('/whole')).play(text).playEnd();
  (await asked('/cut')).play(text).playReset();
  await settle();
  assert.deepEqual(answersOf(whole), ['200 until the end']);
  assert.equal(cut.destroyed, true);
  assert.doesNotMatch(cut.text, /\r\n0\r\n\r\n$/);
  assert.deepEqual(records(), ['GET /whole 200', 'GET /cut 200 upstream-malformed']);
});

test('an answer and the FIN of its caller: it is answered', async t => {
  const { connect, asked, records } = setUp(t);
  const caller = connect().play(get('/a'));
  const upstream = await asked('/a');
  caller.playEnd();
  upstream.play(OK);
  await settle();
  assert.deepEqual(answersOf(caller), ['200 ok']);
  assert.deepEqual(records(), ['GET /a 200']);
});

test('an answer and the reset of its caller: one record, and nothing is written any more', async t => {
  const { connect, asked, journal } = setUp(t);
  const caller = connect().play(get('/a'));
  (await asked('/a')).play(OK);
  caller.playReset();
  await settle();
  assert.equal(journal.records.length, 1);
  assert.equal(caller.text, '');
});
