import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { BoundedMap } from './bounded-map.ts';

/** Values are the times at which they are spent. */
function mapOf(maxKeys: number): BoundedMap<number> {
  return new BoundedMap({ maxKeys, isSpent: (untilMs, nowMs) => untilMs <= nowMs });
}

test('BoundedMap behaves as a map that forgets: never more than maxKeys, never a wrong value', () => {
  const operation = fc.record({
    kind: fc.constantFrom('set', 'use', 'delete', 'clear', 'wait'),
    key: fc.integer({ min: 0, max: 30 }).map(String),
    lifeMs: fc.integer({ min: 1, max: 100 }),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(operation, { maxLength: 400 }),
      (maxKeys, operations) => {
        const map = mapOf(maxKeys);
        const model = new Map<string, number>();
        let nowMs = 0;
        for (const { kind, key, lifeMs } of operations) {
          if (kind === 'set') {
            map.set(key, nowMs + lifeMs, nowMs);
            model.set(key, nowMs + lifeMs);
            assert.equal(map.use(key), nowMs + lifeMs);
          } else if (kind === 'use') {
            const value = map.use(key);
            if (value !== undefined) assert.equal(value, model.get(key));
          } else if (kind === 'delete') {
            map.delete(key);
            model.delete(key);
            assert.equal(map.use(key), undefined);
          } else if (kind === 'clear') {
            map.clear();
            model.clear();
            assert.equal(map.size, 0);
          } else {
            nowMs += lifeMs;
          }
          assert.ok(map.size <= maxKeys);
        }
      },
    ),
  );
});

test('BoundedMap forgets nothing that is alive while there is room', () => {
  const map = mapOf(1000);
  for (let i = 0; i < 1000; i++) map.set(String(i), 10, 0);
  for (let i = 0; i < 1000; i++) assert.equal(map.use(String(i)), 10);
});

test('BoundedMap keeps what is used and forgets what is idle', () => {
  const map = mapOf(100);
  for (let i = 0; i < 100; i++) map.set(`idle-${i}`, 10, 0);
  map.set('busy', 10, 0);
  for (let i = 0; i < 10_000; i++) {
    if (i % 50 === 0) assert.equal(map.use('busy'), 10);
    map.set(`new-${i}`, 10, 0);
  }
});

test('BoundedMap makes room when everything in it is in use', () => {
  const map = mapOf(50);
  for (let i = 0; i < 500; i++) {
    map.set(String(i), 10, 0);
    for (let used = 0; used <= i; used++) map.use(String(used));
    assert.ok(map.size <= 50);
    assert.equal(map.use(String(i)), 10);
  }
});

test('BoundedMap costs the same however full it is', () => {
  const perSetUs = (maxKeys: number) => {
    const map = mapOf(maxKeys);
    for (let i = 0; i < maxKeys; i++) map.set(String(i), 10, 0);
    const startMs = performance.now();
    for (let i = 0; i < 50_000; i++) map.set(`new-${i}`, 10, 0);
    return ((performance.now() - startMs) * 1000) / 50_000;
  };
  perSetUs(100);
  const [small, large] = [perSetUs(1000), perSetUs(200_000)];
  // Caches and rehashing cost something; walking over what was deleted would cost a thousand times as much.
  assert.ok(large < 30 * small + 5, `${small} µs, ${large} µs`);
});
