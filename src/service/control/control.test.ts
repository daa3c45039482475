import assert from 'node:assert/strict';
import { chmod, copyFile, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { AgentBundle, Bundle } from '#domain/bundle';
import { envelopeSchema } from '#domain/dsse';
import { callControl } from '#service/control-client';
import { openSealer } from '#service/sealed';
import { BundleSigner } from './bundle-signer.ts';
import { ControlServiceError } from './control.ts';
import { Lab, modelOf, sourceOf, until } from './lab.ts';

const GATEWAY = { name: 'gateway', kind: 'gateway' } as const;
const AGENT = { name: 'agent', kind: 'agent' } as const;

/** Two services, the first of which may get `path` of the second. */
const calling = (path: string) => modelOf(2).replace('GET /items/*', `GET ${path}`);

test('apply() brings a model to gateway and agent, which acknowledge what they apply', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl();
  const outcome = await control.apply(sourceOf(modelOf(3)));
  assert.equal(outcome.kind, 'done');
  const gateway = await lab.startPoint(GATEWAY);
  const agent = await lab.startPoint(AGENT);
  await Promise.all([gateway.point.serving, agent.point.serving]);
  assert.equal(gateway.host.bundle?.kind, 'gateway');
  assert.equal(agent.host.bundle?.kind, 'agent');
  assert.ok(gateway.host.identities?.current('edge'));
  assert.ok(gateway.host.identities?.current('spiffe://a.test/ns/ringwall/sa/gateway'));
  for (const name of ['s0', 's1', 's2'])
    assert.ok(agent.host.identities?.current(`spiffe://a.test/ns/default/sa/${name}`));
  const again = await control.apply(sourceOf(modelOf(4)));
  assert.ok(again.kind === 'done' && again.changed);
  assert.deepEqual(Object.fromEntries(again.points.map(({ point, state }) => [point, state])), {
    agent: 'applied',
    gateway: 'applied',
  });
  assert.equal(agent.host.bundle?.version, again.version);
  assert.ok(agent.host.identities?.current('spiffe://a.test/ns/default/sa/s3'));
  const { points } = control.status();
  assert.deepEqual(
    points.map(({ name, connected, lagMs }) => [name, connected, lagMs]),
    [
      ['agent', true, 0],
      ['gateway', true, 0],
    ],
  );
  assert.ok(points.every(({ certificateNotAfterMs }) => (certificateNotAfterMs ?? 0) > Date.now()));
});

test('apply() of an invalid model gives all its problems and changes nothing', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl();
  const first = await control.apply(sourceOf(modelOf(2)));
  const agent = await lab.startPoint(AGENT);
  await agent.point.serving;
  const outcome = await control.apply(
    sourceOf(modelOf(2).replace('data: internal', 'dat: internal').replace('s1: [GET', 's7: [GET')),
  );
  assert.ok(outcome.kind === 'invalid' && outcome.problems.length >= 2);
  assert.equal(control.status().version, first.kind === 'done' && first.version);
  assert.equal(control.source?.text, modelOf(2));
  assert.equal(agent.host.applied.length, 1);
});

test('apply() of what is in force already makes no new version', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl();
  await control.apply(sourceOf(modelOf(2)));
  const again = await control.apply(sourceOf(modelOf(2)));
  assert.ok(again.kind === 'done' && !again.changed && again.version === 1);
});

test('apply() refuses another trust domain, and a placement that fails leaves everything', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl();
  await control.apply(sourceOf(modelOf(2)));
  const other = await control.apply(
    sourceOf(modelOf(2).replace('trustDomain: a.test', 'trustDomain: b.test')),
  );
  assert.ok(other.kind === 'refused' && other.reason === 'other-trust-domain');
  lab.placer.fault = new Error('no port is free');
  await assert.rejects(control.apply(sourceOf(modelOf(3))), /no port is free/);
  assert.equal(control.source?.text, modelOf(2));
  lab.placer.fault = undefined;
  assert.equal((await control.apply(sourceOf(modelOf(3)))).kind, 'done');
});

