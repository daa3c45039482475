import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/clock';
import type { Reason } from '#domain/decision';
import type { TransactionRecord } from '#domain/record';
import { Deadlines } from './deadlines.ts';
import { Pipeline } from './pipeline.ts';
import { Refusals } from './refusals.ts';

function setUp() {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const pipeline = new Pipeline(clock);
  const records: TransactionRecord[] = [];
  const refusals = new Refusals({ append: record => void records.push(record), healthy: true }, deadlines);
  const refuse = (address: string, reason: Reason = 'peer-unverified', listener = 'inbound/a') => {
    const what = { direction: 'inbound', caller: '', callee: '', method: '', rule: '' } as const;
    const size = { bytesIn: 0, bytesOut: 0, durationUs: 0 };
    const facts = { ...what, ...size, reason, detail: 'x', address, timeMs: clock.nowMs() };
    refusals.add(pipeline.recordConnection(facts), listener);
  };
  const advance = (byMs: number) => {
    clock.advance(byMs);
    deadlines.sweep();
  };
  /** The details recorded since the last call. */
  const told = () => records.splice(0).map(({ detail }) => detail);
  return { refuse, refusals, advance, told, close: () => deadlines.close() };
}

test('of refusals that are alike one a second is recorded, with the number of the others', () => {
  const { refuse, advance, told, close } = setUp();
  for (let i = 0; i < 43; i++) refuse('10.0.0.1');
  assert.deepEqual(told(), ['x']);
  advance(999);
  assert.deepEqual(told(), []);
  advance(1);
  assert.deepEqual(told(), ['x, and 41 more within the second']);
  // The window of that record.
  refuse('10.0.0.1');
  assert.deepEqual(told(), []);
  advance(1_000);
  assert.deepEqual(told(), ['x']);
  advance(1_000);
  refuse('10.0.0.1');
  assert.deepEqual(told(), ['x']);
  close();
});

test('another listener, address or reason is recorded for itself', () => {
  const { refuse, told, close } = setUp();
  refuse('10.0.0.1');
  refuse('10.0.0.2');
  refuse('10.0.0.1', 'plaintext-refused');
  refuse('10.0.0.1', 'peer-unverified', 'inbound/b');
  assert.equal(told().length, 4);
  close();
});

test('thousands of addresses fill neither the memory nor the disk, and all of them are counted', () => {
  const { refuse, advance, told, close } = setUp();
  for (let i = 0; i < 10_000; i++) refuse(`10.0.${i >> 8}.${i & 255}`);
  const first = told();
  assert.equal(first.length, 257);
  advance(1_000);
  assert.deepEqual(told(), [`x, and ${10_000 - 257 - 1} more within the second, from many addresses`]);
  advance(1_000);
  // Nothing is kept of what is over.
  refuse('10.0.0.1');
  assert.deepEqual(told(), ['x']);
  close();
});

test('what is still to be told of is told at the end', () => {
  const { refuse, refusals, told, close } = setUp();
  for (let i = 0; i < 3; i++) refuse('10.0.0.1');
  refusals.close();
  assert.deepEqual(told(), ['x', 'x, and 1 more within the second']);
  close();
});
