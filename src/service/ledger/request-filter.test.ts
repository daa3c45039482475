import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { RequestFilter } from './request-filter.ts';

const newKey = () => randomBytes(6).readUIntBE(0, 6);

test('mayHave() never says no to a key that was added, also when the filter is read again', () => {
  const filter = new RequestFilter();
  const keys = [0, 1, 2 ** 48 - 1, 2 ** 24, ...Array.from({ length: 16_380 }, newKey)];
  for (const key of keys) filter.add(key);
  const again = new RequestFilter(Uint8Array.from(filter.bytes));
  assert.deepEqual(
    keys.filter(key => !filter.mayHave(key) || !again.mayHave(key)),
    [],
  );
});

test('mayHave() says yes wrongly about once in a hundred times for a full block, and never for an empty one', () => {
  const filter = new RequestFilter();
  const others = Array.from({ length: 20_000 }, newKey);
  assert.equal(others.filter(key => filter.mayHave(key)).length, 0);
  for (let count = 0; count < 16_384; count += 1) filter.add(newKey());
  const wrong = others.filter(key => filter.mayHave(key)).length / others.length;
  assert.ok(wrong > 0.002 && wrong < 0.02, `${wrong}`);
});
