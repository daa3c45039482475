import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import { decodeRecord, encodeRecord, type TransactionRecord } from '#domain/record';
import { callControl } from '#service/control-client';
import type { Journal } from '#service/ledger';
import { FakeKeeper, Lab, modelOf, sourceOf, until } from './lab.ts';
import { OperationError, Operations, type Operation } from './operations.ts';

const TOKEN = 'secret-token';

async function running(t: TestContext) {
  const lab = await Lab.open(t);
  const issuer = {
    issuer: 'http://127.0.0.1:4445',
    issueToken: () => Promise.resolve({ accessToken: TOKEN, expiresInSeconds: 600, scope: 'cart' }),
  };
  await lab.startControl({ issuer: () => issuer });
  const post = <T>(path: string, body: unknown) => callControl<T>(lab.stateDir, 'POST', path, body);
  return { lab, post };
}

/** The records in the ledger, once there are so many. */
async function recorded(lab: Lab, count: number): Promise<readonly TransactionRecord[]> {
  await until(() => lab.keeper.operations.length >= count);
  assert.equal(lab.keeper.operations.length, count);
  return lab.keeper.operations.map(decodeRecord);
}

test('everything that is done over the API stands in the ledger: what, about whom, and what became of it', async t => {
  const { lab, post } = await running(t);
  await post('/apply', sourceOf(modelOf(2)));
  await post('/revoke', { service: 's1' });
  await post('/restore', { service: 's1' });
  await post('/token', { user: 'ada', scopes: ['cart'], audience: 'elsewhere' });
  const { serial } = await post<{ readonly serial: string }>('/proof/identity', { service: 's0' });
  await post('/proof/revoke-serial', { serial, untilMs: Date.now() + 60_000 });
  const records = await recorded(lab, 6);
  assert.deepEqual(
    records.map(({ method, callee, user, decision }) => [method, callee, user, decision]),
    [
      ['apply', '', '', 'allowed'],
      ['revoke', 'spiffe://a.test/ns/default/sa/s1', '', 'allowed'],
      ['restore', 'spiffe://a.test/ns/default/sa/s1', '', 'allowed'],
      ['issue-token', '', 'http://127.0.0.1:4445|ada', 'allowed'],
      ['issue-identity', 'spiffe://a.test/ns/default/sa/s0', '', 'allowed'],
      ['revoke-certificate', '', '', 'allowed'],
    ],
  );
  for (const { direction, client } of records)
    assert.deepEqual([direction, client.kind, client.id], ['operation', 'operator', 'operator']);
  const [applied, revoked, , token, identity, certificate] = records;
  assert.match(applied?.detail ?? '', /^model sha256:[0-9a-f]{64}, version 1$/);
  assert.equal(revoked?.detail, 'version 2');
  assert.equal(token?.detail, 'scopes cart, for 600 s, audience elsewhere');
  assert.match(identity?.detail ?? '', new RegExp(`^serial ${serial}, until 20.*Z, for a proof$`));
  assert.equal(certificate?.detail, `serial ${serial}, version 4`);
  assert.ok(!lab.keeper.operations.join('').includes(TOKEN), 'no credential in the ledger');
});

test('what was refused or failed stands there too; what is only looked at does not', async t => {
  const { lab, post } = await running(t);
  await assert.rejects(post('/apply', sourceOf('system: x\n')));
  await assert.rejects(post('/revoke', { service: 's0' }));
  await callControl(lab.stateDir, 'GET', '/status');
  await post('/apply', sourceOf(modelOf(1)));
  await post('/apply', sourceOf(modelOf(1)));
  await assert.rejects(post('/restore', { service: 's0' }));
  const records = await recorded(lab, 5);
  assert.deepEqual(
    records.map(({ method, decision }) => [method, decision]),
    [
      ['apply', 'refused'],
      ['revoke', 'refused'],
      ['apply', 'allowed'],
      ['apply', 'allowed'],
      ['restore', 'refused'],
    ],
  );
  assert.match(records[0]?.detail ?? '', /^\d+ problems in the model$/);
  assert.match(records[3]?.detail ?? '', /, version 1, nothing changed$/);
  assert.equal(records[4]?.detail, 'the service `s0` is not revoked');
});

