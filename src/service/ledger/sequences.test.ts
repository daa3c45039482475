import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sequences } from './sequences.ts';

test('Sequences takes a batch after a gap only when the point insists on it', () => {
  const sequences = new Sequences([{ point: 'p', epoch: 'a', nextSeq: 5 }]);
  const gap = { point: 'p', epoch: 'a', fromSeq: 5, toSeq: 8, cause: 'lost' };
  assert.deepEqual(sequences.decide('p', 'a', 9), { kind: 'out-of-sequence', expectedSeq: 5 });
  assert.deepEqual(sequences.decide('p', 'a', 10), { kind: 'out-of-sequence', expectedSeq: 5 });
  assert.deepEqual(sequences.decide('p', 'a', 9), { kind: 'out-of-sequence', expectedSeq: 5 });
  assert.deepEqual(sequences.decide('p', 'a', 9), { kind: 'take', known: 0, gap });
});

test('Sequences forgets with an epoch what it refused of it', () => {
  const sequences = new Sequences([{ point: 'p', epoch: 'a', nextSeq: 5 }]);
  assert.equal(sequences.decide('p', 'a', 9).kind, 'out-of-sequence');
  for (let i = 0; i < 8; i++) sequences.advance({ point: 'p', epoch: `later-${i}`, seq: 4 });
  // The control: the epoch is not known any more.
  assert.equal(sequences.decide('p', 'a', 9).kind, 'take');
  sequences.advance({ point: 'p', epoch: 'a', seq: 4 });
  assert.deepEqual(sequences.decide('p', 'a', 9), { kind: 'out-of-sequence', expectedSeq: 5 });
});
