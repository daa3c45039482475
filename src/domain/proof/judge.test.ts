import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Expectation, Shot } from '#domain/attack';
import type { TransactionRecord } from '#domain/record';
import { judge, passes, type Met } from './judge.ts';
import type { Observation } from './observation.ts';

const PASSED: Observation = { kind: 'passed', status: 200, requestId: 'r1' };
const CLOSED: Observation = { kind: 'closed' };
const NO_SESSION: Observation = { kind: 'no-session', detail: 'alert' };
const NO_CONNECTION: Observation = { kind: 'no-connection', detail: 'ECONNREFUSED' };
const SILENT: Observation = { kind: 'silent', afterMs: 5 };
const CONNECTED: Observation = { kind: 'connected' };
const refusedBy = (reason: Extract<Observation, { kind: 'refused' }>['reason']): Observation => ({
  kind: 'refused',
  reason,
  status: 400,
  requestId: 'r1',
});

const REFUSED: Expectation = { kind: 'refused', reasons: ['no-such-call'] };

function verdictOn(
  expect: Expectation,
  observation: Observation,
  more: Partial<Met> & { readonly ring?: Shot['attack']['ring'] } = {},
) {
  const { ring = 'authorization', control = PASSED, record, letThrough = false } = more;
  const attack = {
    id: `${ring}/x`,
    ring,
    vantage: 'outside',
    title: '',
    references: [],
    aim: () => [],
  } as const;
  const probe = { kind: 'ledger', check: 'intact' } as const;
  return judge({ attack, expect, control: probe }, { control, observation, record, letThrough }).kind;
}

test('judge() holds on a refusal for a reason of the ring under attack', () => {
  assert.equal(verdictOn(REFUSED, refusedBy('no-such-call')), 'held');
  assert.equal(verdictOn(REFUSED, refusedBy('scope-missing')), 'held');
});

test('judge() fails when the service answered, whatever it answered', () => {
  assert.equal(verdictOn(REFUSED, PASSED), 'failed');
  assert.equal(verdictOn(REFUSED, { ...PASSED, status: 403 }), 'failed');
  assert.equal(verdictOn(REFUSED, { ...PASSED, status: 500 }), 'failed');
});

test('judge() fails when the attack was forwarded and the service did not answer', () => {
  assert.equal(verdictOn(REFUSED, refusedBy('upstream-unreachable')), 'failed');
  assert.equal(verdictOn(REFUSED, refusedBy('upstream-timeout')), 'failed');
});

test('judge() fails when the wall under attack let it through, and only one behind it refused', () => {
  for (const reason of ['no-such-call', 'rate-limited', 'malformed-request'] as const) {
    assert.equal(verdictOn(REFUSED, refusedBy(reason), { letThrough: true }), 'failed');
  }
  assert.equal(verdictOn(REFUSED, refusedBy('no-such-call'), { letThrough: false }), 'held');
});

test('judge() takes silence for a hole only where the refusal must come at once', () => {
  assert.equal(verdictOn({ ...REFUSED, atOnce: true }, SILENT), 'failed');
  assert.equal(verdictOn({ ...REFUSED, atOnce: true }, refusedBy('no-such-call')), 'held');
  assert.equal(verdictOn(REFUSED, SILENT), 'inconclusive');
});

test('judge() shows nothing when another ring answered first, or Ringwall was not well', () => {
  assert.equal(verdictOn(REFUSED, refusedBy('rate-limited')), 'inconclusive');
  assert.equal(verdictOn(REFUSED, refusedBy('token-invalid')), 'inconclusive');
  assert.equal(verdictOn(REFUSED, refusedBy('overloaded')), 'inconclusive');
  assert.equal(verdictOn(REFUSED, refusedBy('internal-error')), 'inconclusive');
  assert.equal(verdictOn(REFUSED, NO_CONNECTION), 'inconclusive');
  assert.equal(verdictOn(REFUSED, SILENT), 'inconclusive');
});

test('judge() takes a closed connection for a refusal only where the attack says so', () => {
  assert.equal(verdictOn(REFUSED, CLOSED), 'inconclusive');
  assert.equal(verdictOn({ ...REFUSED, orClosed: true }, CLOSED), 'held');
  assert.equal(verdictOn({ ...REFUSED, orClosed: true }, NO_CONNECTION), 'inconclusive');
});

