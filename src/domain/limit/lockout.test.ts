import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  abandonAttempt,
  beginAttempt,
  failAttempt,
  isUnlocked,
  succeedAttempt,
  UNLOCKED,
  type LockoutRule,
  type LockoutState,
} from '#domain/limit';

const rule: LockoutRule = { failures: 5, windowMs: 600_000 };

function fail(state: LockoutState, nowMs: number): LockoutState {
  return failAttempt(rule, beginAttempt(rule, state, nowMs).state, nowMs);
}

function failTimes(count: number, everyMs: number): LockoutState {
  let state = UNLOCKED;
  for (let i = 0; i < count; i++) state = fail(state, i * everyMs);
  return state;
}

test('beginAttempt() admits the fifth guess and refuses the sixth', () => {
  assert.equal(beginAttempt(rule, failTimes(4, 1000), 5000).verdict.kind, 'open');
  assert.deepEqual(beginAttempt(rule, failTimes(5, 1000), 5000).verdict, {
    kind: 'locked',
    retryAfterMs: 599_000,
  });
});

test('beginAttempt() stays locked until the window has passed since the last failure, not the first', () => {
  const state = failTimes(5, 100_000);
  assert.equal(beginAttempt(rule, state, 999_999).verdict.kind, 'locked');
  assert.equal(beginAttempt(rule, state, 1_000_000).verdict.kind, 'open');
});

test('failures that slid out of the window do not count', () => {
  const state = failTimes(50, 150_001);
  assert.equal(beginAttempt(rule, state, 49 * 150_001).verdict.kind, 'open');
});

test('beginAttempt() counts attempts under way: a volley of parallel guesses gets no more than the rule', () => {
  let state = UNLOCKED;
  let open = 0;
  for (let i = 0; i < 1000; i++) {
    const step = beginAttempt(rule, state, i / 1000);
    state = step.state;
    if (step.verdict.kind === 'open') open++;
  }
  assert.equal(open, rule.failures);
});

test('attempts that nobody settles stop counting after a minute', () => {
  let state = UNLOCKED;
  for (let i = 0; i < 5; i++) state = beginAttempt(rule, state, 0).state;
  assert.equal(beginAttempt(rule, state, 59_999).verdict.kind, 'locked');
  assert.equal(beginAttempt(rule, state, 60_000).verdict.kind, 'open');
});

test('succeedAttempt() forgives earlier failures', () => {
  const state = succeedAttempt(rule, beginAttempt(rule, failTimes(4, 1000), 5000).state, 5000);
  assert.ok(isUnlocked(rule, state, 5000));
});

test('succeedAttempt() does not lift a lock that fell while it was under way', () => {
  let state = beginAttempt(rule, UNLOCKED, 0).state;
  for (let i = 0; i < 5; i++) state = failAttempt(rule, state, i);
  state = succeedAttempt(rule, state, 10);
  assert.equal(beginAttempt(rule, state, 11).verdict.kind, 'locked');
});

test('abandonAttempt() neither counts nor forgives', () => {
  let state = failTimes(4, 0);
  for (let i = 0; i < 100; i++) state = abandonAttempt(rule, beginAttempt(rule, state, i).state, i);
  assert.equal(beginAttempt(rule, state, 100).verdict.kind, 'open');
  assert.equal(beginAttempt(rule, fail(state, 100), 101).verdict.kind, 'locked');
});

test('no order of attempts gets more than the permitted failures through in any window', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 200_000 }), { maxLength: 200 }), stepsMs => {
      let state = UNLOCKED;
      let nowMs = 0;
      const guesses: number[] = [];
      for (const stepMs of stepsMs) {
        nowMs += stepMs;
        const step = beginAttempt(rule, state, nowMs);
        state = step.state;
        if (step.verdict.kind === 'locked') continue;
        guesses.push(nowMs);
        state = failAttempt(rule, state, nowMs);
        assert.ok(state.failedAtMs.length <= rule.failures && state.pendingSinceMs.length <= rule.failures);
      }
      for (let i = rule.failures; i < guesses.length; i++) {
        assert.ok((guesses[i] ?? 0) - (guesses[i - rule.failures] ?? 0) >= rule.windowMs);
      }
    }),
  );
});

test('time that steps back keeps a lock and frees nothing', () => {
  const state = failTimes(5, 0);
  assert.equal(beginAttempt(rule, state, -1_000_000).verdict.kind, 'locked');
});
