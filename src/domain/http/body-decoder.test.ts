import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  BodyDecoder,
  DEFAULT_LIMITS,
  encodeChunkHead,
  encodeLastChunk,
  HeaderList,
  HTTP_FAULTS,
  HttpError,
  type Framing,
  type HttpFault,
} from '#domain/http';

type Outcome = {
  content: string;
  taken: number;
  ended: boolean;
  trailers: string[];
  fault: string | undefined;
};

/** Decodes `raw`, cut at the given places. */
function decode(raw: string, framing: Framing = { kind: 'chunked' }, cuts: readonly number[] = []): Outcome {
  const buffer = Buffer.from(raw, 'latin1');
  const decoder = new BodyDecoder(framing, DEFAULT_LIMITS);
  let content = '';
  let taken = 0;
  let fault: string | undefined;
  try {
    for (const end of [...cuts.toSorted((a, b) => a - b), buffer.length]) {
      taken += decoder.decode(buffer, taken, end, { data: chunk => (content += chunk.toString('latin1')) });
      if (decoder.ended) break;
    }
  } catch (error) {
    assert.ok(error instanceof HttpError);
    fault = error.code;
  }
  assert.equal(decoder.bytes, content.length);
  const trailers = [...(decoder.trailers?.entries() ?? [])].map(([name, value]) => `${name}: ${value}`);
  return { content, taken: fault === undefined ? taken : -1, ended: decoder.ended, trailers, fault };
}