test('apply() lets new services call before it starts them, and others call them only then', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl();
  await control.apply(sourceOf(modelOf(2)));
  const gateway = await lab.startPoint(GATEWAY);
  const agent = await lab.startPoint(AGENT);
  await Promise.all([gateway.point.serving, agent.point.serving]);
  // s2 calls s0 and is called by s1.
  const text = modelOf(3, '    calls:\n      s0: [GET /back]\n');
  let seen: AgentBundle | undefined;
  lab.placer.onStart = () => {
    seen = agentBundle(agent.host.bundle);
    return Promise.resolve();
  };
  const outcome = await control.apply(sourceOf(text));
  assert.ok(outcome.kind === 'done' && seen !== undefined);
  const [s0, s1, s2] = seen.services;
  assert.deepEqual(
    s2?.outbound.map(({ to }) => to.service),
    ['s0'],
  );
  assert.deepEqual(
    s2?.callers.map(({ service }) => service),
    ['s1'],
  );
  assert.deepEqual(
    s0?.callers.map(({ service }) => service),
    ['gateway', 's2'],
  );
  assert.deepEqual(s1?.outbound, []);
  const after = agentBundle(agent.host.bundle);
  assert.deepEqual(
    after.services[1]?.outbound.map(({ to }) => to.service),
    ['s2'],
  );
  assert.equal(lab.placer.settled.at(-1), control.model);
  // Positive control: without a new service nothing is staged.
  const { version } = control.status();
  await control.apply(sourceOf(text.replace('GET /back', 'GET /front')));
  assert.equal(control.status().version, version + 1);
});

test('apply() takes everything back when a new service does not start', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl();
  await control.apply(sourceOf(modelOf(2)));
  const agent = await lab.startPoint(AGENT);
  await agent.point.serving;
  const { model } = control;
  lab.placer.onStart = () => Promise.reject(new Error('it does not start'));
  await assert.rejects(control.apply(sourceOf(modelOf(3))), /it does not start/);
  await until(() => agent.host.bundle?.version === control.status().version);
  assert.deepEqual(
    agentBundle(agent.host.bundle).services.map(({ name }) => name),
    ['s0', 's1'],
  );
  assert.equal(control.source?.text, modelOf(2));
  assert.equal(control.model, model);
  assert.equal(lab.placer.settled.at(-1), model);
});

test('apply() says what is amiss with services once the model is in force', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl();
  for (const { fault, says } of [
    { fault: new ControlServiceError('no-such-service', 'worded'), says: 'worded' },
    { fault: new TypeError('ours'), says: 'the services do not follow the model' },
  ]) {
    lab.placer.settleFault = fault;
    const outcome = await control.apply(sourceOf(modelOf(2)));
    assert.deepEqual(outcome.kind === 'done' && outcome.services?.faults, [says]);
    assert.equal(control.source?.text, modelOf(2));
  }
});

test('revoke() waits for no model that is being applied, and what it revokes stays revoked', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl();
  await control.apply(sourceOf(modelOf(2)));
  const agent = await lab.startPoint(AGENT);
  await agent.point.serving;
  const { promise, resolve } = Promise.withResolvers<void>();
  const starting = Promise.withResolvers<void>();
  lab.placer.onStart = () => {
    starting.resolve();
    return promise;
  };
  const applied = control.apply(sourceOf(modelOf(3)));
  await starting.promise;
  await control.revoke('s1');
  const id = 'spiffe://a.test/ns/default/sa/s1';
  assert.deepEqual(agent.host.bundle?.revoked.identities, [id]);
  assert.deepEqual(
    agentBundle(agent.host.bundle).services.map(({ name }) => name),
    ['s0', 's1', 's2'],
  );
  resolve();
  await applied;
  assert.deepEqual(agent.host.bundle?.revoked.identities, [id]);
});

