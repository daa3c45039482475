import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MAX_TOKEN_CHARS, parseJws } from '#domain/jwt';

const b64 = (text: string) => Buffer.from(text).toString('base64url');
const token = (header: unknown, payload = '{}', signature = 'sig!') =>
  `${b64(typeof header === 'string' ? header : JSON.stringify(header))}.${b64(payload)}.${b64(signature)}`;
const good = { alg: 'ES256', typ: 'at+jwt', kid: 'k1' };

function verdict(text: string): string {
  const parsed = parseJws(text);
  return parsed.kind === 'refused' ? parsed.reason : 'jws';
}

test('parseJws() takes a compact JWS apart', () => {
  const parsed = parseJws(token(good, 'hello'));
  assert.ok(parsed.kind === 'jws');
  assert.deepEqual(
    { ...parsed.jws, payload: Buffer.from(parsed.jws.payload).toString() },
    { ...good, payload: 'hello' },
  );
});

test('parseJws() gives one verdict to one token: no second text of it passes', () => {
  const text = token(good, 'x', 'ab');
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ .\n\t';
  const bytesOf = (part: string | undefined) => Buffer.from(part ?? '', 'base64url').toString('hex');
  let checked = 0;
  for (let at = 0; at <= text.length; at++) {
    for (const letter of alphabet) {
      for (const other of [
        text.slice(0, at) + letter + text.slice(at),
        text.slice(0, at) + letter + text.slice(at + 1),
      ]) {
        if (other === text || verdict(other) === 'refused') continue;
        const same = other
          .split('.')
          .every((part, index) => bytesOf(part) === bytesOf(text.split('.')[index]));
        if (!same || other.split('.').length !== 3) continue;
        checked += 1;
        assert.notEqual(verdict(other), 'jws', JSON.stringify(other));
      }
    }
  }
  assert.ok(checked > 100);
});

for (const [name, text] of [
  ['an empty text', ''],
  ['one part', 'abc'],
  ['two parts', token(good).split('.').slice(0, 2).join('.')],
  ['four parts', `${token(good)}.AA`],
  ['five parts (a JWE)', `${token(good)}.AA.AA`],
  ['no signature', token(good).replace(/[^.]*$/, '')],
  ['padding', `${token(good, '{}', 'a')}==`],
  ['a trailing newline', `${token(good)}\n`],
  ['an inner space', token(good).replace('.', '. ')],
  ['a flipped unused bit', token(good, '{}', 'a').slice(0, -1) + 'R'],
  ['the alphabet of base64', `${token(good)}+/`],
  ['a JSON serialization', JSON.stringify({ protected: b64('{}'), payload: '', signature: 'AA' })],
  ['a header that is a list', token('[]')],
  ['a header that is not JSON', token('{alg:"ES256"}')],
  ['a header with "alg" twice', token('{"alg":"ES256","alg":"none"}')],
  ['a header with "alg" twice, once escaped', token('{"alg":"ES256","\\u0061lg":"none"}')],
  ['a header that nests too deep', token(`{"alg":"ES256","x":${'['.repeat(20)}${']'.repeat(20)}}`)],
  ['no "alg"', token({ typ: 'at+jwt' })],
  ['an "alg" that is a number', token({ ...good, alg: 1 })],
  ['an empty "alg"', token({ ...good, alg: '' })],
  ['a "typ" that is a list', token({ ...good, typ: ['at+jwt'] })],
  ['a "kid" that is an object', token({ ...good, kid: { $ne: '' } })],
  ['a "kid" of 256 characters', token({ ...good, kid: 'k'.repeat(256) })],
  ['more than 8192 characters', token(good, 'x'.repeat(MAX_TOKEN_CHARS))],
  ['8192 dots', '.'.repeat(MAX_TOKEN_CHARS)],
] as const) {
  test(`parseJws() refuses ${name}`, () => assert.equal(verdict(text), 'token-malformed'));
}

for (const [name, value] of Object.entries({
  jku: 'https://evil.test/keys',
  jwk: { kty: 'EC' },
  x5u: 'https://evil.test/cert',
  x5c: ['MII'],
  x5t: 'AA',
  'x5t#S256': 'AA',
  crit: ['exp'],
  b64: false,
  zip: 'DEF',
})) {
  test(`parseJws() refuses a "${name}" header parameter (RFC 8725 §3.10)`, () => {
    assert.equal(verdict(token({ ...good, [name]: value })), 'token-invalid');
  });
}
test('parseJws() refuses an empty "crit" (RFC 7515 §4.1.11)', () => {
  assert.equal(verdict(token({ ...good, crit: [] })), 'token-invalid');
});
test('parseJws() ignores header parameters without meaning (RFC 7515 §4)', () => {
  assert.equal(verdict(token({ ...good, 'urn:example': 1 })), 'jws');
});

test('parseJws() never throws', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string().map(b64)), text => void parseJws(text)),
  );
  fc.assert(
    fc.property(fc.jsonValue(), fc.string(), (header, payload) => void parseJws(token(header, payload))),
  );
});
