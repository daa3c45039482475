import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { normalisePath, type PathFault } from '#domain/path';

const REFUSED: readonly (readonly [raw: string, reason: PathFault, why: string])[] = [
  ['', 'not-absolute', 'RFC 9112 §3.2.1'],
  ['*', 'not-absolute', 'RFC 9112 §3.2.4'],
  ['a/b', 'not-absolute', 'RFC 9112 §3.2.1'],
  ['http://a/b', 'not-absolute', 'RFC 9112 §3.2.2'],
  ['%2Fa', 'not-absolute', 'RFC 9112 §3.2.1'],
  ['\\a', 'not-absolute', 'CVE-2021-31920'],
  // empty segments
  ['//', 'empty-segment', 'CVE-2021-31920'],
  ['//a', 'empty-segment', 'CVE-2021-31920'],
  ['/a//b', 'empty-segment', 'CVE-2021-31920'],
  ['/a//', 'empty-segment', 'CVE-2021-31920'],
  ['/%61//b', 'empty-segment', 'CVE-2021-31920'],
  ['//%61', 'empty-segment', 'CVE-2021-31920'],
  // dot segments in every encoding
  ['/.', 'dot-segment', 'RFC 3986 §5.2.4'],
  ['/..', 'dot-segment', 'RFC 3986 §5.2.4'],
  ['/./', 'dot-segment', 'RFC 3986 §5.2.4'],
  ['/../a', 'dot-segment', 'CVE-2026-33494'],
  ['/a/..', 'dot-segment', 'CVE-2026-33494'],
  ['/a/../b', 'dot-segment', 'CVE-2026-33494'],
  ['/a/./b', 'dot-segment', 'RFC 3986 §5.2.4'],
  ['/%2e', 'dot-segment', 'CVE-2026-15631'],
  ['/%2E%2E/a', 'dot-segment', 'CVE-2026-15631'],
  ['/a/%2e%2E', 'dot-segment', 'CVE-2026-15631'],
  ['/a/.%2e/b', 'dot-segment', 'CVE-2026-15631'],
  ['/a/%2e./b', 'dot-segment', 'CVE-2026-15631'],
  ['/a%20b/../c', 'dot-segment', 'CVE-2026-15631'],
  ['/%E2%80%A5/a', 'dot-segment', 'NFKC of U+2025'],
  ['/%EF%BC%8E%EF%BC%8E/a', 'dot-segment', 'NFKC of U+FF0E'],
  // slashes in disguise
  ['/%2f', 'encoded-slash', 'CVE-2021-31920'],
  ['/a%2Fb', 'encoded-slash', 'CVE-2021-31920'],
  ['/a%2fb', 'encoded-slash', 'CVE-2026-16117'],
  ['/..%2fa', 'encoded-slash', 'CVE-2026-16117'],
  ['/a%EF%BC%8Fb', 'encoded-slash', 'NFKC of U+FF0F'],
  ['/a\\b', 'backslash', 'CVE-2026-85124'],
  ['/..\\a', 'backslash', 'CVE-2026-85124'],
  ['/a%5cb', 'backslash', 'CVE-2021-31920'],
  ['/a%5Cb', 'backslash', 'CVE-2021-31920'],
  ['/a%EF%BC%BCb', 'backslash', 'NFKC of U+FF3C'],
  // parameters, fragments, queries
  ['/a;b', 'path-parameter', 'CVE-2026-73553'],
  ['/..;/a', 'path-parameter', 'CVE-2026-73511'],
  ['/a/..;x=1/b', 'path-parameter', 'CVE-2026-73551'],
  ['/a;jsessionid=1', 'path-parameter', 'CVE-2026-73553'],
  ['/a%3bb', 'path-parameter', 'CVE-2026-73553'],
  ['/a%3B/b', 'path-parameter', 'CVE-2026-73553'],
  ['/a#b', 'fragment', 'CVE-2021-39156'],
  ['/a%23b', 'fragment', 'CVE-2021-39156'],
  ['/a%3Fb', 'encoded-question-mark', 'CVE-2026-120213'],
  // escapes
  ['/%', 'bad-escape', 'RFC 3986 §2.1'],
  ['/a%', 'bad-escape', 'RFC 3986 §2.1'],
  ['/a%2', 'bad-escape', 'RFC 3986 §2.1'],
  ['/a%g0', 'bad-escape', 'RFC 3986 §2.1'],
  ['/a%0g', 'bad-escape', 'RFC 3986 §2.1'],
  ['/a% 0', 'bad-escape', 'RFC 3986 §2.1'],
  ['/%%32%65', 'bad-escape', 'RFC 3986 §2.1'],
  ['/%u002f', 'bad-escape', 'IIS %u'],
  ['/%-1', 'bad-escape', 'RFC 3986 §2.1'],
  ['/%0x', 'bad-escape', 'RFC 3986 §2.1'],
  // double encoding
  ['/%252f', 'double-encoding', 'CVE-2026-48020'],
  ['/%252e%252e/a', 'double-encoding', 'CVE-2026-48020'],
  ['/%2525', 'double-encoding', 'CVE-2026-48020'],
  ['/%25%32%66', 'double-encoding', 'CVE-2026-48020'],
  ['/%25%35c', 'double-encoding', 'CVE-2026-48020'],
  ['/%2500', 'double-encoding', 'CVE-2026-48020'],
  ['/%25aF', 'double-encoding', 'CVE-2026-48020'],
  // control characters
  ['/a\u0000', 'control-character', 'RFC 3986 §2'],
  ['/a\r\nb', 'control-character', 'RFC 9112 §3.2'],
  ['/a\tb', 'control-character', 'RFC 3986 §2'],
  ['/a\u007f', 'control-character', 'RFC 3986 §2'],
  ['/a%0d%0ab', 'control-character', 'CVE-2024-45808'],
  ['/a%C2%85b', 'control-character', 'U+0085'],
  ['/a%c2%9fb', 'control-character', 'U+009F'],
  // characters that must be escaped
  ['/a b', 'bad-character', 'RFC 3986 §3.3'],
  ['/a"b', 'bad-character', 'RFC 3986 §3.3'],
  ['/<a>', 'bad-character', 'RFC 3986 §3.3'],
  ['/{a}', 'bad-character', 'RFC 3986 §3.3'],
  ['/a|b', 'bad-character', 'RFC 3986 §3.3'],
  ['/a^b', 'bad-character', 'RFC 3986 §3.3'],
  ['/a`b', 'bad-character', 'RFC 3986 §3.3'],
  ['/[a]', 'bad-character', 'RFC 3986 §3.3'],
  ['/\u00e9', 'bad-character', 'CVE-2026-73552'],
  ['/%20\u00e9', 'bad-character', 'CVE-2026-73552'],
  ['/\u2215', 'bad-character', 'RFC 3986 §3.3'],
  // UTF-8
  ['/%80', 'bad-utf8', 'RFC 3629 §3: lone continuation'],
  ['/%bf', 'bad-utf8', 'RFC 3629 §3: lone continuation'],
  ['/%c0%af', 'bad-utf8', 'RFC 3629 §10: overlong /'],
  ['/%c0%ae%c0%ae/', 'bad-utf8', 'RFC 3629 §10: overlong ..'],
  ['/%c1%9c', 'bad-utf8', 'RFC 3629 §10: overlong \\'],
  ['/%c0%80', 'bad-utf8', 'RFC 3629 §10: overlong NUL'],
  ['/%e0%80%af', 'bad-utf8', 'RFC 3629 §10: overlong /'],
  ['/%e0%9f%bf', 'bad-utf8', 'RFC 3629 §4'],
  ['/%f0%80%80%af', 'bad-utf8', 'RFC 3629 §10: overlong /'],
  ['/%f8%80%80%80%af', 'bad-utf8', 'RFC 3629 §4: five bytes'],
  ['/%fc%80%80%80%80%af', 'bad-utf8', 'RFC 3629 §4: six bytes'],
  ['/%f4%90%80%80', 'bad-utf8', 'RFC 3629 §3: beyond U+10FFFF'],
  ['/%f5%80%80%80', 'bad-utf8', 'RFC 3629 §4'],
  ['/%ed%a0%80', 'bad-utf8', 'RFC 3629 §3: surrogate'],
  ['/%ed%bf%bf', 'bad-utf8', 'RFC 3629 §3: surrogate'],
  ['/%c3', 'bad-utf8', 'RFC 3629 §4: cut short'],
  ['/%c3/%a9', 'bad-utf8', 'RFC 3629 §4: cut short'],
  ['/%c3%28', 'bad-utf8', 'RFC 3629 §4'],
  ['/%e2%82', 'bad-utf8', 'RFC 3629 §4: cut short'],
  ['/%fe', 'bad-utf8', 'RFC 3629 §3'],
  ['/%ff', 'bad-utf8', 'RFC 3629 §3'],
];