test('apply() says which point lags, and which one rejects', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl({ timings: { settleTimeoutMs: 200 } });
  await control.apply(sourceOf(modelOf(2)));
  const gateway = await lab.startPoint(GATEWAY);
  const agent = await lab.startPoint(AGENT);
  await Promise.all([gateway.point.serving, agent.point.serving]);
  const { promise, resolve } = Promise.withResolvers<void>();
  agent.host.gate = promise;
  gateway.host.fault = new Error('port 443 is taken');
  const outcome = await control.apply(sourceOf(calling('/things/*')));
  assert.ok(outcome.kind === 'done');
  const states = Object.fromEntries(
    outcome.points.map(({ point, state, message }) => [point, [state, message]]),
  );
  assert.deepEqual(states, { agent: ['lagging', undefined], gateway: ['rejected', 'port 443 is taken'] });
  const [agentStatus, gatewayStatus] = control.status().points;
  assert.ok(agentStatus!.lagMs > 0 && agentStatus!.appliedVersion === 1 && agentStatus!.wantedVersion === 2);
  assert.equal(gatewayStatus!.rejected, 'port 443 is taken');
  resolve();
  await until(() => control.status().points[0]?.appliedVersion === 2);
});

test('a slow point holds no other one up, and gets only the last of what it missed', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl({ timings: { settleTimeoutMs: 50 } });
  await control.apply(sourceOf(modelOf(2)));
  const gateway = await lab.startPoint(GATEWAY);
  const agent = await lab.startPoint(AGENT);
  await Promise.all([gateway.point.serving, agent.point.serving]);
  const { promise, resolve } = Promise.withResolvers<void>();
  agent.host.gate = promise;
  for (const path of ['/a', '/b', '/c']) await control.apply(sourceOf(calling(path)));
  assert.deepEqual(
    gateway.host.applied.map(({ version }) => version),
    [1, 2, 3, 4],
  );
  resolve();
  await until(() => agent.host.bundle?.version === 4);
  assert.deepEqual(
    agent.host.applied.map(({ version }) => version),
    [1, 2, 4],
  );
});

test('revoke() and restore() reach every point, and the agent has no certificate in between', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl();
  await control.apply(sourceOf(modelOf(3)));
  const gateway = await lab.startPoint(GATEWAY);
  const agent = await lab.startPoint(AGENT);
  await Promise.all([gateway.point.serving, agent.point.serving]);
  const id = 'spiffe://a.test/ns/default/sa/s1';
  const before = agent.host.identities?.current(id)?.serial;
  const revoked = await control.revoke('s1');
  assert.ok(revoked.kind === 'done' && revoked.points.every(({ state }) => state === 'applied'));
  assert.ok(revoked.tookMs < 1000, `took ${revoked.tookMs} ms`);
  for (const { host } of [gateway, agent]) assert.deepEqual(host.bundle?.revoked.identities, [id]);
  assert.equal(agent.host.identities?.current(id), undefined);
  assert.deepEqual(control.status().revoked, ['s1']);
  const twice = await control.revoke('s1');
  assert.ok(twice.kind === 'done' && !twice.changed);
  const restored = await control.restore('s1');
  assert.ok(restored.kind === 'done' && restored.points.length === 2);
  assert.deepEqual(agent.host.bundle?.revoked.identities, []);
  assert.notEqual(agent.host.identities?.current(id)?.serial, before);
  assert.ok(agent.host.identities?.current(id));
});

test('revoke() and restore() refuse names that they do not know', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl();
  const early = await control.revoke('s0');
  assert.ok(early.kind === 'refused' && early.reason === 'no-model');
  await control.apply(sourceOf(modelOf(2)));
  const unknown = await control.revoke('nobody');
  assert.ok(unknown.kind === 'refused' && unknown.reason === 'unknown-service');
  const free = await control.restore('s0');
  assert.ok(free.kind === 'refused' && free.reason === 'not-revoked');
  assert.equal(control.status().version, 1);
});

