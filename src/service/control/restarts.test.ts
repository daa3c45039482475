import assert from 'node:assert/strict';
import { copyFile, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { FakeClock } from '#base/clock';
import type { PointOptions } from '#service/point';
import { writeFileAtomically } from '#service/sealed';
import { FakeHost, Lab, modelOf, sourceOf, until } from './lab.ts';

const GATEWAY = { name: 'gateway', kind: 'gateway' } as const;
const AGENT = { name: 'agent', kind: 'agent' } as const;
const S0 = 'spiffe://a.test/ns/default/sa/s0';
const S1 = 'spiffe://a.test/ns/default/sa/s1';

async function running(t: TestContext, options: Parameters<Lab['startControl']>[0] = {}) {
  const lab = await Lab.open(t);
  const control = await lab.startControl(options);
  await control.apply(sourceOf(modelOf(2)));
  return { lab, control };
}

test('a point restarts while control is down, with its bundle and its identities', async t => {
  const { lab, control } = await running(t);
  const config = lab.configOf(AGENT);
  const first = await lab.startPoint(AGENT, { config });
  await first.point.serving;
  const { serial } = first.host.identities!.current(S0)!;
  await first.point.close();
  await lab.stopControl();
  const second = await lab.startPoint(AGENT, { config });
  await second.point.serving;
  assert.equal(second.host.bundle?.version, 1);
  assert.equal(second.host.identities?.current(S0)?.serial, serial);
  assert.equal(second.point.isConnected, false);
  const again = await lab.startControl({ listen: { ...control.address, port: config.control.port } });
  await until(() => again.status().points[0]?.connected);
  assert.equal(second.host.applied.length, 1);
});

test('a point comes up with its newest bundle and its identities when the last good one is gone', async t => {
  const { lab, control } = await running(t);
  const config = lab.configOf(AGENT);
  const first = await lab.startPoint(AGENT, { config });
  await until(() => control.status().points[0]?.appliedVersion === 1);
  const { serial } = first.host.identities!.current(S0)!;
  await first.point.close();
  await lab.stopControl();
  await rm(join(config.stateDir, 'bundle.json'));
  const second = await lab.startPoint(AGENT, { config });
  await second.point.serving;
  assert.equal(second.host.identities?.current(S0)?.serial, serial);
});

test('a point serves nothing from a torn, changed or exchanged bundle, and takes the good one from control', async t => {
  const { lab } = await running(t);
  const config = lab.configOf(AGENT);
  const first = await lab.startPoint(AGENT, { config });
  await first.point.serving;
  const gateway = await lab.startPoint(GATEWAY);
  await gateway.point.serving;
  await first.point.close();
  const path = join(config.stateDir, 'newest.json');
  const good = await readFile(path, 'utf8');
  const envelope = JSON.parse(good) as { payload: string };
  const payload = Buffer.from(envelope.payload, 'base64').toString('utf8');
  const changed = Buffer.from(payload.replace('"kind":"http"', '"kind":"grpc"')).toString('base64');
  await lab.stopControl();
  const damages: readonly (readonly [string, () => Promise<void>])[] = [
    ['torn', () => truncate(path, Math.floor(good.length / 2))],
    ['empty', () => truncate(path, 0)],
    ['changed', () => writeFile(path, JSON.stringify({ ...envelope, payload: changed }))],
    ['of another point', () => copyFile(join(lab.directory, 'gateway', 'newest.json'), path)],
  ];
  for (const [what, damage] of damages) {
    await damage();
    const { point, host } = await lab.startPoint(AGENT, { config });
    assert.equal(host.applied.length, 0, what);
    assert.equal(point.appliedVersion, 0, what);
    await point.close();
  }
  // With the newest bundle gone, the last good one is all that there is: that one, too, is verified.
  await rm(path);
  const bundle = join(config.stateDir, 'bundle.json');
  for (const text of ['{', JSON.stringify({ ...envelope, payload: changed })]) {
    await writeFile(bundle, text);
    const { point, host } = await lab.startPoint(AGENT, { config });
    assert.equal(host.applied.length, 0);
    await point.close();
  }
  await lab.startControl({ listen: config.control });
  const last = await lab.startPoint(AGENT, { config });
  await last.point.serving;
  assert.equal(last.host.bundle?.version, 1);
});

test('a point does not go back to an older bundle that control once signed', async t => {
  const { lab, control } = await running(t);
  const config = lab.configOf(AGENT);
  const first = await lab.startPoint(AGENT, { config });
  await first.point.serving;
  const paths = ['bundle.json', 'newest.json'].map(file => join(config.stateDir, file));
  await until(() => control.status().points[0]?.appliedVersion === 1);
  for (const path of paths) await copyFile(path, `${path}.old`);
  await control.revoke('s1');
  await first.point.close();
  await lab.stopControl();
  // Positive control: the current one is taken.
  const second = await lab.startPoint(AGENT, { config });
  assert.equal(second.host.bundle?.version, 2);
  await second.point.close();
  for (const path of paths) await copyFile(`${path}.old`, path);
  const third = await lab.startPoint(AGENT, { config });
  assert.equal(third.host.applied.length, 0);
});

test('a point under other roots forgets what it had and enrols anew', async t => {
  const { lab } = await running(t);
  const config = lab.configOf(AGENT);
  const first = await lab.startPoint(AGENT, { config });
  await first.point.serving;
  await first.point.close();
  const other = await Lab.open(t);
  const control = await other.startControl();
  await control.apply(sourceOf(modelOf(1)));
  const moved = { ...other.configOf(AGENT), stateDir: config.stateDir };
  const second = await other.startPoint(AGENT, { config: moved });
  await second.point.serving;
  assert.equal(second.host.bundle?.kind === 'agent' && second.host.bundle.services.length, 1);
  await second.point.close();
});

test('identities are renewed at half of their time, on the same stream', async t => {
  const { lab, control } = await running(t, { timings: { certificateLifetimeMs: 3000, heartbeatMs: 100 } });
  const agent = await lab.startPoint(AGENT);
  await agent.point.serving;
  const serials = () => [S0, agent.point.identity].map(name => agent.host.identities?.current(name)?.serial);
  const before = serials();
  assert.ok(before.every(serial => serial !== undefined));
  const changes = agent.host.changes;
  await until(() => serials().every((serial, i) => serial !== undefined && serial !== before[i]));
  assert.ok(agent.host.changes > changes);
  assert.ok(agent.point.isConnected);
  await until(() => (control.status().points[0]?.certificateNotAfterMs ?? 0) > Date.now());
});

test('a point whose identity ran out while control was away says that it is lost', async t => {
  const { lab } = await running(t, { timings: { certificateLifetimeMs: 2000 } });
  const { promise, resolve } = Promise.withResolvers<void>();
  const agent = await lab.startPoint(AGENT, { onLost: resolve });
  await agent.point.serving;
  await lab.stopControl();
  await promise;
  assert.equal(agent.host.identities?.current(S0), undefined);
  assert.equal(agent.host.applied.length, 1);
});

// Identities that ran out while the point was down

const SHORT_LIVED = { timings: { certificateLifetimeMs: 3000, heartbeatMs: 100 } };

test('a point whose identities ran out while it was down says that its token is spent, and enrols with a fresh one', async t => {
  const { lab, control } = await running(t, SHORT_LIVED);
  const config = lab.configOf(AGENT);
  const first = await lab.startPoint(AGENT, { config });
  await until(() => control.status().points[0]?.appliedVersion === 1);
  await first.point.close();
  await new Promise(resolve => setTimeout(resolve, 3000));
  await assert.rejects(lab.startPoint(AGENT, { config }), {
    code: 'enrolment-refused',
    message: /good once and for two minutes; start the point by `ringwall up`/,
  });
  // As a supervisor does it: each start has a token of its own.
  const second = await lab.startPoint(AGENT, { config: lab.configOf(AGENT) });
  await second.point.serving;
  await until(() => control.status().points[0]?.connected);
  assert.equal(second.host.applied.length, 1);
  await until(() => second.host.identities?.current(S0));
});

test('a point whose identities ran out serves nothing before control is back, and then enrols', async t => {
  const { lab, control } = await running(t, SHORT_LIVED);
  const first = await lab.startPoint(AGENT);
  await until(() => control.status().points[0]?.appliedVersion === 1);
  const listen = { ...control.address };
  const config = lab.configOf(AGENT);
  await first.point.close();
  await lab.stopControl();
  await new Promise(resolve => setTimeout(resolve, 3000));
  const host = new FakeHost();
  // The token is void by then, for control was started anew; it is the waiting that counts here.
  const started = assert.rejects(lab.startPoint(AGENT, { config, host }), { code: 'enrolment-refused' });
  await new Promise(resolve => setTimeout(resolve, 300));
  assert.equal(host.applied.length, 0);
  await lab.startControl({ listen });
  await started;
  const { point } = await lab.startPoint(AGENT, { config: lab.configOf(AGENT), host });
  await point.serving;
});

test('a point whose clock is ahead by more than a certificate lasts says so', async t => {
  const { lab } = await running(t);
  const ahead = new FakeClock(Date.now() + 2 * 3_600_000);
  await assert.rejects(lab.startPoint(AGENT, { clock: ahead }), {
    code: 'bad-certificate',
    message: /the clock of this machine is ahead/,
  });
  const slightly = new FakeClock(Date.now() + 50 * 60_000);
  await (await lab.startPoint(AGENT, { clock: slightly })).point.close();
});

test('a kept identity counts by the clock: once it is past its time, the point enrols anew', async t => {
  const { lab, control } = await running(t);
  const clock = new FakeClock(Date.now() - 7 * 86_400_000);
  const first = await lab.startPoint(AGENT, { clock });
  await until(() => control.status().points[0]?.appliedVersion === 1);
  await first.point.close();
  const spent = { ...lab.configOf(AGENT), joinToken: '' };
  clock.advance(7 * 86_400_000 + 59 * 60_000);
  const second = await lab.startPoint(AGENT, { clock, config: spent });
  await second.point.close();
  clock.advance(2 * 60_000);
  await assert.rejects(lab.startPoint(AGENT, { clock, config: spent }), { code: 'enrolment-refused' });
});

// A revocation whose bundle is not in force

/** Lets the files of a point fail to be written. */
class FaultyDisk {
  /** The name of the file that fails, and whether its content is there all the same. */
  fault: { readonly file: string; readonly persists: boolean } | undefined;

  readonly write: NonNullable<PointOptions['writeFile']> = async (path, bytes) => {
    const fails = this.fault?.file === basename(path);
    if (!fails || this.fault?.persists === true) await writeFileAtomically(path, bytes);
    if (fails) throw new Error('no space left');
  };
}

async function revokedAtAgent(t: TestContext, what: { disk?: FaultyDisk; hostFault?: Error } = {}) {
  const { lab, control } = await running(t);
  const config = lab.configOf(AGENT);
  const disk = new FaultyDisk();
  const { point, host } = await lab.startPoint(AGENT, { config, writeFile: disk.write });
  await until(() => control.status().points[0]?.appliedVersion === 1);
  host.fault = what.hostFault;
  disk.fault = what.disk?.fault;
  const outcome = await control.revoke('s1');
  assert.ok(outcome.kind === 'done');
  return { lab, config, point, outcome: outcome.points.find(({ point: name }) => name === 'agent') };
}

test('a revocation outlives a restart without control, though its bundle could not be put in force', async t => {
  const { lab, config, outcome, point } = await revokedAtAgent(t, { hostFault: new Error('port is taken') });
  assert.equal(outcome?.state, 'rejected');
  assert.equal((await stat(join(config.stateDir, 'newest.json'))).mode & 0o777, 0o600);
  await point.close();
  await lab.stopControl();
  const again = await lab.startPoint(AGENT, { config });
  await again.point.serving;
  assert.ok(again.host.applied.every(({ revoked }) => revoked.identities.includes(S1)));
  assert.equal(again.host.identities?.current(S1), undefined);
  // What stood in the way is gone: the newest bundle comes in force by itself.
  await until(() => again.point.appliedVersion === 2);
});

test('a revocation acts beside the last good bundle while the newest cannot be put in force', async t => {
  const { lab, config, point } = await revokedAtAgent(t, { hostFault: new Error('port is taken') });
  await point.close();
  await lab.stopControl();
  const host = new (class {
    readonly inForce: { version: number; revoked: readonly string[] }[] = [];
    apply(bundle: { version: number; revoked: { identities: readonly string[] } }): Promise<void> {
      if (bundle.version === 2) return Promise.reject(new Error('port is taken'));
      this.inForce.push({ version: bundle.version, revoked: bundle.revoked.identities });
      return Promise.resolve();
    }
  })();
  const again = await lab.startPoint(AGENT, { config, host });
  await again.point.serving;
  assert.deepEqual(host.inForce, [{ version: 1, revoked: [S1] }]);
});

for (const file of ['newest.json', 'bundle.json', 'point.sealed']) {
  for (const persists of [false, true]) {
    test(`a revocation is acknowledged only when it outlives a restart: ${file} fails${persists ? ', but persists' : ''}`, async t => {
      const disk = new FaultyDisk();
      disk.fault = { file, persists };
      const { lab, config, outcome, point } = await revokedAtAgent(t, { disk });
      assert.equal(outcome?.state, 'rejected');
      assert.match(outcome.message ?? '', /it is in force, but it is not on the disk/);
      await point.close();
      await lab.stopControl();
      const again = await lab.startPoint(AGENT, { config });
      await again.point.serving;
      // Only what never reached the disk may be forgotten, and that was not acknowledged.
      const isForgotten = !again.host.bundle?.revoked.identities.includes(S1);
      assert.equal(isForgotten, file === 'newest.json' && !persists);
      await lab.startControl({ listen: config.control });
      await until(() => lab.control.status().points[0]?.appliedVersion === 2);
      assert.deepEqual(again.host.bundle?.revoked.identities, [S1]);
    });
  }
}

test('a revocation is acknowledged by itself once the disk takes it', async t => {
  const disk = new FaultyDisk();
  const { lab, control } = await running(t);
  const { host } = await lab.startPoint(AGENT, { writeFile: disk.write });
  await until(() => control.status().points[0]?.appliedVersion === 1);
  disk.fault = { file: 'newest.json', persists: false };
  const outcome = await control.revoke('s1');
  assert.ok(outcome.kind === 'done' && outcome.points.some(({ state }) => state === 'rejected'));
  assert.deepEqual(host.bundle?.revoked.identities, [S1]);
  assert.match(control.status().points[0]?.rejected ?? '', /no space left/);
  disk.fault = undefined;
  await until(() => control.status().points[0]?.appliedVersion === 2);
  assert.equal(control.status().points[0]?.rejected, '');
});
