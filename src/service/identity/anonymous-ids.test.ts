import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { FakeClock } from '#base/clock';
import { ANONYMOUS_COOKIE, AnonymousIds } from '#service/identity';

const clock = new FakeClock();
const key = randomBytes(32);
const HERE = '192.0.2.7';

function setUp() {
  const ids = new AnonymousIds({ key, clock });
  const minted = ids.identify(undefined, undefined, HERE);
  assert.ok(minted.kind === 'minted' && minted.token !== undefined && minted.setCookie !== undefined);
  return { ids, id: minted.id, token: minted.token, setCookie: minted.setCookie };
}

test('identify() knows the id that it minted, by cookie and by header', () => {
  const { ids, id, token } = setUp();
  assert.deepEqual(ids.identify(`${ANONYMOUS_COOKIE}=${token}`, undefined, HERE), { kind: 'known', id });
  assert.deepEqual(ids.identify(undefined, token, HERE), { kind: 'known', id });
  assert.deepEqual(ids.identify(`a=b; ${ANONYMOUS_COOKIE}=${token}; c=d`, 'nonsense', HERE), {
    kind: 'known',
    id,
  });
});

test('identify() sets a cookie that only this host can set and no script can read', () => {
  const { setCookie, token } = setUp();
  assert.equal(
    setCookie,
    `__Host-ringwall-anon=${token}; Path=/; Max-Age=2592000; Secure; HttpOnly; SameSite=Lax`,
  );
});

test('identify() mints ids that differ', () => {
  const ids = new AnonymousIds({ key, clock });
  const seen = new Set(Array.from({ length: 60 }, () => ids.identify(undefined, undefined, HERE).id));
  assert.equal(seen.size, 60);
});

test('identify() accepts no token with any one character changed', () => {
  const { ids, token } = setUp();
  for (let at = 0; at < token.length; at++) {
    const other = token[at] === 'A' ? 'B' : 'A';
    const forged = token.slice(0, at) + other + token.slice(at + 1);
    assert.notEqual(ids.identify(undefined, forged, HERE).kind, 'known', `character ${at}`);
  }
});

for (const [name, change] of [
  ['padding', (token: string) => `${token}=`],
  ['a space', (token: string) => `${token} `],
  ['quotes', (token: string) => `"${token}"`],
  ['a part missing', (token: string) => token.slice(0, -1)],
  ['itself twice', (token: string) => token + token],
  ['nothing in it', () => ''],
] as const) {
  test(`identify() does not know a token with ${name}`, () => {
    const { ids, token } = setUp();
    assert.equal(ids.identify(undefined, change(token), HERE).kind, 'minted');
    assert.equal(
      ids.identify(`${ANONYMOUS_COOKIE}=${change(token)};x=y`, undefined, HERE).kind,
      change(token).trim() === token ? 'known' : 'minted',
    );
  });
}

test('identify() does not choose between two cookies of the name', () => {
  const { ids, token } = setUp();
  const other = setUp().token;
  const header = `${ANONYMOUS_COOKIE}=${token}; ${ANONYMOUS_COOKIE}=${other}`;
  assert.equal(ids.identify(header, undefined, HERE).kind, 'minted');
});

test('identify() does not take a cookie whose name only ends or differs in case', () => {
  const { ids, token } = setUp();
  assert.equal(ids.identify(`x${ANONYMOUS_COOKIE}=${token}`, undefined, HERE).kind, 'minted');
  assert.equal(ids.identify(`__host-ringwall-anon=${token}`, undefined, HERE).kind, 'minted');
});

test('an id does not travel to another network, but within one', () => {
  const { ids, id, token } = setUp();
  assert.deepEqual(ids.identify(undefined, token, '192.0.2.200'), { kind: 'known', id });
  assert.deepEqual(ids.identify(undefined, token, '::ffff:192.0.2.9'), { kind: 'known', id });
  assert.equal(ids.identify(undefined, token, '198.51.100.7').kind, 'minted');
  assert.equal(ids.identify(undefined, token, '2001:db8::1').kind, 'minted');
});

test('an id of another key is unknown', () => {
  const { token } = setUp();
  const other = new AnonymousIds({ key: randomBytes(32), clock });
  assert.equal(other.identify(undefined, token, HERE).kind, 'minted');
});

test('an id ends after thirty days, and one from the future never began', () => {
  const { ids, token } = setUp();
  const startMs = clock.nowMs();
  clock.jump(startMs + 30 * 86_400_000 - 1);
  assert.equal(ids.identify(undefined, token, HERE).kind, 'known');
  clock.jump(startMs + 30 * 86_400_000);
  assert.equal(ids.identify(undefined, token, HERE).kind, 'minted');
  clock.jump(startMs - 60_000);
  assert.equal(new AnonymousIds({ key, clock }).identify(undefined, token, HERE).kind, 'minted');
  clock.jump(startMs);
});

test('an address that asks for ids without end is treated as one caller', () => {
  const ids = new AnonymousIds({ key, clock });
  const kinds = Array.from({ length: 1000 }, () => ids.identify(undefined, undefined, HERE));
  const refused = kinds.filter(({ kind }) => kind === 'over-minted');
  assert.equal(refused.length, 940);
  assert.ok(refused.every(({ id, token, setCookie }) => id === `address:${HERE}` && !token && !setCookie));
  assert.equal(ids.identify(undefined, undefined, '198.51.100.1').kind, 'minted');
  clock.advance(1000);
  assert.equal(ids.identify(undefined, undefined, HERE).kind, 'minted');
});

test('a /64 of IPv6 is one address', () => {
  const ids = new AnonymousIds({ key, clock });
  const kinds = Array.from({ length: 1000 }, (_, at) =>
    ids.identify(undefined, undefined, `2001:db8:1:2::${at.toString(16)}`),
  );
  assert.equal(kinds.filter(({ kind }) => kind === 'minted').length, 60);
});

test('a short key is refused', () => {
  assert.throws(() => new AnonymousIds({ key: randomBytes(31), clock }), TypeError);
});
