import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  decodeRequestHead,
  DEFAULT_LIMITS,
  dropUntrusted,
  encodeRequestHead,
  readHttp2Request,
  readHttp2Trailers,
  type RequestHead,
} from '#domain/http';

type Fields = readonly (readonly [name: string, value: string])[];

const GET: Fields = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'shop.test'],
  [':path', '/a?b'],
];

/** `GET` with some of its fields replaced, and others behind it. */
function fieldsWith(changes: Readonly<Record<string, string | undefined>>, more: Fields = []): string[] {
  const pseudo = GET.flatMap(([name, value]) => {
    const changed = Object.hasOwn(changes, name) ? changes[name] : value;
    return changed === undefined ? [] : [name, changed];
  });
  return [...pseudo, ...more.flat()];
}

function read(fields: readonly string[], endsHere = true) {
  return readHttp2Request(fields, endsHere, 'https', DEFAULT_LIMITS);
}

function headOf(fields: readonly string[], endsHere = true): RequestHead {
  const outcome = read(fields, endsHere);
  assert.equal(outcome.kind, 'head', JSON.stringify(outcome));
  return outcome.head;
}

test('readHttp2Request() reads what a request of HTTP/1.1 says', () => {
  const head = headOf(fieldsWith({}, [['x-a', '1']]));
  assert.deepEqual(
    [head.method, head.rawPath, head.rawQuery, head.authority, head.host, head.framing.kind, head.version],
    ['GET', '/a', '?b', 'shop.test', 'shop.test', 'none', '2.0'],
  );
  assert.deepEqual([...head.headers.entries()], [['x-a', '1']]);
  assert.deepEqual(headOf(fieldsWith({}), false).framing, { kind: 'chunked' });
  assert.deepEqual(headOf(fieldsWith({}, [['content-length', '3']]), false).framing, {
    kind: 'length',
    bytes: 3,
  });
  assert.deepEqual(headOf(fieldsWith({}, [['content-length', '0']])).framing, { kind: 'length', bytes: 0 });
});

test('readHttp2Request() takes Host for :authority, and cookie crumbs for one field (RFC 9113 §8.2.3, §8.3.1)', () => {
  const head = headOf(
    fieldsWith({ ':authority': undefined }, [
      ['host', 'SHOP.test'],
      ['cookie', 'a=1'],
      ['cookie', 'b=2'],
    ]),
  );
  assert.equal(head.authority, 'shop.test');
  assert.deepEqual(head.headers.all('cookie'), ['a=1; b=2']);
});