for (const [raw, reason, why] of REFUSED) {
  test(`normalisePath() refuses ${JSON.stringify(raw)} (${why})`, () => {
    assert.deepEqual(normalisePath(raw), { kind: 'refused', reason });
  });
}

const ACCEPTED: readonly (readonly [raw: string, path: string])[] = [
  ['/', '/'],
  ['/a', '/a'],
  ['/a/', '/a/'],
  ['/a/b.c/~d_e-f', '/a/b.c/~d_e-f'],
  ['/...', '/...'],
  ['/.a/a./..a', '/.a/a./..a'],
  ['/hipstershop.AdService/GetAds', '/hipstershop.AdService/GetAds'],
  ["/!$&'()*+,=:@", "/!$&'()*+,=:@"],
  ['/%7euser', '/~user'],
  ['/%41%2d%5F', '/A-_'],
  ['/a%2eb', '/a.b'],
  ['/a%40b%3a%2a', '/a@b:*'],
  ['/a%20b', '/a%20b'],
  ['/100%25', '/100%25'],
  ['/100%25/aa', '/100%25/aa'],
  ['/caf%c3%a9', '/caf%C3%A9'],
  ['/%e2%82%ac/%f0%9f%98%80', '/%E2%82%AC/%F0%9F%98%80'],
  ['/a%7cb%5b%5d', '/a%7Cb%5B%5D'],
];

