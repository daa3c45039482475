import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Envelope } from '#domain/dsse';
import { createLog } from '#base/log';
import { systemClock } from '#base/clock';
import { Lab, modelOf, sourceOf, until } from './lab.ts';
import { converse, dial, enrolByHand, hello, lineOf } from './point-by-hand.ts';

const GATEWAY = { name: 'gateway', kind: 'gateway' } as const;
const AGENT = { name: 'agent', kind: 'agent' } as const;
const id = (service: string) => `spiffe://a.test/ns/default/sa/${service}`;

/** A control whose state is exchanged for the copy that was made with `save`. */
async function withBackup(t: TestContext) {
  const lab = await Lab.open(t);
  await lab.startControl();
  await lab.control.apply(sourceOf(modelOf(3)));
  const listen = { ...lab.control.address };
  const copy = join(lab.directory, 'copy');
  const lines: string[] = [];
  const log = createLog({
    name: 'control',
    level: 'error',
    clock: systemClock,
    write: line => lines.push(line),
  });
  const restart = async () => {
    await lab.stopControl();
    await lab.startControl({ listen, log, timings: { settleTimeoutMs: 500 } });
  };
  return {
    lab,
    lines,
    restart,
    /** Control has to be stopped for it, as with any copy of a database that is in use. */
    save: async () => {
      await lab.stopControl();
      await cp(lab.stateDir, copy, { recursive: true });
      await lab.startControl({ listen });
    },
    bringBack: async () => {
      await lab.stopControl();
      await rm(lab.stateDir, { recursive: true });
      await cp(copy, lab.stateDir, { recursive: true });
      await restart();
    },
  };
}

const pointsOf = (lab: Lab) => lab.control.status().points;
const allApply = (lab: Lab, version: number) =>
  until(() =>
    pointsOf(lab).every(
      ({ appliedVersion, wantedVersion }) => appliedVersion === version && wantedVersion === version,
    ),
  );

test('a control from an old copy goes on behind its points, with the revocations that they hold', async t => {
  const { lab, lines, save, bringBack, restart } = await withBackup(t);
  const gateway = await lab.startPoint(GATEWAY);
  const agent = await lab.startPoint(AGENT);
  await allApply(lab, 1);
  await save();
  await until(() => pointsOf(lab).every(({ connected }) => connected));
  for (const service of ['s1', 's2']) await lab.control.revoke(service);
  await lab.control.restore('s2');
  await lab.control.revokeSerial({ serial: 'abc', untilMs: Date.now() + 60_000 });
  await allApply(lab, 5);

  await bringBack();
  await allApply(lab, 6);
  const { adopted, revoked } = lab.control.status();
  assert.deepEqual(revoked, ['s1']);
  assert.equal(adopted.length, 1);
  assert.equal(adopted[0]?.service, 's1');
  assert.ok(['agent', 'gateway'].includes(adopted[0].point));
  for (const { host } of [gateway, agent])
    assert.deepEqual(host.bundle?.revoked, { identities: [id('s1')], serials: ['abc'] });
  assert.match(lines.join(''), /was an old copy brought back/);
  // It is on control's disk, and changes go on.
  await restart();
  assert.equal(lab.control.status().adopted.length, 1);
  await until(() => pointsOf(lab).every(({ connected }) => connected));
  const outcome = await lab.control.restore('s1');
  assert.ok(outcome.kind === 'done' && outcome.points.every(({ state }) => state === 'applied'));
  assert.equal(outcome.version, 7);
  assert.deepEqual(lab.control.status().adopted, []);
});

test('changes made before the points come back take back nothing that is revoked', async t => {
  const { lab, save, bringBack } = await withBackup(t);
  const config = lab.configOf(AGENT);
  const first = await lab.startPoint(AGENT, { config });
  await until(() => pointsOf(lab)[0]?.appliedVersion === 1);
  await save();
  await until(() => pointsOf(lab)[0]?.connected);
  await lab.control.revoke('s1');
  await first.point.close();
  await bringBack();
  // By now control is at versions that the point has seen with other content, and beyond them.
  for (const services of [4, 5, 6]) await lab.control.apply(sourceOf(modelOf(services)));
  const again = await lab.startPoint(AGENT, { config });
  await until(() => again.point.appliedVersion > 4);
  assert.ok(again.host.applied.every(({ revoked }) => revoked.identities.includes(id('s1'))));
  assert.deepEqual(lab.control.status().adopted, [{ service: 's1', point: 'agent' }]);
});

test('a control with its keys and no other state takes versions and revocations from its points', async t => {
  const { lab, restart } = await withBackup(t);
  const agent = await lab.startPoint(AGENT);
  await lab.control.revoke('s2');
  await until(() => pointsOf(lab)[0]?.appliedVersion === 2);
  await lab.stopControl();
  for (const file of ['control.db', 'control.db-wal', 'control.db-shm'])
    await rm(join(lab.stateDir, file), { force: true });
  await restart();
  await until(() => lab.control.status().version === 3);
  assert.deepEqual(lab.control.status().revoked, ['s2']);
  const outcome = await lab.control.apply(sourceOf(modelOf(3)));
  assert.ok(outcome.kind === 'done' && outcome.version === 4);
  assert.equal(agent.host.bundle?.version, 4);
  assert.deepEqual(agent.host.bundle?.revoked.identities, [id('s2')]);
});