const REFUSED: readonly (readonly [
  fault: string,
  what: string,
  fields: readonly string[],
  endsHere?: boolean,
])[] = [
  ['bad-pseudo-header', 'no method', fieldsWith({ ':method': undefined })],
  ['bad-pseudo-header', 'no path', fieldsWith({ ':path': undefined })],
  ['bad-pseudo-header', 'no scheme', fieldsWith({ ':scheme': undefined })],
  ['bad-pseudo-header', 'another scheme', fieldsWith({ ':scheme': 'http' })],
  ['bad-pseudo-header', 'a scheme with a line end', fieldsWith({ ':scheme': 'https\r\nx: y' })],
  ['bad-pseudo-header', 'a pseudo-header of responses', [...fieldsWith({}), ':status', '200']],
  ['bad-pseudo-header', 'an unknown pseudo-header', [':foo', 'a', ...fieldsWith({})]],
  [
    'bad-pseudo-header',
    ':protocol, which nobody offered (RFC 8441)',
    [':protocol', 'websocket', ...fieldsWith({})],
  ],
  ['bad-pseudo-header', 'a method twice', [':method', 'POST', ...fieldsWith({})]],
  ['bad-pseudo-header', 'a path twice', [':path', '/b', ...fieldsWith({})]],
  ['bad-pseudo-header', 'a pseudo-header behind a field', ['x-a', '1', ...fieldsWith({})]],
  ['bad-method', 'a method with a space', fieldsWith({ ':method': 'GET / HTTP/1.1' })],
  ['bad-method', 'a method with a line end (H2 request smuggling)', fieldsWith({ ':method': 'GET\r\nX: y' })],
  ['bad-method', 'a method in lower case', fieldsWith({ ':method': 'get' })],
  ['bad-method', 'an empty method', fieldsWith({ ':method': '' })],
  ['refused-method', 'CONNECT', fieldsWith({ ':method': 'CONNECT' })],
  ['refused-method', 'TRACE', fieldsWith({ ':method': 'TRACE' })],
  ['bad-target', 'an empty path', fieldsWith({ ':path': '' })],
  ['bad-target', 'a path with a space', fieldsWith({ ':path': '/a b' })],
  ['bad-target', 'a path with a request line in it', fieldsWith({ ':path': '/ HTTP/1.1\r\nHost: x' })],
  ['bad-target', 'a path with a line feed', fieldsWith({ ':path': '/a\nb' })],
  ['bad-target', 'a path with a NUL', fieldsWith({ ':path': '/a\0' })],
  ['bad-target', 'a path without slash', fieldsWith({ ':path': 'a' })],
  ['bad-target', 'the absolute form', fieldsWith({ ':path': 'https://shop.test/a' })],
  ['bad-target', 'the asterisk for another method than OPTIONS', fieldsWith({ ':path': '*' })],
  ['non-ascii', 'a path beyond ASCII', fieldsWith({ ':path': '/\u00e9' })],
  ['target-fragment', 'a fragment', fieldsWith({ ':path': '/a#b' })],
  ['target-too-long', 'a long path', fieldsWith({ ':path': `/${'a'.repeat(8192)}` })],
  ['missing-host', 'no authority', fieldsWith({ ':authority': undefined })],
  ['host-mismatch', 'Host beside another :authority', fieldsWith({}, [['host', 'other.test']])],
  ['bad-host', 'user information', fieldsWith({ ':authority': 'a@shop.test' })],
  ['bad-host', 'an authority with a line end', fieldsWith({ ':authority': 'shop.test\r\nx: y' })],
  ['bad-host', 'an authority with a path', fieldsWith({ ':authority': 'shop.test/a' })],
  [
    'duplicate-field',
    'Host twice',
    fieldsWith({}, [
      ['host', 'shop.test'],
      ['host', 'shop.test'],
    ]),
  ],
  [
    'duplicate-field',
    'Authorization twice',
    fieldsWith({}, [
      ['authorization', 'a'],
      ['authorization', 'b'],
    ]),
  ],
  [
    'duplicate-length',
    'Content-Length twice',
    fieldsWith({}, [
      ['content-length', '1'],
      ['content-length', '1'],
    ]),
    false,
  ],
  ['bad-length', 'a length that is none', fieldsWith({}, [['content-length', '+1']]), false],
  ['bad-length', 'a length without content (H2.CL)', fieldsWith({}, [['content-length', '5']]), true],
  [
    'connection-specific-field',
    'Transfer-Encoding (H2.TE)',
    fieldsWith({}, [['transfer-encoding', 'chunked']]),
    false,
  ],
  ['connection-specific-field', 'Connection', fieldsWith({}, [['connection', 'x-a']])],
  ['connection-specific-field', 'Keep-Alive', fieldsWith({}, [['keep-alive', '5']])],
  ['connection-specific-field', 'Proxy-Connection', fieldsWith({}, [['proxy-connection', 'close']])],
  ['connection-specific-field', 'Upgrade', fieldsWith({}, [['upgrade', 'h2c']])],
  ['connection-specific-field', 'HTTP2-Settings', fieldsWith({}, [['http2-settings', 'AAMAAABkAAQAAP__']])],
  ['connection-specific-field', 'TE with more than trailers', fieldsWith({}, [['te', 'trailers, gzip']])],
  ['bad-name', 'a name in upper case', fieldsWith({}, [['X-A', '1']])],
  ['bad-name', 'a name with a colon', fieldsWith({}, [['x:a', '1']])],
  ['bad-name', 'a name with a line end', fieldsWith({}, [['x\r\ny', '1']])],
  ['bad-name', 'a name with a space', fieldsWith({}, [['x a', '1']])],
  ['bad-name', 'an empty name', fieldsWith({}, [['', '1']])],
  ['control-character', 'a value with a line end', fieldsWith({}, [['x-a', '1\r\nx-ringwall-user: a']])],
  ['control-character', 'a value with a line feed', fieldsWith({}, [['x-a', '1\nb']])],
  ['control-character', 'a value with a NUL', fieldsWith({}, [['x-a', '1\0']])],
  ['control-character', 'a value with outer whitespace', fieldsWith({}, [['x-a', ' 1']])],
  ['control-character', 'a value beyond ASCII', fieldsWith({}, [['x-a', '\u00e9']])],
  ['unknown-expectation', 'an expectation', fieldsWith({}, [['expect', 'teapot']])],
  [
    'too-many-headers',
    'many fields',
    fieldsWith(
      {},
      Array.from({ length: 101 }, (_, i) => [`x-${i}`, '1'] as const),
    ),
  ],
  [
    'head-too-large',
    'much',
    fieldsWith(
      {},
      Array.from({ length: 9 }, (_, i) => [`x-${i}`, 'a'.repeat(4000)] as const),
    ),
  ],
  ['line-too-long', 'a long field', fieldsWith({}, [['x-a', 'a'.repeat(8192)]])],
];

