import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isFresh, NEVER_SEEN, takeOne, type RateLimit } from '#domain/limit';

const limits = fc.record({
  requests: fc.integer({ min: 1, max: 1000 }),
  perMs: fc.constantFrom(1000, 60_000, 3_600_000),
  burst: fc.integer({ min: 1, max: 100 }),
});
const steps = fc.array(fc.double({ min: 0, max: 20_000, noNaN: true }), { maxLength: 300 });

function run(limit: RateLimit, timesMs: readonly number[]): { readonly admittedAtMs: number[] } {
  let arrivalMs = NEVER_SEEN;
  const admittedAtMs: number[] = [];
  for (const timeMs of timesMs) {
    const step = takeOne(limit, arrivalMs, timeMs);
    arrivalMs = step.arrivalMs;
    if (step.verdict.kind === 'admitted') admittedAtMs.push(timeMs);
  }
  return { admittedAtMs };
}

function timesFrom(stepsMs: readonly number[]): number[] {
  let nowMs = 1_000_000;
  return stepsMs.map(stepMs => (nowMs += stepMs));
}

test('takeOne() admits no more than burst + rate × time in any window', () => {
  fc.assert(
    fc.property(limits, steps, (limit, stepsMs) => {
      const { admittedAtMs } = run(limit, timesFrom(stepsMs));
      for (let from = 0; from < admittedAtMs.length; from++) {
        for (let to = from; to < admittedAtMs.length; to++) {
          const windowMs = (admittedAtMs[to] ?? 0) - (admittedAtMs[from] ?? 0);
          const most = limit.burst + (windowMs / limit.perMs) * limit.requests;
          assert.ok(to - from + 1 <= most + 1e-6, `${to - from + 1} in ${windowMs} ms`);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('takeOne() gives the whole burst at once, and not one more', () => {
  fc.assert(
    fc.property(limits, limit => {
      const { admittedAtMs } = run(
        limit,
        Array.from({ length: limit.burst + 5 }, () => 42),
      );
      assert.equal(admittedAtMs.length, limit.burst);
    }),
  );
});

test('takeOne() tells "remaining" truly: as many more are admitted at the same moment', () => {
  fc.assert(
    fc.property(limits, steps, (limit, stepsMs) => {
      let arrivalMs = NEVER_SEEN;
      let nowMs = 0;
      for (const stepMs of stepsMs) {
        nowMs += stepMs;
        arrivalMs = takeOne(limit, arrivalMs, nowMs).arrivalMs;
      }
      const { verdict, arrivalMs: after } = takeOne(limit, arrivalMs, nowMs);
      let more = 0;
      for (let state = after; ; more++) {
        const step = takeOne(limit, state, nowMs);
        if (step.verdict.kind === 'limited') break;
        state = step.arrivalMs;
      }
      assert.equal(more, verdict.remaining);
    }),
    { numRuns: 60 },
  );
});

test('takeOne() admits at "retryAfterMs" and refuses before it', () => {
  fc.assert(
    fc.property(limits, limit => {
      let arrivalMs = NEVER_SEEN;
      for (let i = 0; i < limit.burst; i++) arrivalMs = takeOne(limit, arrivalMs, 0).arrivalMs;
      const { verdict } = takeOne(limit, arrivalMs, 0);
      assert.equal(verdict.kind, 'limited');
      const retryAfterMs = verdict.kind === 'limited' ? verdict.retryAfterMs : 0;
      assert.equal(takeOne(limit, arrivalMs, retryAfterMs - 1e-3).verdict.kind, 'limited');
      assert.equal(takeOne(limit, arrivalMs, retryAfterMs).verdict.kind, 'admitted');
    }),
  );
});

test('takeOne() has forgotten everything at "resetMs"', () => {
  fc.assert(
    fc.property(limits, steps, (limit, stepsMs) => {
      let arrivalMs = NEVER_SEEN;
      let nowMs = 0;
      let resetMs = 0;
      for (const stepMs of stepsMs) {
        nowMs += stepMs;
        const step = takeOne(limit, arrivalMs, nowMs);
        arrivalMs = step.arrivalMs;
        resetMs = step.verdict.resetMs;
      }
      assert.ok(isFresh(arrivalMs, nowMs + resetMs + 1e-6));
    }),
  );
});

test('takeOne() does not punish hammering: refused requests leave the state alone', () => {
  const limit = { requests: 1, perMs: 1000, burst: 1 };
  let arrivalMs = takeOne(limit, NEVER_SEEN, 0).arrivalMs;
  for (let nowMs = 1; nowMs < 1000; nowMs++) arrivalMs = takeOne(limit, arrivalMs, nowMs).arrivalMs;
  assert.equal(takeOne(limit, arrivalMs, 1000).verdict.kind, 'admitted');
});

test('takeOne() admits no more when time steps back and forth', () => {
  fc.assert(
    fc.property(
      limits,
      fc.array(fc.integer({ min: -50_000, max: 5000 }), { maxLength: 300 }),
      (limit, stepsMs) => {
        let nowMs = 1_000_000;
        let forwardMs = 0;
        const times = stepsMs.map(stepMs => {
          forwardMs += Math.max(0, stepMs);
          return (nowMs += stepMs);
        });
        const { admittedAtMs } = run(limit, times);
        assert.ok(admittedAtMs.length <= limit.burst + (forwardMs / limit.perMs) * limit.requests + 1e-6);
      },
    ),
  );
});

test('takeOne() blocks for no more than one burst after time stepped back by a day', () => {
  const limit = { requests: 20, perMs: 1000, burst: 40 };
  const { arrivalMs } = takeOne(limit, NEVER_SEEN, 86_400_000);
  const { verdict } = takeOne(limit, arrivalMs, 0);
  assert.ok(verdict.kind === 'limited' && verdict.retryAfterMs <= 2000);
});

test('takeOne() applies a limit that shrank at once', () => {
  const wide = { requests: 1, perMs: 60_000, burst: 100 };
  let arrivalMs = NEVER_SEEN;
  for (let i = 0; i < 100; i++) arrivalMs = takeOne(wide, arrivalMs, 0).arrivalMs;
  const { verdict } = takeOne({ requests: 10, perMs: 1000, burst: 1 }, arrivalMs, 0);
  assert.ok(verdict.kind === 'limited' && verdict.retryAfterMs <= 100);
});