test('numbers go on over a restart of control, and what the ledger did not take goes again', async t => {
  const { lab, post } = await running(t);
  await post('/apply', sourceOf(modelOf(1)));
  await recorded(lab, 1);
  lab.keeper.fault = new Error('no space left');
  await post('/revoke', { service: 's0' });
  await lab.stopControl();
  lab.keeper.fault = undefined;
  const bySeq = new Map<number, string>();
  const appendBatch = lab.keeper.appendBatch.bind(lab.keeper);
  lab.keeper.appendBatch = batch => {
    // The ledger passes over what it has.
    for (const [at, line] of batch.lines.entries()) bySeq.set(batch.firstSeq + at, decodeRecord(line).method);
    return appendBatch(batch);
  };
  await lab.startControl();
  await until(() => bySeq.get(2) === 'revoke');
  await callControl(lab.stateDir, 'POST', '/restore', { service: 's0' });
  await until(() => bySeq.get(3) === 'restore');
});

/** A journal of which the disk can be full. */
class SickJournal implements Journal {
  healthy = true;
  fails = false;
  readonly nextSeq = 1;
  readonly oldestSeq = 1;
  readonly dropped = 0;
  readonly lines: string[] = [];

  append(record: TransactionRecord, _mode: string, done?: (error: Error | undefined) => void): void {
    if (!this.fails) this.lines.push(encodeRecord(record));
    setImmediate(() => done?.(this.fails ? new Error('no space left') : undefined));
  }

  readFrom() {
    return Promise.resolve({ point: 'control', epoch: '1', firstSeq: 1, lines: [] });
  }

  acknowledge(): void {}

  onAppended() {
    return () => {};
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

for (const { action, without } of [
  { action: 'issue-token', without: 'nothing is given' },
  { action: 'issue-identity', without: 'nothing is given' },
  { action: 'apply', without: 'nothing is begun' },
  { action: 'restore', without: 'nothing is begun' },
  { action: 'revoke', without: 'it goes on' },
  { action: 'revoke-certificate', without: 'it goes on' },
] as const satisfies readonly { readonly action: Operation['action']; readonly without: string }[]) {
  test(`without a disk that takes its record, of ${action} ${without}`, async () => {
    const journal = new SickJournal();
    const operations = new Operations({
      journal,
      keeper: new FakeKeeper(),
      clock: systemClock,
      log: silentLog,
    });
    let begun = 0;
    const work = () => Promise.resolve(++begun);
    const carryOut = () => operations.carryOut({ action }, work, () => ({ decision: 'allowed', detail: '' }));
    const notRecorded = (error: unknown) => error instanceof OperationError && error.code === 'not-recorded';

    assert.equal(await carryOut(), 1);
    assert.equal(journal.lines.length, 1);
    journal.healthy = false;
    journal.fails = true;
    if (without === 'it goes on') assert.equal(await carryOut(), 2);
    else await assert.rejects(carryOut(), notRecorded);
    assert.equal(begun, without === 'it goes on' ? 2 : 1);

    // The disk is full only now.
    journal.healthy = true;
    if (without === 'nothing is given') await assert.rejects(carryOut(), notRecorded);
    else assert.equal(await carryOut(), begun);
    await operations.close();
  });
}

test('an operation that throws is recorded as failed, with the code of its error', async () => {
  const journal = new SickJournal();
  const operations = new Operations({
    journal,
    keeper: new FakeKeeper(),
    clock: systemClock,
    log: silentLog,
  });
  const fails = () => Promise.reject(new OperationError('not-recorded', 'some secret of the message'));
  const tell = () => ({ decision: 'allowed', detail: '' }) as const;
  await assert.rejects(operations.carryOut({ action: 'revoke' }, fails, tell));
  const [record] = journal.lines.map(decodeRecord);
  assert.deepEqual([record?.decision, record?.detail], ['failed', 'not-recorded']);
  await operations.close();
});
