import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/clock';
import { RateLimiter } from '#service/identity';

const limit = { requests: 10, perMs: 1000, burst: 20 };

function takeMany(limiter: RateLimiter, key: string, count: number): number {
  let admitted = 0;
  for (let i = 0; i < count; i++) if (limiter.take(key, limit).kind === 'admitted') admitted++;
  return admitted;
}

test('take() admits a burst, then the rate', () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter({ clock, maxKeys: 10 });
  assert.equal(takeMany(limiter, 'a', 100), 20);
  clock.advance(1000);
  assert.equal(takeMany(limiter, 'a', 100), 10);
});

test('take() counts each key alone', () => {
  const limiter = new RateLimiter({ clock: new FakeClock(), maxKeys: 10 });
  assert.equal(takeMany(limiter, 'a', 100), 20);
  assert.equal(takeMany(limiter, 'b', 100), 20);
});

test('take() follows monotonic time: setting the wall clock gives nothing', () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter({ clock, maxKeys: 10 });
  takeMany(limiter, 'a', 100);
  clock.jump(clock.nowMs() + 86_400_000);
  assert.equal(takeMany(limiter, 'a', 100), 0);
});

test('a flood of keys cannot make it keep more than maxKeys', () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter({ clock, maxKeys: 1000 });
  for (let i = 0; i < 50_000; i++) {
    limiter.take(`flood-${i}`, limit);
    assert.ok(limiter.size <= 1000);
  }
});

test('a flood of keys does not free a caller who keeps sending', () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter({ clock, maxKeys: 1000 });
  takeMany(limiter, 'attacker', 100);
  let admitted = 0;
  for (let i = 0; i < 20_000; i++) {
    limiter.take(`flood-${i}`, limit);
    if (i % 500 === 0) admitted += takeMany(limiter, 'attacker', 1);
  }
  assert.equal(admitted, 0);
});

test('entries that say nothing any more make room first', () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter({ clock, maxKeys: 1000 });
  for (let i = 0; i < 1000; i++) limiter.take(`old-${i}`, limit);
  clock.advance(10_000);
  for (let i = 0; i < 200; i++) limiter.take(`new-${i}`, limit);
  assert.equal(limiter.size, 200);
});

test('keys of any length cost the same', () => {
  const limiter = new RateLimiter({ clock: new FakeClock(), maxKeys: 10 });
  const long = 'x'.repeat(1_000_000);
  assert.equal(takeMany(limiter, `${long}a`, 30), 20);
  assert.equal(takeMany(limiter, `${long}b`, 30), 20);
});