for (const [raw, path] of ACCEPTED) {
  test(`normalisePath() reads ${raw} as ${path}`, () =>
    assert.deepEqual(normalisePath(raw), { kind: 'path', path }));
}

test('normalisePath() gives every single escape %00 to %FF one fate, in both letter cases', () => {
  const plain = /^[A-Za-z0-9\-._~!$&'()*+,=:@]$/;
  const kept = new Set(Buffer.from(' "%<>[]^`{|}'));
  for (let byte = 0; byte < 256; byte++) {
    const escape = `%${byte.toString(16).padStart(2, '0')}`;
    const character = String.fromCharCode(byte);
    const outcome = normalisePath(`/a${escape}b`);
    assert.deepEqual(normalisePath(`/a${escape.toUpperCase()}b`), outcome, escape);
    if (plain.test(character)) assert.deepEqual(outcome, { kind: 'path', path: `/a${character}b` }, escape);
    else if (kept.has(byte))
      assert.deepEqual(outcome, { kind: 'path', path: `/a${escape.toUpperCase()}b` }, escape);
    else assert.equal(outcome.kind, 'refused', escape);
  }
});

/** Paths that are hostile more often than not. */
const piece = fc.oneof(
  fc.constantFrom(
    '/',
    '.',
    '..',
    '%2e',
    '%2E',
    '%2f',
    '%5c',
    '\\',
    ';',
    '#',
    '?',
    '%25',
    '%',
    '%00',
    '%c3%a9',
    '%c0%af',
    '//',
    'a',
    '%41',
    '25',
    '2f',
    '*',
    '%3b',
    '%ef%bc%8f',
    ' ',
    '\u00e9',
    '\r\n',
  ),
  fc.string({ maxLength: 3 }),
  fc.integer({ min: 0, max: 255 }).map(byte => `%${byte.toString(16).padStart(2, '0')}`),
);
const hostilePath = fc.array(piece, { maxLength: 8 }).map(pieces => `/${pieces.join('')}`);

test('normalisePath() is idempotent', () => {
  fc.assert(
    fc.property(hostilePath, raw => {
      const once = normalisePath(raw);
      if (once.kind === 'path') assert.deepEqual(normalisePath(once.path), once);
    }),
    { numRuns: 5000 },
  );
});

test('normalisePath() lets nothing through that a second decoding could read differently', () => {
  fc.assert(
    fc.property(hostilePath, raw => {
      const outcome = normalisePath(raw);
      if (outcome.kind === 'refused') return;
      const { path } = outcome;
      assert.match(path, /^\/(?:[A-Za-z0-9\-._~!$&'()*+,=:@/]|%[0-9A-F]{2})*$/);
      assert.doesNotMatch(path, /\/\/|\/\.{1,2}(?:\/|$)|%2F|%5C|%3B|%23|%3F|%2E|%[01][0-9A-F]|%7F/);
      const decoded = decodeURIComponent(path);
      assert.doesNotMatch(decoded, /%[0-9A-Fa-f]{2}|[\\;#?]/);
      // The structure of the decoded path is that of the path itself, also under Unicode normalisation.
      assert.equal(decoded.normalize('NFKC').split('/').length, path.split('/').length);
      // WHATWG URL parsers (browsers, Node) see the same path.
      assert.equal(new URL(path, 'http://host').pathname, path);
    }),
    { numRuns: 5000 },
  );
});
