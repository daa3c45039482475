import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  dropUntrusted,
  dropUntrustedOfResponse,
  encodeChunkHead,
  encodeLastChunk,
  encodeRequestHead,
  encodeResponseHead,
  FieldLines,
  HeaderList,
  isReservedName,
  LAST_CHUNK,
  type Framing,
} from '#domain/http';

const NONE: Framing = { kind: 'none' };

function list(...fields: readonly (readonly [name: string, value: string])[]): HeaderList {
  const headers = new HeaderList();
  for (const [name, value] of fields) headers.push(name, value);
  return headers;
}

const request = { method: 'GET', target: '/', authority: 'a', headers: new HeaderList(), framing: NONE };
const response = {
  status: 200,
  headers: new HeaderList(),
  framing: { kind: 'length', bytes: 0 } as Framing,
  keepAlive: true,
};

for (const [name, value] of [
  ['x', 'a\r\nb: c'],
  ['x', 'a\nb'],
  ['x', 'a\rb'],
  ['x', 'a\u0000b'],
  ['x', '\u001b[2J'],
  ['x', 'a\u007f'],
  ['x', '\u010d\u010a'], // CR LF in Latin-1, were the high byte cut off
  ['x', '\u560d\u560a'],
  ['x', 'caf\u00e9'],
  ['x', '\u2028'],
  ['x', '\ud800'],
  ['x', ' a'],
  ['x', 'a '],
  ['x', '\ta'],
  ['x', ' '],
  ['', 'a'],
  ['X', 'a'],
  ['Host', 'a'],
  ['x y', 'a'],
  ['x:', 'a'],
  ['x\r\ny', 'a'],
  ['x\u0000', 'a'],
  ['\u0178', 'a'],
  ['\u0178-forwarded', 'a'],
  ['x(', 'a'],
] as const) {
  test(`HeaderList.push() refuses ${JSON.stringify(`${name}: ${value}`)} (RFC 9110 §5.5)`, () => {
    const headers = new HeaderList();
    assert.throws(() => headers.push(name, value), { code: 'unencodable' });
    assert.throws(() => headers.set(name, value), { code: 'unencodable' });
    assert.throws(() => FieldLines.of(['x-good', 'a'], [name, value]), { code: 'unencodable' });
    assert.equal(headers.size, 0);
  });
}

for (const name of ['host', 'content-length', 'transfer-encoding', 'connection', 'upgrade']) {
  test(`FieldLines.of() refuses ${name}: the encoders write what frames and routes`, () => {
    assert.throws(() => FieldLines.of([name, '1']), { code: 'unencodable' });
  });
}

test('FieldLines are written behind all other lines, and dropUntrusted() leaves them', () => {
  const ours = FieldLines.of(['x-ringwall-user', 'alice'], ['x-new', 'a b']).and(
    FieldLines.of(['etag', '"1"']),
  );
  const headers = list(['x-ringwall-user', 'mallory'], ['accept', '*/*']);
  headers.add(ours);
  headers.add(FieldLines.NONE);
  dropUntrusted(headers);
  headers.push('x-late', 'b');
  const lines = 'accept: */*\r\nx-late: b\r\nx-ringwall-user: alice\r\nx-new: a b\r\netag: "1"';
  assert.equal(encodeRequestHead({ ...request, headers }), `GET / HTTP/1.1\r\nhost: a\r\n${lines}\r\n\r\n`);
});

test('HeaderList.push() shows no value in its message', () => {
  assert.throws(
    () => new HeaderList().push('authorization', 'Bearer secret\n'),
    error => !String(error).includes('secret'),
  );
});

for (const [why, part] of [
  ['method with a line end', { method: 'GET / HTTP/1.1\r\nX: y\r\n\r\nGET' }],
  ['method in lower case', { method: 'get' }],
  ['method with a final line end', { method: 'PUT\n' }],
  ['empty method', { method: '' }],
  ['target with a space', { target: '/ HTTP/1.1' }],
  ['target with a line end', { target: '/\r\nX: y' }],
  ['target with U+010D', { target: '/\u010d' }],
  ['target in Latin-1', { target: '/\u00e9' }],
  ['target with a fragment', { target: '/#a' }],
  ['target in absolute-form', { target: 'http://a/' }],
  ['empty target', { target: '' }],
  ['asterisk without OPTIONS', { target: '*' }],
  ['authority with a line end', { authority: 'a\r\nX: y' }],
  ['authority in upper case', { authority: 'A' }],
  ['authority with user information', { authority: 'u@a' }],
  ['empty authority', { authority: '' }],
  ['body until close', { framing: { kind: 'until-close' } }],
  ['negative length', { framing: { kind: 'length', bytes: -1 } }],
  ['fractional length', { framing: { kind: 'length', bytes: 0.5 } }],
  ['length beyond 2^53', { framing: { kind: 'length', bytes: 2 ** 53 } }],
  ['NaN length', { framing: { kind: 'length', bytes: Number.NaN } }],
] as const satisfies readonly (readonly [string, Partial<Parameters<typeof encodeRequestHead>[0]>])[]) {
  test(`encodeRequestHead() refuses a ${why}`, () => {
    assert.throws(() => encodeRequestHead({ ...request, ...part }), { code: 'unencodable' });
  });
}

