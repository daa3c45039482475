import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '#base/error';
import {
  isTrustDomain,
  parseServiceIdentity,
  parseSpiffeId,
  partIdentity,
  serviceIdentity,
  trustDomainIdentity,
} from '#domain/spiffe';

const REFUSED: readonly (readonly [string, string])[] = [
  ['', 'wrong-scheme'],
  ['spiffe:/a.b/c', 'wrong-scheme'],
  ['http://a.b/c', 'wrong-scheme'],
  ['SPIFFE://a.b/c', 'wrong-scheme'],
  [' spiffe://a.b', 'wrong-scheme'],
  ['spiffe://', 'no-trust-domain'],
  ['spiffe:///c', 'no-trust-domain'],
  ['spiffe://A.b/c', 'bad-trust-domain'],
  ['spiffe://a.b:443/c', 'bad-trust-domain'],
  ['spiffe://user@a.b/c', 'bad-trust-domain'],
  ['spiffe://a.b?x', 'bad-trust-domain'],
  ['spiffe://a%2eb/c', 'bad-trust-domain'],
  ['spiffe://a.b\n', 'bad-trust-domain'],
  [`spiffe://${'a'.repeat(256)}/c`, 'bad-trust-domain'],
  ['spiffe://a.b/', 'trailing-slash'],
  ['spiffe://a.b/c/', 'trailing-slash'],
  ['spiffe://a.b//c', 'empty-segment'],
  ['spiffe://a.b/./c', 'dot-segment'],
  ['spiffe://a.b/c/..', 'dot-segment'],
  ['spiffe://a.b/c%20d', 'bad-segment'],
  ['spiffe://a.b/c?q=1', 'bad-segment'],
  ['spiffe://a.b/c#d', 'bad-segment'],
  ['spiffe://a.b/c\u0000', 'bad-segment'],
  ['spiffe://a.b/é', 'bad-segment'],
  [`spiffe://a.b/${'c'.repeat(2048)}`, 'too-long'],
];

for (const [text, fault] of REFUSED) {
  test(`parseSpiffeId() refuses ${JSON.stringify(text.slice(0, 40))} as ${fault} (SPIFFE-ID §2)`, () => {
    assert.deepEqual(parseSpiffeId(text), { kind: 'refused', fault });
  });
}

test('parseSpiffeId() accepts an id with and without a path, and dots inside of segments', () => {
  for (const text of [
    'spiffe://a.b',
    'spiffe://a_b-1.c/ns/x/sa/Y_z',
    'spiffe://a/...',
    `spiffe://${'a'.repeat(255)}/b`,
  ]) {
    const verdict = parseSpiffeId(text);
    assert.equal(verdict.kind, 'id');
    assert.equal(verdict.kind === 'id' && verdict.id.text, text);
  }
});

test('parseSpiffeId() accepts exactly 2048 bytes and no more (SPIFFE-ID §2.3)', () => {
  const text = `spiffe://a.b/${'c'.repeat(2048 - 13)}`;
  assert.equal(text.length, 2048);
  assert.equal(parseSpiffeId(text).kind, 'id');
  assert.equal(parseSpiffeId(`${text}c`).kind, 'refused');
});

test('parseSpiffeId() never throws, and what it accepts is made of its parts', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map(rest => `spiffe://${rest}`),
      ),
      text => {
        const verdict = parseSpiffeId(text);
        if (verdict.kind === 'id') assert.equal(`spiffe://${verdict.id.trustDomain}${verdict.id.path}`, text);
      },
    ),
  );
});

const segment = fc.stringMatching(/^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,20}$/);
const domain = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}$/);

test('parseServiceIdentity() reads what serviceIdentity() writes', () => {
  fc.assert(
    fc.property(domain, segment, segment, (trustDomain, namespace, service) => {
      const text = serviceIdentity(trustDomain, namespace, service);
      assert.deepEqual(parseServiceIdentity(text), { trustDomain, namespace, service });
    }),
  );
});

test('parseServiceIdentity() refuses other shapes of path', () => {
  for (const path of ['', '/ns/a', '/ns/a/sa', '/ns/a/sa/b/c', '/sa/b/ns/a', '/NS/a/sa/b', '/x/ns/a/sa/b']) {
    assert.equal(parseServiceIdentity(`spiffe://a.b${path}`), undefined, path);
  }
});

test('serviceIdentity() refuses parts that would change the shape of the id', () => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ['A.b', 'default', 'web', 'bad-trust-domain'],
    ['', 'default', 'web', 'bad-trust-domain'],
    ['a.b/ns/x', 'default', 'web', 'bad-trust-domain'],
    ['a.b', '', 'web', 'bad-namespace'],
    ['a.b', 'x/sa/admin', 'web', 'bad-namespace'],
    ['a.b', 'default', '..', 'bad-service'],
    ['a.b', 'default', 'a/b', 'bad-service'],
  ];
  for (const [trustDomain, namespace, service, code] of cases) {
    assert.throws(
      () => serviceIdentity(trustDomain, namespace, service),
      error => hasCode(error, code),
    );
  }
});

test('the ids of a trust domain and of its own parts', () => {
  assert.equal(trustDomainIdentity('a.b'), 'spiffe://a.b');
  assert.equal(partIdentity('a.b', 'gateway'), 'spiffe://a.b/ns/ringwall/sa/gateway');
  assert.throws(() => trustDomainIdentity('a/b'));
  assert.equal(isTrustDomain('a.b'), true);
  assert.equal(isTrustDomain(''), false);
});