for (const [fault, what, fields, endsHere] of REFUSED) {
  test(`readHttp2Request() refuses ${what}: ${fault}`, () => {
    const outcome = read(fields, endsHere);
    assert.deepEqual([outcome.kind, 'fault' in outcome ? outcome.fault : ''], ['refused', fault]);
  });
}

test('readHttp2Trailers() takes what a trailer may hold, and nothing else (RFC 9110 §6.5.1)', () => {
  const trailers = readHttp2Trailers(['x-sum', '7'], DEFAULT_LIMITS);
  assert.ok(typeof trailers === 'object');
  assert.deepEqual([...trailers.entries()], [['x-sum', '7']]);
  assert.equal(readHttp2Trailers([], DEFAULT_LIMITS), undefined);
  for (const [fields, fault] of [
    [[':path', '/admin'], 'bad-pseudo-header'],
    [['authorization', 'Bearer a'], 'forbidden-trailer'],
    [['host', 'a'], 'forbidden-trailer'],
    [['x-ringwall-user', 'a'], 'forbidden-trailer'],
    [['x-forwarded-for', 'a'], 'forbidden-trailer'],
    [['transfer-encoding', 'chunked'], 'connection-specific-field'],
    [['x-a', 'b\r\nc: d'], 'control-character'],
    [['x-a', 'a'.repeat(5000)], 'trailers-too-large'],
  ] as const)
    assert.equal(readHttp2Trailers(fields, DEFAULT_LIMITS), fault);
});

test('what is read from HTTP/2 and written in HTTP/1.1 is read again as the same request', () => {
  const name = fc.constantFrom(
    'x-a',
    'x-b',
    'accept',
    'user-agent',
    'cookie',
    'x-ringwall-user',
    'te',
    'host',
    'x_c',
    'content-length',
    'connection',
    ':path',
    'X-A',
    'x\r\ny',
  );
  const value = fc.oneof(
    fc.string({ unit: fc.constantFrom('a', '1', ' ', ',', ';', '\t', '\r', '\n', '\0', ':', '\u00e9') }),
    fc.constantFrom('trailers', '0', '5', 'chunked', 'shop.test', 'close'),
  );
  const path = fc
    .string({ unit: fc.constantFrom('/', 'a', '?', '%', '2', 'f', ' ', '\r', '\n', '#', ';', '.') })
    .map(text => `/${text}`);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, value), { maxLength: 6 }),
      path,
      fc.boolean(),
      (fields, target, endsHere) => {
        const outcome = read(fieldsWith({ ':path': target }, fields), endsHere);
        if (outcome.kind === 'refused') return;
        const { head } = outcome;
        dropUntrusted(head.headers);
        const text = encodeRequestHead(head);
        const again = decodeRequestHead(Buffer.from(text, 'latin1'), 0, text.length, DEFAULT_LIMITS);
        assert.equal(again.kind, 'head', text);
        assert.equal(again.consumed, text.length);
        assert.deepEqual(
          [again.head.method, again.head.target, again.head.authority],
          [head.method, head.target, head.authority],
        );
        const said = [...head.headers.entries()].filter(
          ([one]) => one !== 'host' && one !== 'content-length',
        );
        const heard = [...again.head.headers.entries()].filter(
          ([one]) => !['host', 'content-length', 'transfer-encoding'].includes(one),
        );
        assert.deepEqual(heard, said);
      },
    ),
    { numRuns: 3000 },
  );
});