for (const [why, part] of [
  ['status 99', { status: 99 }],
  ['status 600', { status: 600 }],
  ['status 200.5', { status: 200.5 }],
  ['204 with a body', { status: 204 }],
  ['100 with chunks', { status: 100, framing: { kind: 'chunked' } }],
  ['length beyond 2^53', { framing: { kind: 'length', bytes: 2 ** 60 } }],
] as const satisfies readonly (readonly [string, Partial<Parameters<typeof encodeResponseHead>[0]>])[]) {
  test(`encodeResponseHead() refuses ${why}`, () => {
    assert.throws(() => encodeResponseHead({ ...response, ...part }), { code: 'unencodable' });
  });
}

test('encodeRequestHead() writes Host and framing from its arguments alone', () => {
  const headers = list(
    ['host', 'evil'],
    ['content-length', '9'],
    ['transfer-encoding', 'gzip'],
    ['connection', 'close'],
    ['keep-alive', 'timeout=5'],
    ['x', 'y'],
  );
  const encode = (framing: Framing, method = 'POST') =>
    encodeRequestHead({ ...request, method, headers, framing });
  const start = 'POST / HTTP/1.1\r\nhost: a\r\nx: y\r\n';
  assert.equal(encode({ kind: 'length', bytes: 5 }), `${start}content-length: 5\r\n\r\n`);
  assert.equal(encode({ kind: 'chunked' }), `${start}transfer-encoding: chunked\r\n\r\n`);
  assert.equal(encode(NONE), `${start}content-length: 0\r\n\r\n`);
  assert.equal(encode(NONE, 'DELETE'), 'DELETE / HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n');
  assert.equal(
    encodeRequestHead({ ...request, method: 'OPTIONS', target: '*' }),
    'OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n',
  );
});

test('encodeResponseHead() writes the framing, and keeps the length that HEAD and 304 tell of', () => {
  const headers = list(
    ['content-length', '9'],
    ['transfer-encoding', 'chunked'],
    ['connection', 'x'],
    ['set-cookie', 'a'],
    ['set-cookie', 'b'],
  );
  const encode = (status: number, framing: Framing, keepAlive = true) =>
    encodeResponseHead({ status, headers, framing, keepAlive });
  const cookies = 'set-cookie: a\r\nset-cookie: b\r\n';
  assert.equal(
    encode(200, { kind: 'length', bytes: 5 }),
    `HTTP/1.1 200 OK\r\n${cookies}content-length: 5\r\n\r\n`,
  );
  assert.equal(
    encode(200, { kind: 'chunked' }, false),
    `HTTP/1.1 200 OK\r\n${cookies}transfer-encoding: chunked\r\nconnection: close\r\n\r\n`,
  );
  assert.equal(
    encode(200, { kind: 'until-close' }),
    `HTTP/1.1 200 OK\r\n${cookies}connection: close\r\n\r\n`,
  );
  assert.equal(encode(304, NONE), `HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n${cookies}\r\n`);
  assert.equal(encode(204, NONE), `HTTP/1.1 204 No Content\r\n${cookies}\r\n`);
  assert.equal(encode(299, NONE), `HTTP/1.1 299 \r\ncontent-length: 9\r\n${cookies}\r\n`);
});

test('encodeChunkHead() writes sizes, and never the last chunk by mistake', () => {
  assert.equal(encodeChunkHead(1), '1\r\n');
  assert.equal(encodeChunkHead(65_535), 'ffff\r\n');
  for (const bytes of [0, -1, 1.5, Number.NaN, 2 ** 53])
    assert.throws(() => encodeChunkHead(bytes), { code: 'unencodable' });
  assert.equal(encodeLastChunk(undefined), LAST_CHUNK);
  assert.equal(encodeLastChunk(list(['x', 'y'])), '0\r\nx: y\r\n\r\n');
});

