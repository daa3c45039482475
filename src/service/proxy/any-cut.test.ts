import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { readAnswer, readRequest } from '#service/lab';
import { endOfTurn, playPoint, type PlayedSocket } from './proxy-lab.ts';

// However a stream of bytes is cut into pieces, and the pieces into turns of the event loop, it means the same.

/** A piece ends after so many bytes, and so many turns pass before the next. */
type Cut = { readonly bytes: number; readonly turns: number };

const cuts = fc.infiniteStream(
  fc.record({
    bytes: fc.oneof(
      { arbitrary: fc.integer({ min: 1, max: 40 }), weight: 4 },
      { arbitrary: fc.integer({ min: 41, max: 30_000 }), weight: 1 },
    ),
    turns: fc.nat(2),
  }),
);
const ONE_PIECE: Iterator<Cut> = { next: () => ({ value: { bytes: Infinity, turns: 0 } }) };

async function playInPieces(socket: PlayedSocket, text: string, pieces: Iterator<Cut>): Promise<void> {
  for (let at = 0; at < text.length;) {
    const { bytes, turns } = pieces.next().value as Cut;
    socket.play(text.slice(at, at + bytes));
    at += bytes;
    for (let i = 0; i < turns; i++) await endOfTurn();
  }
}

const body = fc.oneof(fc.string({ maxLength: 60, unit: 'binary-ascii' }), fc.constant('x'.repeat(20_000)));
const chunks = fc.array(fc.string({ minLength: 1, maxLength: 30, unit: 'binary-ascii' }), { maxLength: 4 });
const trailer = fc.constantFrom('', 'x-sum: 7\r\n');

const encodeChunks = (parts: readonly string[], trailers: string): string =>
  `${parts.map(part => `${part.length.toString(16)}\r\n${part}\r\n`).join('')}0\r\n${trailers}\r\n`;

// ---- requests

const request = fc.oneof(
  fc.constantFrom('GET', 'HEAD').map(method => ({ method, framing: '', content: '' })),
  body.map(text => ({ method: 'POST', framing: `content-length: ${text.length}\r\n`, content: text })),
  fc.tuple(chunks, trailer).map(([parts, trailers]) => ({
    method: 'PUT',
    framing: 'transfer-encoding: chunked\r\n',
    content: encodeChunks(parts, trailers),
  })),
);

/** Says what it was sent. */
function echo(socket: PlayedSocket): void {
  socket.written = () => {
    const read = readRequest(Buffer.from(socket.text, 'latin1'));
    if (read === undefined) return;
    socket.text = socket.text.slice(read.length);
    const { method, target, body, trailers } = read.request;
    const said = `${method} ${target} ${body.toString('latin1')} ${trailers}`;
    const content = method === 'HEAD' ? '' : said;
    setImmediate(() => socket.play(`HTTP/1.1 200 OK\r\ncontent-length: ${said.length}\r\n\r\n${content}`));
  };
}

function setUp(t: TestContext, dialled: (socket: PlayedSocket) => void) {
  const { connect, journal } = playPoint(t, { dialled });
  /** Waits for what `connect()` has asked; gives what it was answered, and what was recorded. */
  const outcome = async (caller: PlayedSocket, methods: readonly string[]) => {
    const answers: string[] = [];
    let rest: Buffer = Buffer.alloc(0);
    for (const method of methods) {
      for (let turns = 0; ; turns++) {
        rest = Buffer.from(caller.text, 'latin1');
        const read = readAnswer(rest, method, caller.destroyed);
        if (read !== undefined) {
          const { status, body, trailers } = read.answer;
          answers.push([status, body, trailers].join('|'));
          caller.text = caller.text.slice(read.length);
          break;
        }
        assert.ok(turns < 1_000, `no answer to request ${answers.length}: ${rest.toString('latin1')}`);
        await endOfTurn();
      }
    }
    assert.equal(caller.text, '');
    caller.destroy();
    const records = journal.records
      .splice(0)
      .map(({ method, path, status, reason, bytesIn, bytesOut }) =>
        [method, path, status, reason, bytesIn, bytesOut].join('|'),
      );
    return { answers, records };
  };
  return { connect, outcome };
}

test('however requests are cut, they are the same requests, with the same answers and records', async t => {
  const { connect, outcome } = setUp(t, echo);
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      cuts,
      async (requests, closes, pieces) => {
        const stream = requests
          .map(
            ({ method, framing, content }, i) =>
              `${method} /${i} HTTP/1.1\r\nhost: x\r\n${framing}\r\n${content}`,
          )
          .join('');
        const methods = requests.map(({ method }) => method);
        const whole = connect();
        await playInPieces(whole, stream, ONE_PIECE);
        if (closes) whole.playEnd();
        const expected = await outcome(whole, methods);
        assert.ok(expected.answers.every(answer => answer.startsWith('200|')));
        assert.equal(expected.records.length, requests.length);
        const cut = connect();
        await playInPieces(cut, stream, pieces);
        if (closes) cut.playEnd();
        assert.deepEqual(await outcome(cut, methods), expected);
      },
    ),
    { numRuns: 150 },
  );
});

// ---- answers

const answer = fc.oneof(
  body.map(text => `content-length: ${text.length}\r\n\r\n${text}`),
  fc
    .tuple(chunks, trailer)
    .map(([parts, trailers]) => `transfer-encoding: chunked\r\n\r\n${encodeChunks(parts, trailers)}`),
  body.map(text => `\r\n${text}`),
);
const interim = fc.constantFrom('', 'HTTP/1.1 100 Continue\r\n\r\n');
const ends = fc.constantFrom('at once', 'later');

test('however an answer is cut, and whenever its connection ends behind it, it is the same answer', async t => {
  let play: (socket: PlayedSocket) => Promise<void>;
  let played: Promise<void>;
  const { connect, outcome } = setUp(t, socket => {
    socket.written = () => {
      if (socket.text.endsWith('\r\n\r\n')) played = play(socket);
    };
  });
  await fc.assert(
    fc.asyncProperty(answer, interim, ends, cuts, async (framed, before, end, pieces) => {
      const ask = async (through: Iterator<Cut>) => {
        play = async socket => {
          await endOfTurn();
          await playInPieces(socket, `${before}HTTP/1.1 200 OK\r\n${framed}`, through);
          if (end === 'later') for (let i = 0; i < 3; i++) await endOfTurn();
          socket.playEnd();
        };
        const caller = connect().play('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
        const result = await outcome(caller, ['GET']);
        await played;
        return result;
      };
      const expected = await ask(ONE_PIECE);
      assert.match(expected.answers[0] ?? '', /^200\|/);
      assert.deepEqual(await ask(pieces), expected);
    }),
    { numRuns: 150 },
  );
});