test('revokeSerial() lists the serial until its time and ends the stream of a point that shows it', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl({ timings: { settleTimeoutMs: 300 } });
  await control.apply(sourceOf(modelOf(2)));
  const agent = await lab.startPoint(AGENT);
  await agent.point.serving;
  await control.revokeSerial({ serial: 'abc', untilMs: Date.now() + 60_000 });
  await until(() => agent.host.bundle?.revoked.serials.join() === 'abc');
  await control.revokeSerial({ serial: 'def', untilMs: Date.now() - 1 });
  assert.equal(agent.host.bundle?.revoked.serials.join(), 'abc');
  const own = agent.host.identities!.current(agent.point.identity)!.serial;
  await control.revokeSerial({ serial: own, untilMs: Date.now() + 60_000 });
  await until(() => !control.status().points[0]!.connected);
});

test('a restart keeps authority, version, model and revocations; points come back by themselves', async t => {
  const lab = await Lab.open(t);
  const first = await lab.startControl();
  const listen = { ...first.address };
  await first.apply(sourceOf(modelOf(2)));
  await first.revoke('s1');
  const agent = await lab.startPoint(AGENT);
  await agent.point.serving;
  const { trustAnchors } = first;
  await lab.stopControl();
  const second = await lab.startControl({ listen });
  assert.deepEqual(second.trustAnchors, trustAnchors);
  assert.equal(second.status().version, 2);
  assert.equal(second.source?.text, modelOf(2));
  assert.deepEqual(second.status().revoked, ['s1']);
  await until(() => second.status().points[0]?.connected);
  await until(() => second.status().points[0]?.appliedVersion === 2);
  assert.equal(agent.host.applied.length, 1);
  const outcome = await second.restore('s1');
  assert.ok(outcome.kind === 'done' && outcome.version === 3);
  assert.equal(agent.host.bundle?.version, 3);
});

test('startControl() refuses a key file that is open to others, another key, and lost keys', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl();
  await control.apply(sourceOf(modelOf(2)));
  await lab.stopControl();
  const key = join(lab.stateDir, 'control.key');
  await chmod(key, 0o644);
  await assert.rejects(lab.startControl(), { code: 'key-file-loose' });
  await chmod(key, 0o600);
  await copyFile(key, `${key}.saved`);
  await writeFile(key, Buffer.alloc(32, 7));
  await assert.rejects(lab.startControl(), { code: 'wrong-key' });
  await rm(key);
  await assert.rejects(lab.startControl(), { code: 'key-file-missing' });
  await copyFile(`${key}.saved`, key);
  await chmod(key, 0o600);
  // Positive control: with the right key it starts, and what failed left nothing running.
  await lab.startControl();
  await lab.stopControl();
  await rm(join(lab.stateDir, 'ca'), { recursive: true });
  await assert.rejects(lab.startControl(), { code: 'damaged' });
});