test('HeaderList keeps order, joins lists and removes', () => {
  const headers = list(['a', '1'], ['b', '2'], ['a', '3']);
  assert.equal(headers.get('a'), '1, 3');
  assert.deepEqual(headers.all('a'), ['1', '3']);
  assert.equal(headers.get('c'), undefined);
  assert.equal(headers.has('b'), true);
  headers.set('b', '4');
  headers.remove('a');
  assert.deepEqual([...headers.entries()], [['b', '4']]);
  assert.equal(headers.size, 1);
});

/** Spellings of names that some server reads as a name on which it relies. */
const RESERVED = [
  'x-ringwall-user',
  'X-Ringwall-User',
  'X_Ringwall_User',
  'x.ringwall.user',
  'x-ringwall_caller',
  'X-RINGWALL-ANYTHING',
  'x-ringwall-',
  'X-Request-Id',
  'x_request_id',
  'Traceparent',
  'TraceState',
  'Proxy',
  'Forwarded',
  'X-Forwarded-For',
  'x_forwarded_for',
  'X.Forwarded.Proto',
  'X-Forwarded-Client-Cert',
  'X-Forwarded',
  'X-Real-IP',
  'X_Real_IP',
  'True-Client-IP',
  'CF-Connecting-IP',
  'X-Client-IP',
  'X-Cluster-Client-IP',
  'X-Original-URL',
  'X-Original-Forwarded-For',
  'X-Rewrite-URL',
  'X-HTTP-Method-Override',
  'X-HTTP-Method',
  'X-Method-Override',
  'X-Envoy-Original-Path',
  'x-envoy-internal',
  'X-Client-Cert',
  'X-Client-Certificate',
  'X-SSL-Client-Verify',
  'SSL-Client-Cert',
  'X-Middleware-Subrequest',
  'Remote-User',
  'X-Remote-User',
  'X-Auth-Request-Email',
  'X-Amzn-Oidc-Data',
];
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'proxy-authorization',
];
const AMBIGUOUS = [
  'content_length',
  'content.type',
  'transfer_encoding',
  'host_',
  'x_api',
  'a.b',
  'x~y',
  'x!',
  "x'y",
  'x+y',
  'authorization_',
];
const KEPT = [
  'accept',
  'cookie',
  'authorization',
  'content-type',
  'x-custom-1',
  'user-agent',
  'x-requested-with',
  'xringwall',
  'range',
  'grpc-timeout',
  'x-b3-traceid',
  'x-1',
];

for (const name of RESERVED) {
  test(`isReservedName() and dropUntrusted() know ${name}`, () => {
    assert.equal(isReservedName(name), true);
    const headers = list([name.toLowerCase(), 'a'], ['accept', 'b']);
    dropUntrusted(headers);
    assert.deepEqual([...headers.entries()], [['accept', 'b']]);
  });
}

test('dropUntrusted() drops what is of this hop and what has two readings, and keeps the rest', () => {
  for (const name of [...HOP_BY_HOP, ...AMBIGUOUS]) {
    const headers = list([name, 'a']);
    dropUntrusted(headers);
    assert.equal(headers.size, 0, name);
  }
  const headers = list(...KEPT.map(name => [name, 'a'] as const));
  dropUntrusted(headers);
  assert.deepEqual(
    [...headers.entries()].map(([name]) => name),
    KEPT,
  );
  for (const name of KEPT) assert.equal(isReservedName(name), false, name);
});

test('dropUntrusted() drops what Connection names, on all of its lines', () => {
  const headers = list(
    ['connection', 'X-One, close'],
    ['x-one', 'a'],
    ['cookie', 'b'],
    ['connection', 'Cookie'],
    ['x-two', 'c'],
  );
  dropUntrusted(headers);
  assert.deepEqual([...headers.entries()], [['x-two', 'c']]);
});

test('dropUntrustedOfResponse() keeps a service from speaking for Ringwall', () => {
  const headers = list(
    ['connection', 'x-one'],
    ['x-one', 'a'],
    ['keep-alive', 'a'],
    ['x-ringwall-anonymous', 'a'],
    ['x_ringwall_user', 'a'],
    ['x.ringwall-', 'a'],
    ['x-request-id', 'a'],
    ['set-cookie', 'a'],
    ['x-forwarded-for', 'a'],
    ['etag', 'a'],
  );
  dropUntrustedOfResponse(headers);
  assert.deepEqual(
    [...headers.entries()].map(([name]) => name),
    ['set-cookie', 'x-forwarded-for', 'etag'],
  );
});
