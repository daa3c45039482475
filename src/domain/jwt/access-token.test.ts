import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { checkAccessToken, parseAccessToken } from '#domain/jwt';

const NOW_MS = Date.UTC(2027, 0, 1);
const NOW = NOW_MS / 1000;
const expected = { issuer: 'https://id.test', audience: 'shop', algorithm: 'ES256' };
const header = { alg: 'ES256', typ: 'at+jwt', kid: 'k1' };
const claims = {
  iss: 'https://id.test',
  aud: 'shop',
  sub: 'alice',
  client_id: 'web',
  jti: 't1',
  scope: 'cart orders',
  iat: NOW,
  exp: NOW + 600,
};

const b64 = (text: string) => Buffer.from(text).toString('base64url');
const encode = (header: object, payload: string) => `${b64(JSON.stringify(header))}.${b64(payload)}.AAAA`;

function check(options: { header?: object; claims?: object; payload?: string }) {
  const payload = options.payload ?? JSON.stringify({ ...claims, ...options.claims });
  const parsed = parseAccessToken(encode({ ...header, ...options.header }, payload));
  return parsed.kind === 'refused' ? parsed : checkAccessToken(parsed.token, expected, NOW_MS);
}

function reason(options: Parameters<typeof check>[0]): string {
  const result = check(options);
  return result.kind === 'refused' ? result.reason : 'acceptable';
}

test('checkAccessToken() gives what the token says', () => {
  assert.deepEqual(check({}), {
    kind: 'acceptable',
    claims: {
      issuer: 'https://id.test',
      subject: 'alice',
      clientId: 'web',
      scopes: new Set(['cart', 'orders']),
      tokenId: 't1',
      expiresAtMs: NOW_MS + 600_000,
    },
  });
});

for (const typ of ['at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/AT+JWT']) {
  test(`parseAccessToken() accepts the type ${typ}`, () =>
    assert.equal(reason({ header: { typ } }), 'acceptable'));
}
for (const typ of [
  undefined,
  'JWT',
  'jwt',
  'dpop+jwt',
  'logout+jwt',
  'at+jwt ',
  'x/at+jwt',
  'txntoken+jwt',
]) {
  test(`parseAccessToken() refuses the type ${String(typ)} (RFC 9068 §4)`, () => {
    assert.equal(reason({ header: { typ } }), 'token-invalid');
  });
}
for (const alg of [
  'none',
  'None',
  'nOnE',
  'HS256',
  'HS512',
  'RS256',
  'PS256',
  'ES384',
  'ES256K',
  'es256',
  'EdDSA',
  'dir',
]) {
  test(`checkAccessToken() refuses "alg" ${alg} of an ES256 issuer (RFC 8725 §3.1)`, () => {
    assert.equal(reason({ header: { alg } }), 'token-invalid');
  });
}

const acceptable: readonly (readonly [string, object])[] = [
  ['an audience among others', { aud: ['bank', 'shop'] }],
  ['a list of scopes', { scope: ['cart'] }],
  ['no scope', { scope: undefined }],
  ['an empty scope', { scope: '' }],
  ['clocks that differ by 30 s', { iat: NOW + 30, nbf: NOW + 30 }],
  ['fractions of a second', { exp: NOW + 0.5 }],
];
for (const [name, changes] of acceptable) {
  test(`checkAccessToken() accepts ${name}`, () => assert.equal(reason({ claims: changes }), 'acceptable'));
}

