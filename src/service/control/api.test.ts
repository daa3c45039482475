import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { peerIdentity } from '#domain/x509';
import { callControl, ControlError } from '#service/control-client';
import type { ControlStatus, ProofIdentity, RolloutOutcome } from '#service/control';
import { Lab, modelOf, sourceOf } from './lab.ts';

async function running(t: TestContext) {
  const lab = await Lab.open(t);
  const issued: unknown[] = [];
  const issuer = {
    issuer: 'http://127.0.0.1:4445',
    issueToken: (request: unknown) => {
      issued.push(request);
      return Promise.resolve({ accessToken: 'token', expiresInSeconds: 600, scope: 'cart' });
    },
  };
  await lab.startControl({ issuer: () => issuer });
  const get = <T>(path: string) => callControl<T>(lab.stateDir, 'GET', path);
  const post = <T>(path: string, body: unknown) => callControl<T>(lab.stateDir, 'POST', path, body);
  return { lab, get, post, issued };
}

const refusedAs = (code: string, status: number) => (error: unknown) =>
  error instanceof ControlError &&
  error.code === 'refused' &&
  error.problem?.code === code &&
  error.problem.status === status;

test('the API applies, shows, explains, revokes and restores', async t => {
  const { get, post } = await running(t);
  const applied = await post<RolloutOutcome>('/apply', sourceOf(modelOf(2)));
  assert.ok(applied.kind === 'done' && applied.changed);
  assert.equal((await get<{ text: string }>('/model')).text, modelOf(2));
  const { bundles } = await get<{ bundles: { digest: string; bundle: { point: string } }[] }>('/bundles');
  assert.deepEqual(
    bundles.map(({ bundle }) => bundle.point),
    ['gateway', 'agent'],
  );
  const question = { caller: 's0', callee: 's1', method: 'GET', path: '/items/1' };
  assert.equal((await post<{ kind: string }>('/explain', question)).kind, 'allowed');
  assert.equal((await post<{ kind: string }>('/explain', { ...question, method: 'POST' })).kind, 'refused');
  await post('/revoke', { service: 's1' });
  assert.deepEqual((await get<ControlStatus>('/status')).revoked, ['s1']);
  await post('/restore', { service: 's1' });
  assert.deepEqual((await get<ControlStatus>('/status')).revoked, []);
});

test('the API names every problem of an invalid model', async t => {
  const { get, post } = await running(t);
  await assert.rejects(post('/apply', sourceOf('system: x\n')), error => {
    assert.ok(refusedAs('invalid-model', 422)(error));
    return error instanceof ControlError && (error.problem?.problems?.length ?? 0) > 1;
  });
  assert.equal((await get<ControlStatus>('/status')).version, 0);
});

test('the API hands tokens out of the issuer, and says so when there is none', async t => {
  const { lab, post, issued } = await running(t);
  const answer = await post<{ access_token: string }>('/token', { user: 'alice', scopes: ['cart'] });
  assert.equal(answer.access_token, 'token');
  assert.deepEqual(issued, [{ user: 'alice', scopes: ['cart'] }]);
  await lab.stopControl();
  await lab.startControl();
  await assert.rejects(post('/token', { user: 'alice', scopes: [] }), refusedAs('no-issuer', 409));
});

test('the API finds and proves records', async t => {
  const { lab, get } = await running(t);
  lab.keeper.batches.push({ point: 'agent', epoch: 'e1', firstSeq: 1, lines: ['r1', 'p/e1/2'] });
  const found = await get<{ query: object; records: string[] }>('/records?service=payment&limit=5');
  assert.deepEqual(found, { query: { service: 'payment', limit: '5' }, records: ['r1', 'p/e1/2'] });
  assert.deepEqual(await get('/records/r1'), { records: ['r1'] });
  assert.deepEqual(await get('/records/p%2Fe1%2F2/proof'), { proof: 'proof' });
  assert.deepEqual(await get('/checkpoint'), { checkpoint: 'lab\n0\n' });
  await assert.rejects(get('/records/none'), refusedAs('not-found', 404));
  await assert.rejects(get('/records/none/proof'), refusedAs('not-found', 404));
  await assert.rejects(get('/records/%ff'), refusedAs('bad-request', 400));
  await assert.rejects(get('/records?table=model'), refusedAs('bad-request', 400));
});