test('a control that lost nothing asks nobody, also not a point that missed many changes', async t => {
  const { lab, lines, restart } = await withBackup(t);
  const config = lab.configOf(AGENT);
  const first = await lab.startPoint(AGENT, { config });
  await until(() => pointsOf(lab)[0]?.appliedVersion === 1);
  await lab.control.revoke('s1');
  await first.point.close();
  await lab.control.restore('s1');
  await restart();
  const again = await lab.startPoint(AGENT, { config });
  await until(() => again.point.appliedVersion === 3);
  assert.deepEqual(again.host.bundle?.revoked.identities, []);
  assert.deepEqual(lines, []);
});

// Points that lie

async function lying(t: TestContext) {
  const { lab, lines, save, bringBack } = await withBackup(t);
  const agent = await enrolByHand(lab, AGENT);
  const gateway = await enrolByHand(lab, GATEWAY);
  await save();
  await lab.control.revoke('s1');
  const lost = new Map(
    [...lab.control.bundles].map(([point, { digest, envelope }]) => [point, { digest, envelope }]),
  );
  await bringBack();
  /** Shows it when asked to, until control has said what it makes of it. */
  const show = async (shown: Envelope, newestVersion = 9) => {
    const socket = await dial(lab, agent);
    let heard = '';
    socket.on('data', (chunk: Buffer) => {
      if (heard === '') socket.write(lineOf({ kind: 'shown', envelope: shown }));
      heard += chunk.toString();
    });
    lines.length = 0;
    socket.write(hello({ newestVersion, newestDigest: 'x' }));
    await until(() => heard.includes('"bundle"') || lines.some(line => line.includes('does not show it')));
    socket.destroy();
    await until(() => !pointsOf(lab)[0]?.connected);
    return heard.includes('"bundle"');
  };
  return { lab, lines, agent, gateway, lost, show };
}

test('what a point says without showing it moves no version, and it gets no bundle before', async t => {
  const { lab, lines, agent, lost } = await lying(t);
  for (const newestVersion of [2, 9, Number.MAX_SAFE_INTEGER]) {
    const socket = await dial(lab, agent);
    let heard = '';
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    socket.write(hello({ newestVersion, newestDigest: 'x' }));
    await until(() => pointsOf(lab)[0]?.unknownVersion === newestVersion);
    await lab.control.apply(sourceOf(modelOf(3).replace('items', `v${newestVersion}`)));
    socket.write(lineOf({ kind: 'shown', envelope: null }));
    await until(() => lines.some(line => line.includes('does not show it')));
    assert.match(pointsOf(lab)[0]?.rejected ?? '', /does not show it/);
    const outcome = await lab.control.apply(sourceOf(modelOf(3).replace('items', `w${newestVersion}`)));
    const [timing] = outcome.kind === 'done' ? outcome.points.filter(({ point }) => point === 'agent') : [];
    assert.equal(timing?.state, 'rejected');
    assert.ok(!heard.includes('"bundle"'), heard.slice(0, 200));
    socket.destroy();
    await until(() => !pointsOf(lab)[0]?.connected);
    lines.length = 0;
  }
  assert.ok(lab.control.status().version < 10);
  assert.deepEqual(lab.control.status().revoked, []);
  // Positive control: showing it does.
  const { digest, envelope } = lost.get('agent')!;
  const claimed = hello({ newestVersion: 2, newestDigest: digest });
  const answers = await converse(lab, claimed + lineOf({ kind: 'shown', envelope }), agent, 2);
  assert.deepEqual(
    answers.map(({ kind }) => kind),
    ['show', 'bundle'],
  );
  assert.deepEqual(lab.control.status().revoked, ['s1']);
});

test('control adopts nothing but its own words to the very point', async t => {
  const { lab, lost, show } = await lying(t);
  const { envelope } = lost.get('agent')!;
  const payload = Buffer.from(envelope.payload, 'base64').toString().replace('"version":2', '"version":2000');
  const wrong: readonly Envelope[] = [
    { ...envelope, payload: Buffer.from(payload).toString('base64') },
    { ...envelope, signatures: [{ keyid: 'x', sig: 'AAAA' }] },
    lost.get('gateway')!.envelope,
  ];
  for (const shown of wrong) assert.equal(await show(shown), false);
  assert.deepEqual([lab.control.status().version, lab.control.status().revoked], [1, []]);
  assert.equal(await show(envelope), true);
  assert.deepEqual([lab.control.status().version, lab.control.status().revoked], [3, ['s1']]);
});

test('who shows an old bundle, of the lost state or of this one, revokes nothing anew', async t => {
  const { lab, lost, show } = await lying(t);
  const { envelope } = lost.get('agent')!;
  await show(envelope);
  const revoking = lab.control.bundles.get('agent')!.envelope;
  await lab.control.restore('s1');
  const { version } = lab.control.status();
  for (const shown of [envelope, revoking]) assert.equal(await show(shown), true);
  assert.deepEqual([lab.control.status().version, lab.control.status().revoked], [version, []]);
});

test('a point that is asked and stays silent does not keep others from showing what they hold', async t => {
  const { lab, lost, gateway, agent } = await lying(t);
  const mute = await dial(lab, agent);
  mute.write(hello({ newestVersion: 9, newestDigest: 'x' }));
  await until(() => pointsOf(lab)[0]?.unknownVersion === 9);
  const { digest, envelope } = lost.get('gateway')!;
  const other = await dial(lab, gateway);
  let heard = '';
  other.on('data', (chunk: Buffer) => {
    heard += chunk.toString();
    if (heard.includes('"show"')) other.write(lineOf({ kind: 'shown', envelope }));
  });
  other.write(hello({ newestVersion: 2, newestDigest: digest }));
  await until(() => pointsOf(lab)[1]?.unknownVersion === 2);
  assert.equal(heard.includes('"show"'), false);
  mute.destroy();
  await until(() => lab.control.status().revoked.length === 1);
  other.destroy();
});
