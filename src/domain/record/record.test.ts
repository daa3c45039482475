import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeEntry,
  decodeRecord,
  encodeGapEntry,
  encodeRecord,
  encodeRecordEntry,
  MAX_ENTRY_BYTES,
  parseRecordId,
  RecordError,
  recordId,
  type TransactionRecord,
} from './index.ts';

const code = (expected: string) => (error: unknown) =>
  error instanceof RecordError && error.code === expected;

const sample: TransactionRecord = {
  timeMs: 1_790_000_000_000,
  requestId: '0b1e1a3c-6b7a-4c8e-9a3b-2d1f0c9b8a70',
  traceId: '0af7651916cd43dd8448eb211c80319c',
  direction: 'edge',
  client: { kind: 'user', id: 'https://id.boutique.test|alice', address: '192.0.2.7' },
  user: 'https://id.boutique.test|alice',
  caller: '',
  callee: 'spiffe://boutique.internal/ns/default/sa/frontend',
  host: 'shop.boutique.test',
  method: 'GET',
  path: '/cart/items',
  rule: 'GET /cart/**',
  decision: 'refused',
  reason: 'rate-limited',
  detail: '',
  status: 429,
  bytesIn: 0,
  bytesOut: 112,
  durationUs: 812,
};

/** The encoder as one would write it without a thought for speed. */
function reference(record: TransactionRecord): string {
  return JSON.stringify({ v: 1, ...record }).replace(
    /[\u007f-\uffff]/g,
    unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const anyText = (maxLength: number) =>
  fc.oneof(
    fc.string({ maxLength }),
    fc.string({ unit: 'binary', maxLength: Math.floor(maxLength / 2) }),
    fc.constant('a"\\\u0000\n\u007f\u2028\ud800'),
  );
const anyCount = fc.oneof(fc.nat(), fc.maxSafeNat());
const plain = { noNullPrototype: true };
const anyRecord: fc.Arbitrary<TransactionRecord> = fc.record(
  {
    timeMs: anyCount,
    requestId: anyText(64),
    traceId: anyText(32),
    direction: fc.constantFrom('edge', 'inbound', 'outbound', 'egress', 'operation'),
    client: fc.record(
      {
        kind: fc.constantFrom('anonymous', 'user', 'application', 'service', 'operator', 'unknown'),
        id: anyText(512),
        address: anyText(64),
      },
      plain,
    ),
    user: anyText(512),
    caller: anyText(512),
    callee: anyText(512),
    host: anyText(255),
    method: anyText(32),
    path: anyText(256),
    rule: anyText(512),
    decision: fc.constantFrom('allowed', 'refused', 'failed'),
    reason: fc.constantFrom('', 'rate-limited', 'no-route', 'internal-error'),
    detail: anyText(256),
    status: anyCount,
    bytesIn: anyCount,
    bytesOut: anyCount,
    durationUs: anyCount,
  },
  plain,
);

test('encodeRecord() equals the reference encoder, and decodeRecord() gives the record back', () => {
  fc.assert(
    fc.property(anyRecord, record => {
      const line = encodeRecord(record);
      assert.equal(line, reference(record));
      assert.match(line, /^[\u0020-\u007e]+$/);
      assert.deepEqual(decodeRecord(line), record);
    }),
  );
});

test('a connection that ended without a request has a record', () => {
  const ended: TransactionRecord = {
    ...sample,
    requestId: '',
    traceId: '',
    client: { kind: 'unknown', id: '', address: '192.0.2.7' },
    user: '',
    callee: '',
    method: '',
    path: '',
    rule: '',
    reason: 'peer-unverified',
    detail: 'the certificate has expired',
    status: 0,
    bytesOut: 0,
  };
  assert.deepEqual(decodeRecord(encodeRecord(ended)), ended);
  const noReason = encodeRecord(ended).replace('peer-unverified', 'whatever');
  assert.throws(() => decodeRecord(noReason), code('wrong-shape'));
});

test('encodeRecord() lets no control character through', () => {
  const line = encodeRecord({ ...sample, path: '/\u001b[2J\u0000\n\r\u009b\u202e', method: 'GE\tT' });
  assert.match(line, /^[\u0020-\u007e]+$/);
  assert.ok(line.includes('\\u001b[2J\\u0000\\n\\r\\u009b\\u202e'));
});

test('encodeRecord() stays below the bound of an entry with the worst texts', () => {
  const worst = '\u0001'.repeat(10_000);
  const record = {
    ...sample,
    requestId: worst,
    traceId: worst,
    client: { kind: 'user' as const, id: worst, address: worst },
    user: worst,
    caller: worst,
    callee: worst,
    host: worst,
    method: worst,
    path: worst,
    rule: worst,
    detail: worst,
  };
  const entry = encodeRecordEntry(
    { point: 'p'.repeat(64), epoch: 'f'.repeat(16), seq: 2 ** 52 },
    encodeRecord(record),
  );
  assert.ok(entry.length <= MAX_ENTRY_BYTES, `${entry.length}`);
  assert.equal(decodeEntry(entry).kind, 'record');
});

test('encodeRecord() cuts a path at 256 and keeps long identities apart', () => {
  const record = decodeRecord(
    encodeRecord({ ...sample, path: `/${'a'.repeat(300)}`, user: `${'u'.repeat(600)}1` }),
  );
  const other = decodeRecord(encodeRecord({ ...sample, user: `${'u'.repeat(600)}2` }));
  assert.equal(record.path.length, 256);
  assert.equal(record.user.length, 512);
  assert.notEqual(record.user, other.user);
});

test('encodeRecord() writes a count where a number is none', () => {
  const odd = {
    ...sample,
    durationUs: 1.7,
    bytesIn: -3,
    bytesOut: Number.NaN,
    status: Number.POSITIVE_INFINITY,
  };
  const { durationUs, bytesIn, bytesOut, status } = decodeRecord(encodeRecord(odd));
  assert.deepEqual(
    { durationUs, bytesIn, bytesOut, status },
    { durationUs: 1, bytesIn: 0, bytesOut: 0, status: Number.MAX_SAFE_INTEGER },
  );
});

test('decodeRecord() rejects lines that encodeRecord() would not write', () => {
  const line = encodeRecord(sample);
  assert.deepEqual(decodeRecord(line), sample);
  assert.throws(() => decodeRecord(''), code('not-json'));
  assert.throws(() => decodeRecord(line.slice(0, -1)), code('not-json'));
  assert.throws(() => decodeRecord('null'), code('wrong-shape'));
  assert.throws(() => decodeRecord(line.replace('"v":1', '"v":2')), code('wrong-shape'));
  assert.throws(() => decodeRecord(line.replace('"status":429,', '')), code('wrong-shape'));
  assert.throws(() => decodeRecord(line.replace('"status":429', '"status":-1')), code('wrong-shape'));
  assert.throws(() => decodeRecord(line.replace('"status":429', '"status":"429"')), code('wrong-shape'));
  assert.throws(() => decodeRecord(line.replace('rate-limited', 'no-such-reason')), code('wrong-shape'));
  assert.throws(() => decodeRecord(line.replace('"v":1', '"v":1,"token":"x"')), code('wrong-shape'));
  assert.throws(() => decodeRecord(line.replace('/cart', `/${'x'.repeat(300)}`)), code('wrong-shape'));
  assert.throws(() => decodeRecord(line.replace('{"v":1', '{ "v":1')), code('not-canonical'));
  assert.throws(() => decodeRecord(line.replace('/cart', '\\u002fcart')), code('not-canonical'));
  assert.throws(() => decodeRecord(line.replace('"status":429', '"status":4.29e2')), code('not-canonical'));
  assert.throws(() => decodeRecord(line.replace('"v":1', '"v":1,"v":1')), code('not-canonical'));
  assert.throws(() => decodeRecord(' '.repeat(70_000)), code('too-long'));
});

test('decodeEntry() gives records with their origin, and gaps', () => {
  const origin = { point: 'gateway', epoch: '00ff00ff00ff00ff', seq: 12 };
  assert.deepEqual(decodeEntry(encodeRecordEntry(origin, encodeRecord(sample))), {
    kind: 'record',
    origin,
    record: sample,
  });
  const gap = {
    point: 'agent',
    epoch: 'ab',
    fromSeq: 3,
    toSeq: null,
    cause: 'journal-replaced',
    timeMs: 5,
  } as const;
  assert.deepEqual(decodeEntry(encodeGapEntry(gap)), { kind: 'gap', gap });
});

test('decodeEntry() rejects entries in another form', () => {
  const line = encodeRecordEntry({ point: 'gateway', epoch: 'ab', seq: 12 }, encodeRecord(sample));
  assert.throws(() => decodeEntry(line.replace('"seq":12', '"seq":0')), code('wrong-shape'));
  assert.throws(() => decodeEntry(line.replace('"kind":"record"', '"kind":"note"')), code('wrong-shape'));
  assert.throws(() => decodeEntry(line.replace('"epoch":"ab"', '"epoch":"../x"')), code('wrong-shape'));
  assert.throws(() => decodeEntry(`${line} `), code('not-canonical'));
});

test('parseRecordId() reads what recordId() wrote, and nothing else', () => {
  const origin = { point: 'gateway', epoch: '00ff', seq: 12 };
  assert.equal(recordId(origin), 'gateway/00ff/12');
  assert.deepEqual(parseRecordId('gateway/00ff/12'), origin);
  for (const bad of [
    '',
    'gateway',
    'gateway/00ff',
    'gateway/00ff/012',
    'gateway/xyz/1',
    'a/b/c/1',
    'gateway/00ff/99999999999999999',
  ]) {
    assert.equal(parseRecordId(bad), undefined, bad);
  }
});
