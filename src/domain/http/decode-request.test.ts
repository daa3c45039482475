import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DEFAULT_LIMITS,
  decodeRequestHead,
  HTTP_FAULTS,
  type HttpFault,
  type RequestHead,
} from '#domain/http';

function decode(raw: string, limits = DEFAULT_LIMITS) {
  const buffer = Buffer.from(raw, 'latin1');
  return decodeRequestHead(buffer, 0, buffer.length, limits);
}

function accept(raw: string): RequestHead {
  const outcome = decode(raw);
  assert.equal(outcome.kind, 'head', JSON.stringify(outcome));
  return outcome.kind === 'head' ? outcome.head : assert.fail();
}

/** A request line and Host, then `fields`. */
const withFields = (...fields: string[]) => ['GET / HTTP/1.1', 'Host: a', ...fields, '', ''].join('\r\n');
const post = (...fields: string[]) => ['POST / HTTP/1.1', 'Host: a', ...fields, '', ''].join('\r\n');
const withLine = (line: string) => `${line}\r\nHost: a\r\n\r\n`;
const withHost = (host: string) => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

/** The `why` names the attack or the rule beside the section that `HTTP_FAULTS` has for the fault. */
const REFUSED: readonly (readonly [fault: HttpFault, why: string, raw: string])[] = [
  // framing: CL.TE, TE.CL, TE.TE, CL.CL
  ['both-lengths', 'CL.TE', post('Content-Length: 5', 'Transfer-Encoding: chunked')],
  ['both-lengths', 'TE.CL', post('Transfer-Encoding: chunked', 'Content-Length: 5')],
  ['both-lengths', 'length 0 and chunked', post('Content-Length: 0', 'Transfer-Encoding: chunked')],
  ['both-lengths', 'in upper and lower case', post('CONTENT-LENGTH: 5', 'transfer-encoding: chunked')],
  [
    'both-lengths',
    'in HTTP/1.0',
    'POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
  ],
  ['duplicate-length', 'CL.CL, different', post('Content-Length: 5', 'Content-Length: 6')],
  ['duplicate-length', 'CL.CL, the same', post('Content-Length: 5', 'Content-Length: 5')],
  ['duplicate-length', 'CL.CL in two letter cases', post('Content-Length: 5', 'content-length: 5')],
  ['bad-length', 'a list', post('Content-Length: 5, 5')],
  ['bad-length', 'a list of different values', post('Content-Length: 5,6')],
  ['bad-length', 'empty', post('Content-Length:')],
  ['bad-length', 'plus sign', post('Content-Length: +5')],
  ['bad-length', 'minus sign', post('Content-Length: -5')],
  ['bad-length', 'hexadecimal', post('Content-Length: 0x5')],
  ['bad-length', 'fraction', post('Content-Length: 5.0')],
  ['bad-length', 'exponent', post('Content-Length: 5e0')],
  ['bad-length', 'inner space', post('Content-Length: 5 5')],
  ['bad-length', 'inner tab', post('Content-Length: 1\t5')],
  ['bad-length', 'letters', post('Content-Length: five')],
  ['bad-length', 'underscore', post('Content-Length: 1_0')],
  ['bad-length', 'quoted', post('Content-Length: "5"')],
  ['bad-length', 'parameter', post('Content-Length: 5;a')],
  ['bad-length', '2^53', post('Content-Length: 9007199254740992')],
  ['bad-length', '2^64 + 5', post('Content-Length: 18446744073709551621')],
  ['bad-length', '40 digits', post(`Content-Length: ${'9'.repeat(40)}`)],
  ['bad-length', '40 zeros', post(`Content-Length: ${'0'.repeat(40)}`)],
  ['duplicate-transfer-encoding', 'TE.TE', post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')],
  [
    'duplicate-transfer-encoding',
    'TE.TE, second one wrong',
    post('Transfer-Encoding: chunked', 'Transfer-Encoding: x'),
  ],
  [
    'duplicate-transfer-encoding',
    'TE.TE in two letter cases',
    post('Transfer-Encoding: x', 'transfer-encoding: chunked'),
  ],
  ['bad-transfer-encoding', 'TE.0', post('Transfer-Encoding:')],
  ['bad-transfer-encoding', 'xchunked', post('Transfer-Encoding: xchunked')],
  ['bad-transfer-encoding', 'chunked twice', post('Transfer-Encoding: chunked, chunked')],
  ['bad-transfer-encoding', 'chunked not last', post('Transfer-Encoding: chunked, gzip')],
  ['bad-transfer-encoding', 'chunked not last', post('Transfer-Encoding: chunked, identity')],
  ['bad-transfer-encoding', 'parameter', post('Transfer-Encoding: chunked;q=1')],
  ['bad-transfer-encoding', 'quoted', post('Transfer-Encoding: "chunked"')],
  ['bad-transfer-encoding', 'single quotes', post("Transfer-Encoding: 'chunked'")],
  ['bad-transfer-encoding', 'leading comma', post('Transfer-Encoding: ,chunked')],
  ['bad-transfer-encoding', 'trailing comma', post('Transfer-Encoding: chunked,')],
  ['bad-transfer-encoding', 'colon twice', post('Transfer-Encoding: : chunked')],
  ['bad-transfer-encoding', 'inner space', post('Transfer-Encoding: chu nked')],
  ['bad-transfer-encoding', 'unknown coding', post('Transfer-Encoding: cow')],
  ['bad-transfer-encoding', 'unknown coding before chunked', post('Transfer-Encoding: cow, chunked')],
  ['bad-transfer-encoding', 'tab inside', post('Transfer-Encoding: gzip,\tchunked')],
  ['unsupported-transfer-encoding', 'gzip', post('Transfer-Encoding: gzip')],
  ['unsupported-transfer-encoding', 'gzip, chunked', post('Transfer-Encoding: gzip, chunked')],
  ['unsupported-transfer-encoding', 'identity', post('Transfer-Encoding: identity')],
  ['control-character', 'vertical tab', post('Transfer-Encoding: \u000bchunked')],
  ['control-character', 'form feed', post('Transfer-Encoding: chunked\u000c')],
  ['non-ascii', 'no-break space', post('Transfer-Encoding:\u00a0chunked')],
  ['space-before-colon', 'TE.TE', post('Transfer-Encoding : chunked')],
  ['space-before-colon', 'tab', post('Transfer-Encoding\t: chunked')],
  ['obs-fold', 'TE.TE', post('Transfer-Encoding:', ' chunked')],
  ['obs-fold', 'TE.TE with tab', post('Transfer-Encoding:', '\tchunked')],
  ['bare-lf', 'X: x LF Transfer-Encoding', post('X: x\nTransfer-Encoding: chunked')],
  ['bare-cr', 'X: x CR Transfer-Encoding', post('X: x\rTransfer-Encoding: chunked')],
  ['bare-cr', 'CR CR LF', post('X: x\r')],
  ['transfer-encoding-1.0', 'HTTP/1.0', 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'],
  // line ends
  ['bare-lf', 'all lines', 'GET / HTTP/1.1\nHost: a\n\n'],
  ['bare-lf', 'request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n'],
  ['bare-lf', 'field line', 'GET / HTTP/1.1\r\nHost: a\n\r\n'],
  ['bare-lf', 'in a name', 'GET / HTTP/1.1\r\nHo\nst: a\r\n\r\n'],
  ['bare-lf', 'LF for the empty line', 'GET / HTTP/1.1\r\nHost: a\r\n\n'],
  ['bare-cr', 'for the empty line', 'GET / HTTP/1.1\r\nHost: a\r\n\rX'],
  ['bare-cr', 'request line', 'GET / HTTP/1.1\rHost: a\r\n\r\n'],
  ['bare-cr', 'in the target', 'GET /\r HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['bare-cr', 'in a name', 'GET / HTTP/1.1\r\nHo\rst: a\r\n\r\n'],
  ['bare-cr', 'at the start', '\rGET / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['bad-method', 'two empty lines at the start', '\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['bad-method', 'LF at the start', '\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['leading-whitespace', 'before the first field', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n'],
  ['leading-whitespace', 'tab before the first field', 'GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n'],
  ['obs-fold', 'Host', 'GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n'],
  ['obs-fold', 'line of spaces', 'GET / HTTP/1.1\r\nHost: a\r\n  \r\n\r\n'],
  // octets
  ['control-character', 'NUL in a value', withFields('X: a\u0000b')],
  ['control-character', 'NUL in a name', withFields('X\u0000: a')],
  ['control-character', 'NUL in the target', withLine('GET /\u0000 HTTP/1.1')],
  ['bad-method', 'NUL in the method', withLine('GE\u0000T / HTTP/1.1')],
  ['control-character', 'NUL in the version', withLine('GET / HTTP/1.\u0000')],
  ['control-character', 'backspace', withFields('X: a\u0008')],
  ['control-character', 'escape (terminal)', withFields('User-Agent: \u001b[31m')],
  ['control-character', 'DEL', withFields('X: a\u007f')],
  ['control-character', 'tab in the target', withLine('GET /a\tb HTTP/1.1')],
  ['non-ascii', 'obs-text in a value (CVE-2026-73552)', withFields('X: caf\u00e9')],
  ['non-ascii', 'obs-text in a cookie', withFields('Cookie: a=\u00ff')],
  ['non-ascii', 'in a name', withFields('X\u00e9: a')],
  ['non-ascii', 'in the target', withLine('GET /\u00e9 HTTP/1.1')],
  ['non-ascii', 'C1 control', withFields('X: \u0085')],
  // request line
  ['bad-method', 'lower case', withLine('get / HTTP/1.1')],
  ['bad-method', 'mixed case', withLine('Get / HTTP/1.1')],
  ['bad-method', 'not a token', withLine('G(T / HTTP/1.1')],
  ['bad-method', 'other token characters', withLine('GET! / HTTP/1.1')],
  ['bad-method', 'digits', withLine('GET1 / HTTP/1.1')],
  ['bad-method', 'underscore', withLine('GET_X / HTTP/1.1')],
  ['bad-method', 'empty', withLine(' / HTTP/1.1')],
  ['bad-method', 'tab for space', withLine('GET\t/ HTTP/1.1')],
  ['bad-method', '25 letters', withLine(`${'A'.repeat(25)} / HTTP/1.1`)],
  ['bad-method', 'a TLS handshake', '\u0016\u0003\u0001\u0002\u0000\u0001'],
  ['bad-method', 'SSH', 'SSH-2.0-OpenSSH\r\n'],
  ['bad-method', 'PROXY protocol 2', '\r\n\r\n\u0000\r\nQUIT\n'],
  ['refused-method', 'CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n'],
  ['refused-method', 'CONNECT in origin-form', withLine('CONNECT / HTTP/1.1')],
  ['refused-method', 'TRACE', withLine('TRACE / HTTP/1.1')],
  ['bad-request-line', 'two spaces before the target', withLine('GET  / HTTP/1.1')],
  ['bad-request-line', 'two spaces before the version', withLine('GET /  HTTP/1.1')],
  ['bad-request-line', 'space after the version', withLine('GET / HTTP/1.1 ')],
  ['bad-request-line', 'space in the target', withLine('GET /a b HTTP/1.1')],
  ['bad-request-line', 'two versions', withLine('GET / HTTP/1.0 HTTP/1.1')],
  ['bad-version', 'space in the target, long', withLine('GET /a bcdefghij HTTP/1.1')],
  ['http-0.9', 'no version', 'GET /\r\n'],
  [
    'http-0.9',
    'with fields and body (llhttp issue 877)',
    'GET /x\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
  ],
  ['bare-lf', 'HTTP/0.9 with LF', 'GET /x\nHost: a\n\n'],
  ['bad-version', 'empty', withLine('GET / ')],
  ['bad-version', 'lower case', withLine('GET / http/1.1')],
  ['bad-version', 'other protocol', withLine('GET / ICAP/1.0')],
  ['bad-version', 'leading zero', withLine('GET / HTTP/01.1')],
  ['bad-version', 'two digits', withLine('GET / HTTP/1.10')],
  ['bad-version', 'comma', withLine('GET / HTTP/1,1')],
  ['bad-version', 'no minor', withLine('GET / HTTP/1')],
  ['bad-version', 'letter', withLine('GET / HTTP/1.x')],
  ['unknown-version', 'HTTP/0.9 spelled out', withLine('GET / HTTP/0.9')],
  ['unknown-version', 'HTTP/1.2', withLine('GET / HTTP/1.2')],
  ['unknown-version', 'HTTP/2.0', withLine('GET / HTTP/2.0')],
  ['unknown-version', 'HTTP/9.9', withLine('GET / HTTP/9.9')],
  ['unknown-version', 'preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  // target
  ['target-fragment', 'CVE-2021-39156', withLine('GET /a#b HTTP/1.1')],
  ['target-fragment', 'in the query', withLine('GET /a?b#c HTTP/1.1')],
  ['bad-target', 'asterisk without OPTIONS', withLine('GET * HTTP/1.1')],
  ['bad-target', 'relative', withLine('GET a/b HTTP/1.1')],
  ['bad-target', 'only a query', withLine('GET ?a HTTP/1.1')],
  ['bad-target', 'backslash first', withLine('GET \\a HTTP/1.1')],
  ['bad-target', 'OPTIONS **', withLine('OPTIONS ** HTTP/1.1')],
  ['authority-form', 'GET', withLine('GET a:80 HTTP/1.1')],
  ['authority-form', 'other scheme', withLine('GET mailto:a HTTP/1.1')],
  ['authority-form', 'javascript', withLine('GET javascript:alert(1) HTTP/1.1')],
  ['host-mismatch', 'other host', withLine('GET http://b/ HTTP/1.1')],
  ['host-mismatch', 'other port', withLine('GET http://a:81/ HTTP/1.1')],
  ['host-mismatch', 'port only in the target', withLine('GET http://a:80/ HTTP/1.1')],
  ['host-mismatch', 'trailing dot', withLine('GET http://a./ HTTP/1.1')],
  ['bad-absolute-form', 'user information', withLine('GET http://u@a/ HTTP/1.1')],
  ['bad-absolute-form', 'password', withLine('GET http://a:b@a/ HTTP/1.1')],
  ['bad-absolute-form', 'no host', withLine('GET http:///x HTTP/1.1')],
  ['bad-absolute-form', 'no host and no path', withLine('GET http:// HTTP/1.1')],
  ['bad-absolute-form', 'bad port', withLine('GET http://a:x/ HTTP/1.1')],
  ['bad-absolute-form', 'ftp', withLine('GET ftp://a/ HTTP/1.1')],
  ['bad-absolute-form', 'file', withLine('GET file:///etc/passwd HTTP/1.1')],
  ['bad-absolute-form', 'backslash in the host', withLine('GET http://a\\b/ HTTP/1.1')],
  ['bad-absolute-form', 'wss', withLine('GET wss://a/ HTTP/1.1')],
  // Host
  ['missing-host', 'HTTP/1.1', 'GET / HTTP/1.1\r\n\r\n'],
  ['missing-host', 'HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n'],
  ['missing-host', 'absolute-form alone', 'GET http://a/ HTTP/1.1\r\nX: y\r\n\r\n'],
  ['bad-host', 'empty', withHost('')],
  ['bad-host', 'spaces', withHost('a b')],
  ['bad-host', 'list', withHost('a, b')],
  ['bad-host', 'comma', withHost('a,b')],
  ['bad-host', 'user information', withHost('u@a')],
  ['bad-host', 'path', withHost('a/b')],
  ['bad-host', 'scheme', withHost('http://a')],
  ['bad-host', 'query', withHost('a?b')],
  ['bad-host', 'fragment', withHost('a#b')],
  ['bad-host', 'backslash', withHost('a\\b')],
  ['bad-host', 'escape', withHost('%61')],
  ['bad-host', 'empty port', withHost('a:')],
  ['bad-host', 'port of letters', withHost('a:b')],
  ['bad-host', 'port zero', withHost('a:0')],
  ['bad-host', 'port with a leading zero', withHost('a:080')],
  ['bad-host', 'port 65536', withHost('a:65536')],
  ['bad-host', 'port of six digits', withHost('a:100000')],
  ['bad-host', 'two ports', withHost('a:80:80')],
  ['bad-host', 'negative port', withHost('a:-1')],
  ['bad-host', 'only a port', withHost(':80')],
  ['bad-host', 'leading dot', withHost('.a')],
  ['bad-host', 'empty label', withHost('a..b')],
  ['bad-host', 'only a dot', withHost('.')],
  ['bad-host', 'open bracket', withHost('[::1')],
  ['bad-host', 'empty brackets', withHost('[]')],
  ['bad-host', 'tail behind brackets', withHost('[::1]a')],
  ['bad-host', 'zone id', withHost('[fe80::1%25eth0]')],
  ['bad-host', 'IPv6 without brackets', withHost('::1')],
  ['bad-host', 'name in brackets', withHost('[example]')],
  ['bad-host', '300 characters', withHost('a'.repeat(300))],
  ['bad-host', 'template', withHost('${a}')],
  ['non-ascii', 'Host', withHost('\u00e9')],
  ['duplicate-field', 'two Hosts', withFields('Host: b')],
  ['duplicate-field', 'the same Host twice', withFields('Host: a')],
  ['duplicate-field', 'Host in other case (CVE-2021-39155)', withFields('hOST: b')],
  // one value by definition
  ['duplicate-field', 'Content-Type (CVE-2023-38199)', post('Content-Type: a/b', 'Content-Type: c/d')],
  ['duplicate-field', 'Authorization', withFields('Authorization: Bearer a', 'Authorization: Bearer b')],
  ['duplicate-field', 'Proxy-Authorization', withFields('Proxy-Authorization: a', 'Proxy-Authorization: b')],
  ['duplicate-field', 'Expect', post('Expect: 100-continue', 'Expect: 100-continue')],
  ['duplicate-field', 'Origin', withFields('Origin: http://a', 'Origin: http://b')],
  ['duplicate-field', 'Referer', withFields('Referer: a', 'Referer: b')],
  ['duplicate-field', 'Range', withFields('Range: bytes=0-1', 'Range: bytes=2-3')],
  ['duplicate-field', 'Upgrade', withFields('Upgrade: websocket', 'Upgrade: h2c')],
  ['duplicate-field', 'DPoP (RFC 9449 §4.3)', withFields('DPoP: a', 'DPoP: b')],
  ['duplicate-field', 'our own', withFields('X-Ringwall-User: a', 'X-Ringwall-User: b')],
  ['duplicate-field', 'our own', withFields('X-Ringwall-Anonymous: a', 'x-ringwall-anonymous: b')],
  ['duplicate-field', 'Sec-WebSocket-Key', withFields('Sec-WebSocket-Key: a', 'Sec-WebSocket-Key: b')],
  // names
  ['bad-name', 'empty', withFields(': a')],
  ['missing-colon', 'a line of letters', withFields('abc')],
  ['space-before-colon', 'X', withFields('X : a')],
  ['space-before-colon', 'inner space', withFields('X Y: a')],
  ['space-before-colon', 'a second request line', withFields('GET /admin HTTP/1.1')],
  ['bad-name', 'parentheses', withFields('X(Y): a')],
  ['bad-name', 'comma', withFields('X,Y: a')],
  ['bad-name', 'slash', withFields('X/Y: a')],
  ['bad-name', 'quotes', withFields('"X": a')],
  ['bad-name', 'at sign', withFields('X@Y: a')],
  ['bad-name', 'brackets', withFields('X[0]: a')],
  ['bad-name', 'equals sign', withFields('X=Y: a')],
  ['bad-name', 'semicolon', withFields('X;Y: a')],
  ['bad-name', 'backslash', withFields('X\\Y: a')],
  ['bad-name', 'braces', withFields('{X}: a')],
  // Connection, Expect
  ['bad-connection', 'not a token', withFields('Connection: a b')],
  ['bad-connection', 'quoted', withFields('Connection: "close"')],
  ['bad-connection', 'names Host', withFields('Connection: close, Host')],
  ['bad-connection', 'names Authorization (CVE-2022-1388 class)', withFields('Connection: Authorization')],
  ['bad-connection', 'names Content-Length', post('Content-Length: 1', 'Connection: content-length')],
  ['bad-connection', 'names Content-Type', post('Connection: Content-Type')],
  ['bad-connection', 'on a second line', withFields('Connection: keep-alive', 'Connection: host')],
  ['unknown-expectation', 'other', post('Expect: cake')],
  ['unknown-expectation', 'empty', post('Expect:')],
  ['unknown-expectation', 'with a prefix', post('Expect: y 100-continue')],
  ['unknown-expectation', 'with a suffix', post('Expect: 100-continue, x')],
  // limits
  ['target-too-long', 'target', withLine(`GET /${'a'.repeat(8_192)} HTTP/1.1`)],
  ['target-too-long', 'target without end', `GET /${'a'.repeat(20_000)}`],
  ['target-too-long', 'query', withLine(`GET /?${'a'.repeat(8_180)} HTTP/1.1`)],
  ['line-too-long', 'value', withFields(`X: ${'a'.repeat(8_192)}`)],
  ['line-too-long', 'name', withFields(`${'a'.repeat(8_193)}: b`)],
  ['line-too-long', 'value without end', `GET / HTTP/1.1\r\nX: ${'a'.repeat(9_000)}`],
  ['line-too-long', 'spaces', withFields(`X:${' '.repeat(9_000)}a`)],
  [
    'too-many-headers',
    '101 fields',
    withFields(...Array.from({ length: 100 }, (_, index) => `X-${index}: a`)),
  ],
  [
    'head-too-large',
    '32 KiB',
    withFields(...Array.from({ length: 5 }, (_, index) => `X-${index}: ${'a'.repeat(8_000)}`)),
  ],
  ['head-too-large', 'without end', `GET / HTTP/1.1\r\n${`X: ${'a'.repeat(8_000)}\r\n`.repeat(5)}`],
];

for (const [fault, why, raw] of REFUSED) {
  test(`decodeRequestHead() refuses ${fault}: ${why} (${HTTP_FAULTS[fault].source})`, () => {
    assert.deepEqual(decode(raw), { kind: 'refused', reason: HTTP_FAULTS[fault].reason, fault });
  });
}

test('a refused request reaches the same verdict whatever pieces it comes in', () => {
  for (const [fault, why, raw] of REFUSED) {
    const buffer = Buffer.from(raw, 'latin1');
    const step = buffer.length > 1_000 ? 97 : 1;
    for (let end = 0; end < buffer.length; end += step) {
      const outcome = decodeRequestHead(buffer, 0, end, DEFAULT_LIMITS);
      if (outcome.kind === 'incomplete') continue;
      assert.deepEqual(
        outcome,
        { kind: 'refused', reason: HTTP_FAULTS[fault].reason, fault },
        `${why} at ${end}`,
      );
    }
  }
});

test('a request with a bare LF is refused at once and not waited for', () => {
  assert.equal(decode('GET / HTTP/1.1\r\nHost: a\nX: y').kind, 'refused');
  assert.equal(decode('GET / HTTP/1.1\nH').kind, 'refused');
  assert.equal(decode('hello').kind, 'refused');
});

test('each reason has the status that its fault asks for', () => {
  const reason = (raw: string) => {
    const outcome = decode(raw);
    return outcome.kind === 'refused' ? outcome.reason : outcome.kind;
  };
  assert.equal(reason(withLine('GET / HTTP/3.0')), 'unsupported-version');
  assert.equal(reason(withLine('TRACE / HTTP/1.1')), 'method-not-allowed');
  assert.equal(reason(post('Transfer-Encoding: gzip')), 'unsupported-coding');
  assert.equal(reason(post('Expect: cake')), 'unsupported-expectation');
  assert.equal(reason(withLine(`GET /${'a'.repeat(9_000)} HTTP/1.1`)), 'target-too-long');
  assert.equal(reason(withFields(`X: ${'a'.repeat(9_000)}`)), 'headers-too-large');
  assert.equal(reason(post('Content-Length: 1', 'Transfer-Encoding: chunked')), 'ambiguous-framing');
  assert.equal(reason(withHost('a,b')), 'malformed-request');
});

test('decodeRequestHead() reads an ordinary request', () => {
  const head = accept(
    'GET /a/b?c=d&e HTTP/1.1\r\nHost: Shop.Boutique.TEST:4443\r\nAccept:\t */* \t\r\nX-Empty:\r\n\r\n',
  );
  assert.equal(head.method, 'GET');
  assert.equal(head.target, '/a/b?c=d&e');
  assert.equal(head.rawPath, '/a/b');
  assert.equal(head.rawQuery, '?c=d&e');
  assert.equal(head.authority, 'shop.boutique.test:4443');
  assert.equal(head.host, 'shop.boutique.test');
  assert.equal(head.version, '1.1');
  assert.equal(head.keepAlive, true);
  assert.deepEqual(head.framing, { kind: 'none' });
  assert.deepEqual(
    [...head.headers.entries()],
    [
      ['host', 'Shop.Boutique.TEST:4443'],
      ['accept', '*/*'],
      ['x-empty', ''],
    ],
  );
});

test('decodeRequestHead() accepts what is legal, though rare', () => {
  assert.equal(accept(withLine('M-SEARCH / HTTP/1.1')).method, 'M-SEARCH');
  assert.equal(accept(withLine('GET /?? HTTP/1.1')).rawQuery, '??');
  assert.equal(accept(withLine('GET /?a={"b":[1|2]}\\^` HTTP/1.1')).rawQuery, '?a={"b":[1|2]}\\^`');
  assert.equal(accept(withLine('GET //a HTTP/1.1')).rawPath, '//a'); // for the path normaliser to refuse
  assert.equal(accept(`\r\n${withFields()}`).method, 'GET'); // RFC 9112 §2.2
  assert.deepEqual(accept(post('Content-Length: 007')).framing, { kind: 'length', bytes: 7 });
  assert.deepEqual(accept(post('Content-Length: 9007199254740991')).framing, {
    kind: 'length',
    bytes: 2 ** 53 - 1,
  });
  assert.deepEqual(accept(withFields('Content-Length: 5')).framing, { kind: 'length', bytes: 5 });
  assert.deepEqual(accept(post('Transfer-Encoding: Chunked')).framing, { kind: 'chunked' });
  assert.deepEqual(accept(post('transfer-encoding:chunked')).framing, { kind: 'chunked' });
  assert.equal(accept(withHost('[2001:DB8::1]:443')).host, '[2001:db8::1]');
  assert.equal(accept(withHost('[::ffff:10.0.0.1]')).host, '[::ffff:10.0.0.1]');
  assert.equal(accept(withHost('10.0.0.1:65535')).host, '10.0.0.1');
  assert.equal(accept(withHost('a_b-c.example.')).host, 'a_b-c.example.');
  assert.equal(accept(withFields('Cookie: a=1', 'Cookie: b=2')).headers.get('cookie'), 'a=1; b=2');
  assert.equal(accept(withFields('Accept: a/b', 'Accept: c/d')).headers.get('accept'), 'a/b, c/d');
  assert.equal(accept(withFields('X_Y.Z!: a')).headers.get('x_y.z!'), 'a');
  assert.equal(accept(withFields(`X: ${'a'.repeat(8_189)}`)).headers.get('x')?.length, 8_189);
  assert.equal(
    accept(withFields(...Array.from({ length: 99 }, (_, index) => `X-${index}: a`))).headers.size,
    100,
  );
});

test('decodeRequestHead() reduces absolute-form to origin-form (RFC 9112 §3.2.2)', () => {
  const absolute = (line: string) => {
    const { target, rawPath, rawQuery, authority } = accept(withLine(line));
    return { target, rawPath, rawQuery, authority };
  };
  assert.deepEqual(absolute('GET http://a/b?c HTTP/1.1'), {
    target: '/b?c',
    rawPath: '/b',
    rawQuery: '?c',
    authority: 'a',
  });
  assert.deepEqual(absolute('GET HTTPS://A HTTP/1.1'), {
    target: '/',
    rawPath: '/',
    rawQuery: '',
    authority: 'a',
  });
  assert.deepEqual(absolute('GET http://a?b/c HTTP/1.1'), {
    target: '/?b/c',
    rawPath: '/',
    rawQuery: '?b/c',
    authority: 'a',
  });
  assert.deepEqual(absolute('OPTIONS http://a HTTP/1.1'), {
    target: '*',
    rawPath: '*',
    rawQuery: '',
    authority: 'a',
  });
  assert.deepEqual(absolute('OPTIONS * HTTP/1.1'), {
    target: '*',
    rawPath: '*',
    rawQuery: '',
    authority: 'a',
  });
});

test('decodeRequestHead() reads what is asked of the connection', () => {
  assert.equal(accept(withFields('Connection: close')).keepAlive, false);
  assert.equal(accept(withFields('Connection: X, , Close')).keepAlive, false);
  assert.equal(accept(withFields('Connection: keep-alive', 'Connection: close')).keepAlive, false);
  assert.equal(accept('GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n').keepAlive, false);
  assert.equal(accept(withFields('Connection: Upgrade', 'Upgrade: websocket')).upgrade, 'websocket');
  assert.equal(accept(withFields('Upgrade: websocket')).upgrade, undefined);
  assert.equal(
    accept('GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n').upgrade,
    undefined,
  );
  assert.equal(accept(post('Content-Length: 1', 'Expect: 100-Continue')).expectContinue, true);
  assert.equal(accept('POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\n\r\n').expectContinue, false);
});

test('decodeRequestHead() takes one head of several and looks at nothing outside its bounds', () => {
  const first = 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n';
  const second = 'GET /2 HTTP/1.1\r\nHost: b\r\n\r\n';
  const buffer = Buffer.from(`${first}${second}garbage\u0000`, 'latin1');
  const one = decodeRequestHead(buffer, 0, buffer.length, DEFAULT_LIMITS);
  assert.ok(one.kind === 'head' && one.consumed === first.length && one.head.target === '/1');
  const two = decodeRequestHead(buffer, one.consumed, buffer.length, DEFAULT_LIMITS);
  assert.ok(two.kind === 'head' && two.consumed === second.length && two.head.target === '/2');
  for (let end = 0; end < first.length; end++) {
    assert.deepEqual(decodeRequestHead(buffer, 0, end, DEFAULT_LIMITS), { kind: 'incomplete' }, `${end}`);
  }
});

test('decodeRequestHead() reads heads longer than its first look, in every piece', () => {
  const raw = withFields(...Array.from({ length: 60 }, (_, index) => `X-${index}: ${'a'.repeat(90)}`));
  const buffer = Buffer.from(`${raw}body`);
  const outcome = decodeRequestHead(buffer, 0, buffer.length, DEFAULT_LIMITS);
  assert.ok(outcome.kind === 'head' && outcome.consumed === raw.length && outcome.head.headers.size === 61);
  for (let end = 0; end < raw.length; end += 61) {
    assert.equal(decodeRequestHead(buffer, 0, end, DEFAULT_LIMITS).kind, 'incomplete');
  }
});

test('limits are exact', () => {
  const limits = { ...DEFAULT_LIMITS, maxLineBytes: 20, maxHeadBytes: 40, maxHeaders: 2 };
  const head = 'GET /12345 HTTP/1.1\r\nHost: a\r\nX: 123\r\n\r\n';
  assert.equal(head.length, 40);
  assert.equal(decode(head, limits).kind, 'head');
  assert.equal(decode(head.replace('123\r', '1234\r'), limits).kind, 'refused');
  assert.equal(decode('GET /123456 HTTP/1.1\r\nHost: a\r\n\r\n', limits).kind, 'head');
  const tooLong = decode('GET /1234567 HTTP/1.1\r\nHost: a\r\n\r\n', limits);
  assert.ok(tooLong.kind === 'refused' && tooLong.fault === 'target-too-long');
});