const REFUSED: readonly (readonly [fault: HttpFault, why: string, raw: string])[] = [
  ['bad-chunk-size', 'no size', '\r\nabc'],
  ['bad-chunk-size', '0x', '0x5\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-size', 'plus sign', '+5\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-size', 'minus sign', '-5\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-size', 'leading space', ' 5\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-size', 'trailing space', '5 \r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-size', 'trailing tab', '5\t\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-size', 'letter', '5g\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-size', 'underscore', '1_0\r\n'],
  ['bad-chunk-size', 'fraction', '5.0\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-size', 'comma', '5,5\r\n'],
  ['bad-chunk-size', 'quotes', '"5"\r\n'],
  ['bad-chunk-size', 'NUL', '5\u0000\r\n'],
  ['bad-chunk-size', '2^64 + 5', '10000000000000005\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-size', '14 zeros', `${'0'.repeat(14)}\r\n\r\n`],
  ['bad-chunk-size', 'endless zeros', '0'.repeat(5_000)],
  ['bad-chunk-size', 'full-width digit', '\u00ef\u00bc\u0095\r\n'],
  ['bare-lf', 'after the size', '5\nhello\r\n0\r\n\r\n'],
  ['bare-cr', 'after the size', '5\rhello\r\n0\r\n\r\n'],
  ['bare-cr', 'CR CR LF after the size', '5\r\r\nhello\r\n0\r\n\r\n'],
  ['bare-lf', 'for the size', '\nhello'],
  ['bare-lf', 'after the content', '5\r\nhello\n0\r\n\r\n'],
  ['bare-cr', 'after the content', '5\r\nhello\r0\r\n\r\n'],
  ['bad-chunk-end', 'content longer than its size', '4\r\nhello\r\n0\r\n\r\n'],
  ['bare-lf', 'content shorter than its size', '6\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-end', 'content shorter than its size, by two', '7\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-end', 'no CRLF after the content', '5\r\nhello0\r\n\r\n'],
  // extensions
  ['bad-chunk-extension', 'no name', '5;\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-extension', 'no name but a value', '5;=b\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-extension', 'no value', '5;a=\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-extension', 'two equals signs', '5;a=b=c\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-extension', 'space before the name', '5; a\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-extension', 'space after the name', '5;a \r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-extension', 'two semicolons', '5;;a\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-extension', 'not a token', '5;(a)\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-extension', 'tail behind quotes', '5;a="b"c\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-extension', 'open quotes', '5;a="b\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-extension', 'quotes in a token', '5;a=b"c"\r\nhello\r\n0\r\n\r\n'],
  ['bare-lf', 'in an extension (TERM.EXT)', '5;a\nhello\r\n0\r\n\r\n'],
  ['bare-lf', 'in quotes', '5;a="\n"\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-extension', 'CR in quotes', '5;a="\r"\r\nhello\r\n0\r\n\r\n'],
  ['bad-chunk-extension', 'escaped CR', '5;a="\\\r\n"\r\nhello\r\n0\r\n\r\n'],
  ['bare-cr', 'in an extension', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
  ['control-character', 'NUL in an extension', '5;a\u0000\r\nhello\r\n0\r\n\r\n'],
  ['non-ascii', 'obs-text in quotes', '5;a="\u00e9"\r\nhello\r\n0\r\n\r\n'],
  ['chunk-line-too-long', 'one extension', `5;${'a'.repeat(256)}\r\nhello\r\n0\r\n\r\n`],
  [
    'chunk-line-too-long',
    'all extensions together (CVE-2024-22019)',
    `1;${'a'.repeat(200)}\r\nx\r\n`.repeat(30),
  ],
  // trailers
  ['bare-lf', 'for the last line', '0\r\n\n'],
  ['bare-lf', 'after the last chunk', '0\n\r\n'],
  ['bare-cr', 'for the last line', '0\r\n\rX'],
  ['bare-lf', 'in a trailer', '0\r\nX: a\n\r\n'],
  ['leading-whitespace', 'before a trailer', '0\r\n X: a\r\n\r\n'],
  ['obs-fold', 'in a trailer', '0\r\nX: a\r\n b\r\n\r\n'],
  ['space-before-colon', 'in a trailer', '0\r\nX : a\r\n\r\n'],
  ['space-before-colon', 'a request for a trailer', '0\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['missing-colon', 'in a trailer', '0\r\nhello\r\n\r\n'],
  ['control-character', 'in a trailer', '0\r\nX: \u0000\r\n\r\n'],
  ['trailers-too-large', 'without end', `0\r\nX: ${'a'.repeat(4_096)}`],
  ['trailers-too-large', 'many', `0\r\n${`X: ${'a'.repeat(100)}\r\n`.repeat(60)}\r\n`],
  ...[
    'Content-Length: 5',
    'Transfer-Encoding: chunked',
    'Host: b',
    'Authorization: Bearer a',
    'Content-Type: a/b',
    'Content-Encoding: gzip',
    'Content-Range: bytes 0-1/2',
    'Connection: close',
    'Trailer: X',
    'Cookie: a=b',
    'Set-Cookie: a=b',
    'Cache-Control: no-store',
    'Expect: 100-continue',
    'Proxy: a',
    'X-Ringwall-User: root',
    'X_Ringwall_User: root',
    'x.ringwall.user: root',
    'X-Forwarded-For: 10.0.0.1',
    'X-Request-Id: a',
    'X-Original-URL: /admin',
  ].map(line => ['forbidden-trailer', line, `0\r\n${line}\r\n\r\n`] as const),
];

for (const [fault, why, raw] of REFUSED) {
  test(`BodyDecoder refuses ${fault}: ${why} (${HTTP_FAULTS[fault].source})`, () => {
    assert.equal(decode(raw).fault, fault);
    // Byte by byte it comes to the same.
    assert.equal(
      decode(
        raw,
        undefined,
        Array.from({ length: raw.length }, (_, index) => index),
      ).fault,
      fault,
    );
  });
}

test('a fault is final', () => {
  const decoder = new BodyDecoder({ kind: 'chunked' }, DEFAULT_LIMITS);
  const sink = { data: () => assert.fail('content after a fault') };
  for (const piece of ['x', '5\r\nhello\r\n0\r\n\r\n']) {
    assert.throws(() => decoder.decode(Buffer.from(piece), 0, piece.length, sink), {
      code: 'bad-chunk-size',
    });
  }
  assert.equal(decoder.ended, false);
});

test('BodyDecoder reads chunked content, extensions and trailers, and stops at the end', () => {
  const body = '5\r\nhello\r\nA;a;b=c;d="e\\"; f"\r\n, world...\r\n000\r\nX-Sum: 1\r\ngrpc-status:0\r\n\r\n';
  const outcome = decode(`${body}GET / HTTP/1.1\r\n`);
  assert.deepEqual(outcome, {
    content: 'hello, world...',
    taken: body.length,
    ended: true,
    trailers: ['x-sum: 1', 'grpc-status: 0'],
    fault: undefined,
  });
  for (let cut = 0; cut <= body.length; cut++)
    assert.deepEqual(decode(`${body}rest`, undefined, [cut]), outcome, `${cut}`);
});

test('BodyDecoder reads content by length, and not one byte more', () => {
  const framing: Framing = { kind: 'length', bytes: 5 };
  assert.deepEqual(decode('helloGET', framing), {
    content: 'hello',
    taken: 5,
    ended: true,
    trailers: [],
    fault: undefined,
  });
  assert.equal(decode('hell', framing).ended, false);
  assert.equal(decode('', { kind: 'length', bytes: 0 }).ended, true);
  assert.equal(decode('GET', { kind: 'none' }).taken, 0);
});

test('BodyDecoder.finish() lets only until-close bodies end with the connection (RFC 9112 §8)', () => {
  const bodies: readonly (readonly [Framing, string, boolean])[] = [
    [{ kind: 'until-close' }, 'hello', true],
    [{ kind: 'none' }, '', true],
    [{ kind: 'length', bytes: 5 }, 'hello', true],
    [{ kind: 'length', bytes: 5 }, 'hell', false],
    [{ kind: 'chunked' }, '5\r\nhello\r\n0\r\n\r\n', true],
    [{ kind: 'chunked' }, '5\r\nhello\r\n0\r\n', false],
    [{ kind: 'chunked' }, '5\r\nhello\r\n', false],
    [{ kind: 'chunked' }, '', false],
  ];
  for (const [framing, raw, mayEnd] of bodies) {
    const decoder = new BodyDecoder(framing, DEFAULT_LIMITS);
    decoder.decode(Buffer.from(raw), 0, raw.length, { data: () => {} });
    if (mayEnd) decoder.finish();
    else assert.throws(() => decoder.finish(), { code: 'body-cut-short' });
    assert.equal(decoder.ended, mayEnd);
  }
});

test('what is encoded in chunks is decoded again, cut anywhere', () => {
  const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 });
  fc.assert(
    fc.property(
      pieces,
      fc.array(fc.nat(400), { maxLength: 8 }),
      fc.boolean(),
      (chunks, cuts, withTrailers) => {
        const trailers = new HeaderList();
        if (withTrailers) trailers.push('x-sum', '1');
        const content = chunks.map(chunk => Buffer.from(chunk).toString('latin1'));
        const raw = `${content.map(chunk => `${encodeChunkHead(chunk.length)}${chunk}\r\n`).join('')}${encodeLastChunk(trailers)}`;
        const outcome = decode(
          `${raw}next`,
          undefined,
          cuts.map(cut => Math.min(cut, raw.length)),
        );
        assert.deepEqual(outcome, {
          content: content.join(''),
          taken: raw.length,
          ended: true,
          trailers: withTrailers ? ['x-sum: 1'] : [],
          fault: undefined,
        });
      },
    ),
  );
});

test('any bytes, cut anywhere, come to the same content and the same end', () => {
  const piece = fc.constantFrom(
    '0',
    '1',
    '5',
    'a',
    '\r\n',
    '\r',
    '\n',
    ';',
    '=',
    '"',
    '\\',
    ' ',
    'X: y',
    'hello',
    '\u0000',
    '\u00e9',
    '0\r\n\r\n',
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 20 }),
      fc.array(fc.nat(60), { maxLength: 6 }),
      (pieces, cuts) => {
        const raw = pieces.join('');
        const whole = decode(raw);
        assert.deepEqual(
          decode(
            raw,
            undefined,
            cuts.map(cut => Math.min(cut, raw.length)),
          ),
          whole,
        );
      },
    ),
    { numRuns: 3_000 },
  );
});