test('the API issues identities for proofs: real ones, and expired ones', async t => {
  const { post } = await running(t);
  await post('/apply', sourceOf(modelOf(2)));
  const real = await post<ProofIdentity>('/proof/identity', { service: 's1' });
  const leaf = new X509Certificate(real.certificateChainPem);
  assert.deepEqual(peerIdentity(leaf), {
    kind: 'identity',
    id: 'spiffe://a.test/ns/default/sa/s1',
    trustDomain: 'a.test',
  });
  assert.equal(leaf.checkPrivateKey(createPrivateKey(real.privateKeyPem)), true);
  assert.ok(real.notAfterMs > Date.now());
  const expired = await post<ProofIdentity>('/proof/identity', {
    service: 's1',
    notBeforeSeconds: -7200,
    lifetimeSeconds: 3600,
  });
  assert.ok(expired.notAfterMs < Date.now());
  await assert.rejects(post('/proof/identity', { service: 'nobody' }), refusedAs('unknown-service', 404));
  await assert.rejects(post('/proof/identity', { service: 'control' }), refusedAs('unknown-service', 404));
  const revoked = await post<RolloutOutcome>('/proof/revoke-serial', {
    serial: real.serial,
    untilMs: real.notAfterMs,
  });
  assert.ok(revoked.kind === 'done' && revoked.changed);
});

test('the API refuses what it does not know', async t => {
  const { get, post } = await running(t);
  await assert.rejects(get('/nothing'), refusedAs('no-such-route', 404));
  await assert.rejects(get('/apply'), refusedAs('method-not-allowed', 405));
  await assert.rejects(get('/model'), refusedAs('no-model', 409));
  await assert.rejects(post('/revoke', { service: 's1' }), refusedAs('no-model', 409));
  await post('/apply', sourceOf(modelOf(2)));
  await assert.rejects(post('/revoke', { service: 'nobody' }), refusedAs('unknown-service', 404));
  await assert.rejects(post('/restore', { service: 's1' }), refusedAs('not-revoked', 409));
  await assert.rejects(post('/revoke', { service: 's1', force: true }), refusedAs('bad-request', 400));
  await assert.rejects(post('/revoke', { service: 1 }), refusedAs('bad-request', 400));
  await assert.rejects(
    post('/proof/revoke-serial', { serial: 'AB', untilMs: 1 }),
    refusedAs('bad-request', 400),
  );
  await assert.rejects(
    post('/apply', { ...sourceOf(''), text: 'x'.repeat(17 * 1024 * 1024) }),
    error =>
      error instanceof ControlError &&
      (refusedAs('body-too-large', 413)(error) || error.code === 'bad-answer'),
  );
});

test('the API refuses a body that is not JSON', async t => {
  const { lab } = await running(t);
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const outgoing = request(
      { socketPath: lab.control.socketPath, method: 'POST', path: '/apply' },
      answer => {
        answer.resume();
        resolve(answer.statusCode);
      },
    );
    outgoing.on('error', reject);
    outgoing.end('{');
  });
  assert.equal(status, 400);
});

test('callControl() says that nothing runs, on an empty directory and on a dead socket', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'rw-none-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await assert.rejects(callControl(directory, 'GET', '/status'), { code: 'not-running' });
  await assert.rejects(callControl(join(directory, 'none'), 'GET', '/status'), { code: 'not-running' });
  const lab = await Lab.open(t);
  await lab.startControl();
  await lab.stopControl();
  await assert.rejects(callControl(lab.stateDir, 'GET', '/status'), { code: 'not-running' });
});
