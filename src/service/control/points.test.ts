import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { FakeClock } from '#base/clock';
import { createKeyRequest } from '#service/link';
import { Lab, modelOf, sourceOf, until } from './lab.ts';
import { converse, dial, enrolByHand, hello, lineOf, type Pair } from './point-by-hand.ts';

const GATEWAY = { name: 'gateway', kind: 'gateway' } as const;
const AGENT = { name: 'agent', kind: 'agent' } as const;
const S0 = 'spiffe://a.test/ns/default/sa/s0';

async function running(t: TestContext, options: Parameters<Lab['startControl']>[0] = {}) {
  const lab = await Lab.open(t);
  const control = await lab.startControl(options);
  await control.apply(sourceOf(modelOf(2)));
  return { lab, control };
}

// Enrolment

test('a join token works once', async t => {
  const { lab } = await running(t);
  const config = lab.configOf(AGENT);
  await lab.startPoint(AGENT, { config });
  const thief = { ...config, stateDir: join(lab.directory, 'thief') };
  await assert.rejects(lab.startPoint(AGENT, { config: thief }), { code: 'enrolment-refused' });
});

test('a join token is void after two minutes', async t => {
  const clock = new FakeClock(Date.now());
  const { lab } = await running(t, { clock });
  const late = lab.configOf(AGENT);
  clock.advance(120_000);
  await assert.rejects(lab.startPoint(AGENT, { config: late }), { code: 'enrolment-refused' });
  const early = lab.configOf(AGENT);
  clock.advance(119_000);
  await lab.startPoint(AGENT, { config: early });
});

test('a join token is void for another point, and spent by the attempt', async t => {
  const { lab, control } = await running(t);
  const joinToken = control.createJoinToken(AGENT);
  const wrong = lab.configOf(GATEWAY, joinToken);
  await assert.rejects(lab.startPoint(GATEWAY, { config: wrong }), { code: 'enrolment-refused' });
  await assert.rejects(lab.startPoint(AGENT, { config: lab.configOf(AGENT, joinToken) }), {
    code: 'enrolment-refused',
  });
});

test('a restart of control voids its join tokens', async t => {
  const { lab } = await running(t);
  const config = lab.configOf(AGENT);
  await lab.stopControl();
  const control = await lab.startControl();
  await assert.rejects(lab.startPoint(AGENT, { config: { ...config, control: control.address } }), {
    code: 'enrolment-refused',
  });
});

test('a point enrols with no control but the one under its roots', async t => {
  const { lab } = await running(t);
  const other = await Lab.open(t);
  await other.startControl();
  const config = { ...lab.configOf(AGENT), control: other.control.address };
  const controller = new AbortController();
  const started = lab.startPoint(AGENT, { config, signal: controller.signal });
  setTimeout(() => controller.abort(), 300);
  await assert.rejects(started, { code: 'closed' });
});

test('a point refuses to enrol with a service of its own trust domain that plays control', async t => {
  const { lab, control } = await running(t);
  const { certificateChainPem: cert, privateKeyPem: key } = await control.issueProofIdentity({
    service: 's0',
  });
  const { createServer } = await import('node:tls');
  const server = createServer({ cert, key });
  server.on('tlsClientError', () => {});
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  await assert.rejects(
    lab.startPoint(AGENT, { config: { ...lab.configOf(AGENT), control: { host: '127.0.0.1', port } } }),
    {
      code: 'not-control',
    },
  );
});

// What strangers and bad points may do

test('a stranger gets nothing but a refusal, and is ended on garbage, long lines and second thoughts', async t => {
  const { lab, control } = await running(t);
  const token = control.createJoinToken(AGENT);
  const { requestPem: request } = await createKeyRequest();
  const enrol = (more: object) =>
    `${JSON.stringify({ kind: 'enrol', protocol: 1, name: 'agent', token, request, ...more })}\n`;
  const cases: readonly (readonly [string, string])[] = [
    ['garbage', 'GET / HTTP/1.1\r\n\r\n'],
    ['not UTF-8', '\u00ff\u00fe\n'],
    ['a long line', 'x'.repeat(20_000)],
    ['hello without a certificate', hello()],
    ['another protocol', enrol({ protocol: 2 })],
    ['an unknown key', enrol({ admin: true })],
    ['a name that is a path', enrol({ name: '../agent' })],
    ['a request that is none', enrol({ request: 'x' })],
  ];
  for (const [what, text] of cases) {
    const answers = await converse(lab, text);
    assert.ok(
      answers.every(({ kind }) => kind === 'enrolment-refused'),
      what,
    );
  }
  const twice = await converse(lab, `${enrol({ token: 'x' })}${enrol({ token: 'y' })}`);
  assert.ok(twice.length <= 1);
});

test('a real identity that is no point’s opens no stream', async t => {
  const { lab, control } = await running(t);
  for (const service of ['s0', 'gateway']) {
    const pair = await control.issueProofIdentity({ service });
    assert.deepEqual(await converse(lab, hello(), pair), [], service);
  }
  const other = await Lab.open(t);
  await other.startControl();
  await other.control.apply(sourceOf(modelOf(1)));
  const foreign = await enrolByHand(other, AGENT);
  assert.deepEqual(await converse(lab, hello(), foreign), []);
  // Positive control: the same words with a point's identity are answered with its bundle.
  const [bundle] = await converse(lab, hello(), await enrolByHand(lab, AGENT), 1);
  assert.equal(bundle?.kind, 'bundle');
});

