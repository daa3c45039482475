import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeGapEntry, encodeRecordEntry } from '#domain/record';
import { peekOrigin } from './batch.ts';
import { sampleLines } from './ledger-lab.ts';
import { OriginReader } from './origin-reader.ts';

const [line = ''] = sampleLines(1, 1);
const EPOCH = 'aaaaaaaaaaaaaaaa';
const entry = (seq: number, point = 'gateway', epoch = EPOCH) =>
  Buffer.from(encodeRecordEntry({ point, epoch, seq }, line));

test('read() gives what peekOrigin() gives, of any entries in any order', () => {
  const anyEntry = fc.oneof(
    fc
      .record({
        point: fc.constantFrom('gateway', 'agent', 'agens', 'a', 'agent-2'),
        epoch: fc.constantFrom(EPOCH, 'bbbbbbbbbbbbbbbb', 'b', 'ab', 'aab'),
        seq: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
      })
      .map(({ point, epoch, seq }) => entry(seq, point, epoch)),
    fc
      .constantFrom(
        '',
        '{}',
        entry(7).toString().replace('"seq":7', '"seq":07'),
        entry(7).toString().replace('"seq":7', '"seq":'),
        entry(7).toString().replace('"seq":7', '"seq":-7'),
        entry(7).toString().replace('"seq":7', '"seq":7.5'),
        entry(7).toString().replace('"record":{', '"record":['),
        entry(7).toString().slice(0, 70),
        encodeGapEntry({ point: 'gateway', epoch: EPOCH, fromSeq: 1, toSeq: 2, cause: 'lost', timeMs: 1 }),
      )
      .map(text => Buffer.from(text)),
  );
  fc.assert(
    fc.property(fc.array(anyEntry, { maxLength: 40 }), entries => {
      const reader = new OriginReader();
      for (const bytes of entries) assert.deepEqual(reader.read(bytes), peekOrigin(bytes), bytes.toString());
    }),
  );
});

test('read() takes nothing from behind the end of an entry', () => {
  const reader = new OriginReader();
  const whole = entry(41);
  assert.equal(reader.read(whole)?.seq, 41);
  for (let length = 0; length < whole.indexOf(',"record":{') + 11; length += 1)
    assert.equal(reader.read(Buffer.concat([whole, whole]), 0, length), undefined, `${length} bytes`);
  assert.equal(reader.read(Buffer.concat([whole, entry(42)]), whole.byteLength)?.seq, 42);
});

test('read() knows more epochs than it remembers', () => {
  const reader = new OriginReader();
  for (let round = 1; round < 4; round += 1) {
    for (let point = 0; point < 100; point += 1)
      assert.deepEqual(reader.read(entry(round, `agent-${point}`)), {
        point: `agent-${point}`,
        epoch: EPOCH,
        seq: round,
      });
  }
});