test('bundles of another release are compiled anew as a higher version; changed ones are damage', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl();
  await control.apply(sourceOf(modelOf(2)));
  await lab.stopControl();
  const change = async (edit: (bundle: object) => object) => {
    const sealer = await openSealer({ keyFile: join(lab.stateDir, 'control.key'), whenMissing: 'refuse' });
    const signer = await BundleSigner.open(join(lab.stateDir, 'ca', 'bundle-key.sealed'), sealer);
    const db = new DatabaseSync(join(lab.stateDir, 'control.db'));
    const rows = db.prepare('SELECT point, envelope FROM bundle').all() as {
      point: string;
      envelope: string;
    }[];
    for (const { point, envelope } of rows) {
      const opened = signer.open(envelopeSchema.parse(envelope));
      assert.ok(opened.kind === 'opened');
      const edited = signer.seal(edit(opened.bundle) as Bundle);
      db.prepare('UPDATE bundle SET envelope = ? WHERE point = ?').run(
        JSON.stringify(edited.envelope),
        point,
      );
    }
    db.close();
  };
  await change(bundle => ({ ...bundle, formerly: true }));
  const next = await lab.startControl();
  assert.equal(next.bundles.size, 0);
  const outcome = await next.apply(sourceOf(modelOf(2)));
  assert.ok(outcome.kind === 'done' && outcome.changed && outcome.version === 2);
  await lab.stopControl();
  const db = new DatabaseSync(join(lab.stateDir, 'control.db'));
  db.exec(`UPDATE bundle SET envelope = replace(envelope, '"sig":"', '"sig":"AAAA')`);
  db.close();
  await assert.rejects(lab.startControl(), { code: 'damaged' });
});

test('startControl() refuses a second control on one state, and a port that is taken', async t => {
  const lab = await Lab.open(t);
  const control = await lab.startControl();
  const elsewhere = await Lab.open(t);
  await assert.rejects(elsewhere.startControl({ stateDir: lab.stateDir }), { code: 'in-use' });
  await assert.rejects(elsewhere.startControl({ listen: { ...control.address } }), { code: 'port-taken' });
  assert.equal((await callControl<{ version: number }>(lab.stateDir, 'GET', '/status')).version, 0);
});

test('a killed control leaves a socket behind, which the next one replaces', async t => {
  const lab = await Lab.open(t);
  await lab.startControl();
  await lab.stopControl();
  await writeFile(join(lab.stateDir, 'control.sock'), '');
  const control = await lab.startControl();
  assert.equal((await stat(control.socketPath)).mode & 0o777, 0o600);
  assert.equal((await stat(lab.stateDir)).mode & 0o777, 0o700);
});

test('nothing in the state directory is open to others or shows a private key', async t => {
  const lab = await Lab.open(t);
  await (await lab.startControl()).apply(sourceOf(modelOf(2)));
  await lab.startPoint(AGENT);
  await until(() => lab.control.status().points[0]?.appliedVersion === 1);
  for (const file of [
    'control.key',
    'control.db',
    'ca/root.sealed',
    'ca/issuing.sealed',
    'ca/bundle-key.sealed',
  ]) {
    assert.equal((await stat(join(lab.stateDir, file))).mode & 0o077, 0, file);
  }
  for (const file of ['point.key', 'point.sealed', 'bundle.json', 'newest.json']) {
    const path = join(lab.directory, 'agent', file);
    assert.equal((await stat(path)).mode & 0o077, 0, file);
    assert.equal((await readFile(path, 'latin1')).includes('PRIVATE'), false, file);
  }
});

test('50 points have a change in force in under a second', async t => {
  const lab = await Lab.open(t);
  lab.placer.agents = 'each';
  const control = await lab.startControl();
  await control.apply(sourceOf(modelOf(49)));
  const names = [...control.bundles.values()].map(({ bundle }) => ({
    name: bundle.point,
    kind: bundle.kind,
  }));
  assert.equal(names.length, 50);
  const points = await Promise.all(names.map(name => lab.startPoint(name)));
  await Promise.all(points.map(({ point }) => point.serving));
  const outcome = await control.apply(sourceOf(modelOf(49).replace('GET /items/*', 'GET /things/*')));
  assert.ok(outcome.kind === 'done');
  assert.equal(outcome.points.filter(({ state }) => state === 'applied').length, 50);
  t.diagnostic(`50 points in ${outcome.tookMs.toFixed(0)} ms`);
  assert.ok(outcome.tookMs < 1000, `took ${outcome.tookMs} ms`);
});

function agentBundle(bundle: Bundle | undefined): AgentBundle {
  return bundle?.kind === 'agent' ? bundle : assert.fail('no bundle of an agent');
}