test('an enrolled point that breaks the protocol is ended', async t => {
  const { lab } = await running(t);
  const pair = await enrolByHand(lab, AGENT);
  const records = '{"kind":"records","epoch":"e","firstSeq":1,"lines":["a"]}\n';
  const cases: readonly (readonly [string, string])[] = [
    ['garbage', 'garbage\n'],
    ['records before hello', records],
    ['hello twice', hello() + hello()],
    ['more applied than given', hello({ appliedVersion: 1 })],
    ['a version that is no safe integer', hello({ newestVersion: 2 ** 53 })],
    ['two batches at once', hello() + records + records],
    ['an enrolment', `${hello()}{"kind":"enrol"}\n`],
    [
      'an unknown key',
      `${hello()}{"kind":"health","recordsBehind":0,"journalHealthy":true,"certificateNotAfterMs":0,"x":1}\n`,
    ],
    ['a negative version', `${hello()}{"kind":"applied","version":-1,"digest":"","tookMs":0}\n`],
    ['a bundle that it was never given', `${hello()}{"kind":"applied","version":9,"digest":"","tookMs":0}\n`],
    ['a bundle shown unasked', `${hello()}{"kind":"shown","envelope":null}\n`],
  ];
  for (const [what, text] of cases) await assert.doesNotReject(converse(lab, text, pair), what);
  await converse(lab, `${hello()}${'x'.repeat(9 * 1024 * 1024)}`, pair);
});

test('a point gets certificates for what stands behind it, and for nothing else', async t => {
  const { lab } = await running(t);
  const { requestPem: request } = await createKeyRequest();
  const certify = (id: number, identity: string, pem = request) => ({
    kind: 'certify',
    id,
    identity,
    request: pem,
  });
  const ask = async (pair: Pair, ...asked: object[]) => {
    const text = hello() + asked.map(lineOf).join('');
    const answers = await converse(lab, text, pair, asked.length + 1);
    return answers
      .filter(({ kind }) => kind !== 'bundle')
      .map(answer => (answer.kind === 'certificate-refused' ? answer.reason : answer.kind));
  };
  const agent = await enrolByHand(lab, AGENT);
  const gateway = await enrolByHand(lab, GATEWAY);
  assert.deepEqual(
    await ask(
      agent,
      certify(1, S0),
      certify(2, 'spiffe://a.test/ns/default/sa/other'),
      certify(3, 'spiffe://a.test/ns/ringwall/sa/gateway'),
      certify(4, 'spiffe://a.test/ns/ringwall/sa/control'),
      certify(5, 'edge'),
      certify(6, S0, 'garbage'),
      certify(7, 'spiffe://a.test/ns/ringwall/sa/agent'),
    ),
    [
      'certificate',
      'not-entitled',
      'not-entitled',
      'not-entitled',
      'not-entitled',
      'bad-request',
      'certificate',
    ],
  );
  assert.deepEqual(await ask(gateway, certify(1, S0), certify(2, 'edge')), ['not-entitled', 'certificate']);
  await lab.control.revoke('s0');
  assert.deepEqual(await ask(agent, certify(1, S0)), ['revoked']);
});

// Records

test('records reach the keeper in the name of the certificate, and are acknowledged', async t => {
  const { lab, control } = await running(t);
  const agent = await lab.startPoint(AGENT);
  agent.journal.write('r1', 'r2');
  await until(() => agent.journal.oldestSeq === 3);
  agent.journal.write(...Array.from({ length: 3000 }, (_, i) => `r${i + 3}`));
  await until(() => agent.journal.oldestSeq === 3003);
  assert.equal(lab.keeper.lines.length, 3002);
  assert.equal(lab.keeper.lines.at(-1), 'r3002');
  assert.ok(lab.keeper.batches.every(({ point, epoch }) => point === 'agent' && epoch === 'e1'));
  assert.equal(control.status().points[0]?.journalHealthy, true);
});

test('records that the keeper did not take, or that came while control was down, go again', async t => {
  const { lab, control } = await running(t);
  const listen = { ...control.address };
  const agent = await lab.startPoint(AGENT);
  lab.keeper.fault = new Error('the disk is full');
  agent.journal.write('r1');
  await new Promise(resolve => setTimeout(resolve, 100));
  assert.equal(agent.journal.oldestSeq, 1);
  lab.keeper.fault = undefined;
  await until(() => agent.journal.oldestSeq === 2);
  await lab.stopControl();
  agent.journal.write('r2', 'r3');
  await lab.startControl({ listen });
  await until(() => agent.journal.oldestSeq === 4, 10_000);
  assert.deepEqual([...new Set(lab.keeper.lines)], ['r1', 'r2', 'r3']);
});

test('of two streams of one point the newer one stays', async t => {
  const { lab, control } = await running(t);
  const pair = await enrolByHand(lab, AGENT);
  const older = await dial(lab, pair);
  older.write(hello());
  await until(() => control.status().points[0]?.connected);
  const newer = await dial(lab, pair);
  newer.write(hello());
  await until(() => older.destroyed);
  assert.equal(newer.destroyed, false);
  assert.equal(control.status().points[0]?.connected, true);
  newer.destroy();
  await until(() => !control.status().points[0]?.connected);
});

test('a point that falls silent is taken for gone', async t => {
  const { lab, control } = await running(t, { timings: { heartbeatMs: 50, silenceMs: 200 } });
  const mute = await dial(lab, await enrolByHand(lab, GATEWAY));
  mute.write(hello());
  const agent = await lab.startPoint(AGENT);
  await until(() => mute.destroyed);
  // Positive control: who answers stays.
  assert.equal(agent.point.isConnected, true);
  assert.deepEqual(
    control.status().points.map(({ connected }) => connected),
    [true, false],
  );
});
