import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TransactionRecord } from '#domain/record';
import { formatEntry } from './format-entry.ts';

const OPERATION: TransactionRecord = {
  timeMs: 1_790_000_000_000,
  requestId: '0b1e1a3c-6b7a-4c8e-9a3b-2d1f0c9b8a70',
  traceId: '',
  direction: 'operation',
  client: { kind: 'operator', id: 'operator', address: '' },
  user: '',
  caller: '',
  callee: '',
  host: '',
  method: 'apply',
  path: '',
  rule: '',
  decision: 'allowed',
  reason: '',
  detail: 'version 2',
  status: 0,
  bytesIn: 0,
  bytesOut: 0,
  durationUs: 12_000,
};

function lineOf(changes: Partial<TransactionRecord>): string {
  const io = { out: assert.fail, err: assert.fail, cwd: '/', env: {}, colour: false };
  const record = { ...OPERATION, ...changes };
  return formatEntry(io, { kind: 'record', index: 7, id: 'control/1/1', point: 'control', record });
}

test('formatEntry() of an operation says what was done, and to whom', () => {
  assert.match(
    lineOf({}),
    / control {2} +operation {2}allowed {2}--- {2}operator → control {2}apply {2}version 2 {2}12\.0 ms /,
  );
  const payment = 'spiffe://boutique.internal/ns/default/sa/payment';
  assert.match(lineOf({ method: 'revoke', callee: payment }), / operator → payment {2}revoke {2}version 2/);
  const ada = 'http://127.0.0.1:4445|ada';
  assert.match(lineOf({ method: 'issue-token', user: ada }), / operator → ada {2}issue-token {2}version 2/);
});