const refusals: readonly (readonly [string, object, string])[] = [
  ['no "iss"', { iss: undefined }, 'token-malformed'],
  ['an "iss" that is a list', { iss: ['https://id.test'] }, 'token-malformed'],
  ['an "iss" with a slash more', { iss: 'https://id.test/' }, 'token-invalid'],
  ['an "iss" in other case', { iss: 'https://ID.test' }, 'token-invalid'],
  ['no "aud"', { aud: undefined }, 'token-malformed'],
  ['another "aud"', { aud: 'bank' }, 'token-invalid'],
  ['an "aud" that only starts right', { aud: 'shop2' }, 'token-invalid'],
  ['an "aud" that is an object', { aud: { shop: 1 } }, 'token-malformed'],
  ['an "aud" that holds a number', { aud: ['shop', 1] }, 'token-malformed'],
  ['an empty "aud"', { aud: [] }, 'token-invalid'],
  ['no "exp"', { exp: undefined }, 'token-malformed'],
  ['an "exp" that is a text', { exp: String(NOW + 600) }, 'token-malformed'],
  ['an "exp" that is null', { exp: null }, 'token-malformed'],
  ['a negative "exp"', { exp: -1 }, 'token-malformed'],
  ['an "exp" after the year 9999', { exp: 1e15 }, 'token-malformed'],
  ['an "exp" that is now', { exp: NOW }, 'token-expired'],
  ['an "exp" of a second ago', { exp: NOW - 1 }, 'token-expired'],
  ['no "iat" (RFC 9068 §2.2)', { iat: undefined }, 'token-malformed'],
  ['an "iat" 31 s ahead', { iat: NOW + 31 }, 'token-invalid'],
  ['an "nbf" 31 s ahead', { nbf: NOW + 31 }, 'token-invalid'],
  ['an "nbf" that is a text', { nbf: 'now' }, 'token-malformed'],
  ['no "sub"', { sub: undefined }, 'token-malformed'],
  ['an empty "sub"', { sub: '' }, 'token-malformed'],
  ['a "sub" that is a number', { sub: 1 }, 'token-malformed'],
  ['a "sub" of 256 characters', { sub: 'a'.repeat(256) }, 'token-malformed'],
  ['a "sub" with a line break', { sub: 'alice\r\nx-ringwall-user: root' }, 'token-malformed'],
  ['a "sub" beyond ASCII', { sub: 'аlice' }, 'token-malformed'],
  ['a "sub" with an outer space', { sub: 'alice ' }, 'token-malformed'],
  ['no "client_id" (RFC 9068 §2.2)', { client_id: undefined }, 'token-malformed'],
  ['no "jti" (RFC 9068 §2.2)', { jti: undefined }, 'token-malformed'],
  ['a "scope" that is a number', { scope: 1 }, 'token-malformed'],
  ['a "scope" with two spaces', { scope: 'cart  orders' }, 'token-malformed'],
  ['a "scope" with a quote', { scope: 'cart"' }, 'token-malformed'],
  ['a "scope" with a comma and a line break', { scope: 'a,\n' }, 'token-malformed'],
  ['more than 256 scopes', { scope: Array.from({ length: 257 }, (_, at) => `s${at}`) }, 'token-malformed'],
  ['a token bound to a key (RFC 9449 §7.1)', { cnf: { jkt: 'x' } }, 'token-invalid'],
];
for (const [name, changes, expected] of refusals) {
  test(`checkAccessToken() refuses ${name}`, () => assert.equal(reason({ claims: changes }), expected));
}

const payloads: readonly (readonly [string, string])[] = [
  ['is empty', ''],
  ['is a list', '[]'],
  ['is a text', '"x"'],
  ['names "sub" twice', JSON.stringify(claims).replace('"sub"', '"sub":"root","sub"')],
  ['names "exp" twice, once escaped', JSON.stringify(claims).replace('"exp"', '"\\u0065xp":1,"exp"')],
  [
    'hides claims in "__proto__"',
    JSON.stringify({ a: 1 }).replace('"a":1', `"__proto__":${JSON.stringify(claims)}`),
  ],
  ['nests too deep', `{"a":${'['.repeat(40)}${']'.repeat(40)}}`],
];
for (const [name, payload] of payloads) {
  test(`parseAccessToken() refuses a payload that ${name}`, () =>
    assert.equal(reason({ payload }), 'token-malformed'));
}

test('no refusal repeats a part of the token', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...Object.keys(claims), 'nbf', 'cnf'), fc.jsonValue()),
      changes => {
        const result = check({ claims: { ...changes, marker: 'SECRETMARKER' } });
        if (result.kind === 'refused') assert.match(result.detail, /^(header|payload): [a-z0-9"+_ :,-]+$/i);
      },
    ),
  );
});