test('judge() shows nothing when the legitimate request does not pass', () => {
  for (const control of [refusedBy('no-such-call'), CLOSED, NO_CONNECTION, SILENT]) {
    assert.equal(verdictOn(REFUSED, refusedBy('no-such-call'), { control }), 'inconclusive');
    assert.equal(verdictOn(REFUSED, PASSED, { control }), 'inconclusive');
  }
  const attack = {
    id: 'edge/x',
    ring: 'edge',
    vantage: 'outside',
    title: '',
    references: [],
    aim: () => [],
  } as const;
  const control = { kind: 'ledger', check: 'intact' } as const;
  const met = {
    control: undefined,
    observation: refusedBy('no-route'),
    record: undefined,
    letThrough: false,
  };
  assert.equal(judge({ attack, expect: REFUSED, control }, met).kind, 'inconclusive');
});

test('judge() of a session: it came up, or it did not; nobody there shows nothing', () => {
  const expect: Expectation = { kind: 'no-session' };
  const ring = 'authentication';
  assert.equal(verdictOn(expect, NO_SESSION, { ring }), 'held');
  assert.equal(verdictOn(expect, CLOSED, { ring }), 'held');
  assert.equal(verdictOn(expect, refusedBy('peer-unverified'), { ring }), 'held');
  assert.equal(verdictOn(expect, refusedBy('no-such-call'), { ring }), 'failed');
  assert.equal(verdictOn(expect, CONNECTED, { ring }), 'failed');
  assert.equal(verdictOn(expect, PASSED, { ring }), 'failed');
  assert.equal(verdictOn(expect, NO_CONNECTION, { ring }), 'inconclusive');
});

test('judge() of packets: anything but no connection is a hole', () => {
  const expect: Expectation = { kind: 'no-connection' };
  assert.equal(verdictOn(expect, NO_CONNECTION, { ring: 'network' }), 'held');
  for (const seen of [CONNECTED, CLOSED, SILENT, PASSED])
    assert.equal(verdictOn(expect, seen, { ring: 'network' }), 'failed');
});

test('judge() of a revoked connection: cut, or still serving', () => {
  assert.equal(verdictOn({ kind: 'cut' }, { kind: 'cut', afterMs: 3 }), 'held');
  assert.equal(verdictOn({ kind: 'cut' }, PASSED), 'failed');
});

test('judge() of a record: it must be there, and believe nothing forged', () => {
  const record = { user: '' } as TransactionRecord;
  const expect: Expectation = { kind: 'recorded', user: '', requestIdIsNot: 'chosen' };
  assert.equal(verdictOn(expect, PASSED, { record }), 'held');
  assert.equal(verdictOn(expect, PASSED), 'failed');
  assert.equal(verdictOn(expect, PASSED, { record: { ...record, user: 'admin' } }), 'failed');
  assert.equal(verdictOn(expect, { ...PASSED, requestId: 'chosen' }, { record }), 'failed');
  assert.equal(verdictOn(expect, CLOSED, { record }), 'inconclusive');
});

test('judge() of refusals: whatever the reason, the ledger must have them', () => {
  const record = { decision: 'refused' } as TransactionRecord;
  const expect: Expectation = { kind: 'refusal-recorded' };
  assert.equal(verdictOn(expect, refusedBy('ambiguous-path'), { record, ring: 'audit' }), 'held');
  assert.equal(verdictOn(expect, refusedBy('ambiguous-path'), { ring: 'audit' }), 'failed');
  for (const seen of [PASSED, CLOSED, NO_CONNECTION, SILENT])
    assert.equal(verdictOn(expect, seen, { record, ring: 'audit' }), 'inconclusive');
});

test('judge() of a probe that could not be made shows nothing', () => {
  assert.equal(verdictOn(REFUSED, { kind: 'not-made', why: 'x' }), 'inconclusive');
  assert.equal(verdictOn({ kind: 'no-connection' }, { kind: 'not-made', why: 'x' }), 'inconclusive');
});

test('passes() only for an answer of the service, an open connection or a good check', () => {
  assert.ok(passes(PASSED) && passes(CONNECTED) && passes({ kind: 'checked', detected: true, detail: '' }));
  for (const seen of [CLOSED, NO_SESSION, NO_CONNECTION, SILENT, refusedBy('no-route'), undefined])
    assert.ok(!passes(seen));
});
