import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DEFAULT_LIMITS,
  decodeResponseHead,
  HTTP_FAULTS,
  type HttpFault,
  type ResponseHead,
} from '#domain/http';

function decode(raw: string, requestMethod = 'GET') {
  const buffer = Buffer.from(raw, 'latin1');
  return decodeResponseHead(buffer, 0, buffer.length, DEFAULT_LIMITS, requestMethod);
}

function accept(raw: string, requestMethod = 'GET'): ResponseHead {
  const outcome = decode(raw, requestMethod);
  assert.equal(outcome.kind, 'head', JSON.stringify(outcome));
  return outcome.kind === 'head' ? outcome.head : assert.fail();
}

const answer = (status: string, ...fields: string[]) =>
  [`HTTP/1.1 ${status}`, ...fields, '', ''].join('\r\n');
const ok = (...fields: string[]) => answer('200 OK', ...fields);

const REFUSED: readonly (readonly [fault: HttpFault, why: string, raw: string, method?: string])[] = [
  ['bad-status-line', 'HTTP/0.9', '<html>'],
  ['bad-status-line', 'empty line first', '\r\nHTTP/1.1 200 OK\r\n\r\n'],
  ['bad-status-line', 'lower case', 'http/1.1 200 OK\r\n\r\n'],
  ['bad-status-line', 'HTTP/2.0', 'HTTP/2.0 200 OK\r\n\r\n'],
  ['bad-status-line', 'ICY', 'ICY 200 OK\r\n\r\n'],
  ['unknown-version', 'HTTP/1.2', 'HTTP/1.2 200 OK\r\n\r\n'],
  ['bad-status-line', 'HTTP/1.10', 'HTTP/1.10 200 OK\r\n\r\n'],
  ['bad-status', 'two spaces', 'HTTP/1.1  200 OK\r\n\r\n'],
  ['bad-status', 'two digits', answer('99 X')],
  ['bad-status-line', 'four digits', answer('2000 OK')],
  ['bad-status', 'below 100', answer('099 X')],
  ['bad-status', '600', answer('600 X')],
  ['bad-status', '000', answer('000 X')],
  ['bad-status', 'sign', answer('+20 X')],
  ['bad-status', 'letters', answer('2xx X')],
  ['bad-status', 'none', 'HTTP/1.1 \r\n\r\n'],
  ['bad-status-line', 'tab', 'HTTP/1.1 200\tOK\r\n\r\n'],
  ['control-character', 'NUL in the reason', answer('200 \u0000')],
  ['bare-lf', 'status line', 'HTTP/1.1 200 OK\n\r\n'],
  ['bare-lf', 'status line without reason', 'HTTP/1.1 200\n\r\n'],
  ['bare-lf', 'field line', 'HTTP/1.1 200 OK\r\nA: b\n\r\n'],
  ['bare-cr', 'reason', 'HTTP/1.1 200 O\rK\r\n\r\n'],
  ['bare-cr', 'field line', 'HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n'],
  ['leading-whitespace', 'before the first field', ok(' A: b')],
  ['obs-fold', 'value', ok('A: b', ' c')],
  ['space-before-colon', 'Content-Length', ok('Content-Length : 5')],
  ['bad-name', 'empty', ok(': b')],
  ['control-character', 'NUL in a value', ok('A: \u0000')],
  ['missing-colon', 'letters', ok('abc')],
  // framing
  ['both-lengths', 'response smuggling', ok('Content-Length: 5', 'Transfer-Encoding: chunked')],
  ['both-lengths', '304', answer('304 Not Modified', 'Content-Length: 5', 'Transfer-Encoding: chunked')],
  ['both-lengths', 'HEAD', ok('Content-Length: 5', 'Transfer-Encoding: chunked'), 'HEAD'],
  ['duplicate-length', 'different', ok('Content-Length: 5', 'Content-Length: 6')],
  ['duplicate-length', 'the same', ok('Content-Length: 5', 'Content-Length: 5')],
  ['bad-length', 'list', ok('Content-Length: 5, 5')],
  ['bad-length', 'sign', ok('Content-Length: -1')],
  ['bad-length', 'empty', ok('Content-Length:')],
  ['bad-length', 'HEAD', ok('Content-Length: x'), 'HEAD'],
  ['duplicate-transfer-encoding', 'twice', ok('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')],
  ['unsupported-transfer-encoding', 'gzip', ok('Transfer-Encoding: gzip')],
  ['unsupported-transfer-encoding', 'gzip, chunked', ok('Transfer-Encoding: gzip, chunked')],
  ['bad-transfer-encoding', 'chunked twice', ok('Transfer-Encoding: chunked, chunked')],
  ['bad-transfer-encoding', 'obs-text', ok('Transfer-Encoding: chunked\u00a0')],
  ['transfer-encoding-1.0', 'HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['body-not-allowed', '100 with a length', answer('100 Continue', 'Content-Length: 5')],
  ['body-not-allowed', '103 chunked', answer('103 Early Hints', 'Transfer-Encoding: chunked')],
  ['body-not-allowed', '204 with a length', answer('204 No Content', 'Content-Length: 5')],
  ['body-not-allowed', '204 chunked', answer('204 No Content', 'Transfer-Encoding: chunked')],
  // one value by definition
  ['duplicate-field', 'Content-Type', ok('Content-Type: a/b', 'Content-Type: c/d')],
  ['duplicate-field', 'Location', answer('302 Found', 'Location: /a', 'Location: /b')],
  ['bad-connection', 'not a token', ok('Connection: a b')],
  // limits
  ['line-too-long', 'reason', answer(`200 ${'a'.repeat(9_000)}`)],
  ['line-too-long', 'value', ok(`A: ${'a'.repeat(9_000)}`)],
  ['too-many-headers', '101 fields', ok(...Array.from({ length: 101 }, (_, index) => `X-${index}: a`))],
  [
    'head-too-large',
    '32 KiB',
    ok(...Array.from({ length: 5 }, (_, index) => `X-${index}: ${'a'.repeat(8_000)}`)),
  ],
];

for (const [fault, why, raw, method] of REFUSED) {
  test(`decodeResponseHead() refuses ${fault}: ${why} (${HTTP_FAULTS[fault].source})`, () => {
    assert.deepEqual(decode(raw, method), { kind: 'refused', reason: 'upstream-malformed', fault });
  });
}

test('a refused response reaches the same verdict whatever pieces it comes in', () => {
  for (const [fault, why, raw, method] of REFUSED) {
    const buffer = Buffer.from(raw, 'latin1');
    const step = buffer.length > 1_000 ? 97 : 1;
    for (let end = 0; end < buffer.length; end += step) {
      const outcome = decodeResponseHead(buffer, 0, end, DEFAULT_LIMITS, method ?? 'GET');
      if (outcome.kind === 'incomplete') continue;
      assert.deepEqual(outcome, { kind: 'refused', reason: 'upstream-malformed', fault }, `${why} at ${end}`);
    }
  }
});

test('decodeResponseHead() finds the framing in the order of RFC 9112 §6.3', () => {
  const framing = (raw: string, method?: string) => accept(raw, method).framing;
  assert.deepEqual(framing(ok('Content-Length: 5')), { kind: 'length', bytes: 5 });
  assert.deepEqual(framing(ok('Transfer-Encoding: CHUNKED')), { kind: 'chunked' });
  assert.deepEqual(framing(ok()), { kind: 'until-close' });
  assert.deepEqual(framing(ok('Content-Length: 5'), 'HEAD'), { kind: 'none' });
  assert.deepEqual(framing(ok('Transfer-Encoding: chunked'), 'HEAD'), { kind: 'none' });
  assert.deepEqual(framing(ok(), 'HEAD'), { kind: 'none' });
  assert.deepEqual(framing(answer('304 Not Modified', 'Content-Length: 5')), { kind: 'none' });
  assert.deepEqual(framing(answer('304 Not Modified', 'Transfer-Encoding: chunked')), { kind: 'none' });
  assert.deepEqual(framing(answer('204 No Content')), { kind: 'none' });
  assert.deepEqual(framing(answer('204 No Content', 'Content-Length: 0')), { kind: 'none' });
  assert.deepEqual(framing(answer('100 Continue')), { kind: 'none' });
  assert.deepEqual(framing(answer('101 Switching Protocols', 'Upgrade: x')), { kind: 'none' });
});

test('decodeResponseHead() reads whether the connection goes on', () => {
  const keepAlive = (raw: string) => accept(raw).keepAlive;
  assert.equal(keepAlive(ok('Content-Length: 0')), true);
  assert.equal(keepAlive(ok('Content-Length: 0', 'Connection: close')), false);
  assert.equal(keepAlive(ok()), false);
  assert.equal(keepAlive('HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n'), false);
  assert.equal(keepAlive('HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n'), true);
  assert.equal(
    keepAlive('HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive, close\r\n\r\n'),
    false,
  );
});

test('decodeResponseHead() accepts what is legal, though rare', () => {
  assert.equal(accept(answer('299 ', 'Content-Length: 0')).status, 299);
  assert.equal(accept('HTTP/1.1 200\r\n\r\n').reason, '');
  assert.equal(accept(answer('200 Tr\u00e8s bien')).reason, 'Tr\u00e8s bien');
  const head = accept(
    ok('Set-Cookie: a=1', 'Set-Cookie: b=2', 'Content-Disposition: attachment; filename="\u00e9"'),
  );
  assert.deepEqual(head.headers.all('set-cookie'), ['a=1', 'b=2']);
  assert.equal(head.headers.get('content-disposition'), 'attachment; filename="\u00e9"');
});
