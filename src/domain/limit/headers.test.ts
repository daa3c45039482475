import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEVER_SEEN, rateLimitHeaders, retryAfterSeconds, takeOne, type RateLimit } from '#domain/limit';

const login: RateLimit = { requests: 20, perMs: 1000, burst: 40 };
const admitted = takeOne(login, NEVER_SEEN, 0).verdict;

test('rateLimitHeaders() says nothing without a limit', () => {
  assert.deepEqual(rateLimitHeaders([]), []);
});

test('rateLimitHeaders() writes structured fields (draft-ietf-httpapi-ratelimit-headers-11)', () => {
  assert.deepEqual(rateLimitHeaders([{ name: 'client', limit: login, verdict: admitted }]), [
    ['ratelimit-policy', '"client";q=40;w=2'],
    ['ratelimit', '"client";r=39;t=1'],
  ]);
});

test('rateLimitHeaders() lists several limits under distinct names', () => {
  const perMinute = { requests: 60, perMs: 60_000, burst: 60 };
  const taken = [
    { name: 'client', limit: login, verdict: admitted },
    { name: 'client', limit: perMinute, verdict: takeOne(perMinute, NEVER_SEEN, 0).verdict },
  ];
  assert.deepEqual(rateLimitHeaders(taken), [
    ['ratelimit-policy', '"client";q=40;w=2, "client-2";q=60;w=60'],
    ['ratelimit', '"client";r=39;t=1, "client-2";r=59;t=1'],
  ]);
});

test('rateLimitHeaders() adds Retry-After when a limit refused, the longest of them, rounded up', () => {
  const limited = (retryAfterMs: number) => ({
    name: 'user',
    limit: login,
    verdict: { kind: 'limited', remaining: 0, resetMs: 9000, retryAfterMs } as const,
  });
  assert.deepEqual(rateLimitHeaders([limited(50), limited(1001)]).slice(1), [
    ['ratelimit', '"user";r=0;t=1, "user-2";r=0;t=2'],
    ['retry-after', '2'],
  ]);
});

test('rateLimitHeaders() never promises a smaller quota than what remains', () => {
  for (const limit of [
    { requests: 100, perMs: 1000, burst: 1 },
    { requests: 1, perMs: 3_600_000, burst: 3 },
    { requests: 7, perMs: 1000, burst: 10 },
  ]) {
    const lines = rateLimitHeaders([
      { name: 'route', limit, verdict: takeOne(limit, NEVER_SEEN, 0).verdict },
    ]);
    const number = (line: number, key: string) =>
      Number(new RegExp(`${key}=(\\d+)`).exec(lines[line]?.[1] ?? '')?.[1]);
    assert.ok(number(0, 'q') >= number(1, 'r'), JSON.stringify(lines));
    assert.ok(
      number(0, 'q') / number(0, 'w') <= (limit.requests / limit.perMs) * 1000 + 1e-9,
      JSON.stringify(lines),
    );
  }
});

test('retryAfterSeconds() is never 0', () => {
  assert.equal(retryAfterSeconds(0), '1');
  assert.equal(retryAfterSeconds(1000), '1');
  assert.equal(retryAfterSeconds(1000.5), '2');
});
