import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/clock';
import { Lockouts, type Lockout } from '#service/identity';

const perAccount: Lockout = { failures: 5, windowMs: 600_000, per: ['client', 'account'] };
const perClient: Lockout = { ...perAccount, per: ['client'] };

function guess(lockouts: Lockouts, key: string, rule = perAccount): string {
  const { kind } = lockouts.check(key, rule);
  if (kind === 'open') lockouts.failed(key, rule);
  return kind;
}

test('five failures lock, until the window has passed since the last one', () => {
  const clock = new FakeClock();
  const lockouts = new Lockouts({ clock, maxKeys: 10 });
  for (let i = 0; i < 5; i++) {
    assert.equal(guess(lockouts, 'a'), 'open');
    clock.advance(60_000);
  }
  assert.deepEqual(lockouts.check('a', perAccount), { kind: 'locked', retryAfterMs: 540_000 });
  clock.advance(539_999);
  assert.equal(lockouts.check('a', perAccount).kind, 'locked');
  clock.advance(1);
  assert.equal(lockouts.check('a', perAccount).kind, 'open');
});

test('another key is not locked', () => {
  const lockouts = new Lockouts({ clock: new FakeClock(), maxKeys: 10 });
  for (let i = 0; i < 10; i++) guess(lockouts, 'a');
  assert.equal(guess(lockouts, 'b'), 'open');
});

test('a volley of parallel attempts gets no more than the rule through', () => {
  const lockouts = new Lockouts({ clock: new FakeClock(), maxKeys: 10 });
  const open = Array.from({ length: 500 }, () => lockouts.check('a', perAccount)).filter(
    ({ kind }) => kind === 'open',
  );
  assert.equal(open.length, 5);
});

test('succeeded() forgives, if the key names an account', () => {
  const lockouts = new Lockouts({ clock: new FakeClock(), maxKeys: 10 });
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 4; i++) assert.equal(guess(lockouts, 'a'), 'open');
    assert.equal(lockouts.check('a', perAccount).kind, 'open');
    lockouts.succeeded('a', perAccount);
  }
  assert.equal(lockouts.size, 0);
});

test('signing in to an account of his own does not give a guesser new attempts per client', () => {
  const lockouts = new Lockouts({ clock: new FakeClock(), maxKeys: 10 });
  let guesses = 0;
  for (let i = 0; i < 50; i++) {
    if (guess(lockouts, 'a', perClient) === 'open') guesses += 1;
    if (lockouts.check('a', perClient).kind === 'open') lockouts.succeeded('a', perClient);
  }
  assert.equal(guesses, 5);
});

test('abandoned() gives the attempt back', () => {
  const lockouts = new Lockouts({ clock: new FakeClock(), maxKeys: 10 });
  for (let i = 0; i < 100; i++) {
    assert.equal(lockouts.check('a', perAccount).kind, 'open');
    lockouts.abandoned('a', perAccount);
  }
  assert.equal(lockouts.size, 0);
});

test('a flood of keys that fail once stays bounded and frees nobody who is locked', () => {
  const clock = new FakeClock();
  const lockouts = new Lockouts({ clock, maxKeys: 1000 });
  for (let i = 0; i < 5; i++) guess(lockouts, 'victim');
  for (let i = 0; i < 20_000; i++) guess(lockouts, `flood-${i}`);
  assert.ok(lockouts.size <= 2000);
  assert.equal(lockouts.check('victim', perAccount).kind, 'locked');
});

test('a flood of keys that get locked stays bounded', () => {
  const lockouts = new Lockouts({ clock: new FakeClock(), maxKeys: 500 });
  for (let i = 0; i < 5000; i++) for (let n = 0; n < 6; n++) guess(lockouts, `flood-${i}`);
  assert.ok(lockouts.size <= 1000);
});
