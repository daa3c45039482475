import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { FakeClock, systemClock } from '#base/clock';
import { createLog } from '#base/log';
import { Lab, modelOf, sourceOf, until } from './lab.ts';
import { converse, dial, enrolByHand, hello, lineOf } from './point-by-hand.ts';

const GATEWAY = { name: 'gateway', kind: 'gateway' } as const;
const AGENT = { name: 'agent', kind: 'agent' } as const;

async function running(t: TestContext, options: Parameters<Lab['startControl']>[0] = {}) {
  const lab = await Lab.open(t);
  const control = await lab.startControl(options);
  await control.apply(sourceOf(modelOf(2)));
  return { lab, control };
}

// Floods

/** Connections that never say a word. */
function flood(t: TestContext, lab: Lab, count: number): Socket[] {
  const sockets = Array.from({ length: count }, () =>
    connect({ ...lab.control.address }).on('error', () => {}),
  );
  t.after(() => sockets.forEach(socket => socket.destroy()));
  return sockets;
}

test('silent strangers are bounded, and a point enrols and stays among them', async t => {
  const lines: string[] = [];
  const write = (line: string) => lines.push(line);
  const log = createLog({ name: 'control', level: 'info', clock: systemClock, write });
  const { lab } = await running(t, { log });
  const gateway = await lab.startPoint(GATEWAY);
  await gateway.point.serving;
  const strangers = flood(t, lab, 600);
  await until(() => strangers.filter(({ destroyed }) => destroyed).length >= 600 - 256);
  const more = setInterval(() => flood(t, lab, 20), 10);
  try {
    const sinceMs = performance.now();
    const agent = await lab.startPoint(AGENT);
    await agent.point.serving;
    assert.ok(performance.now() - sinceMs < 3000);
  } finally {
    clearInterval(more);
  }
  assert.equal(gateway.point.isConnected, true);
  assert.ok(!lines.some(line => line.includes('point disconnected')));
});

test('strangers that finish the handshake and do not enrol are bounded, too', async t => {
  const { lab } = await running(t);
  const strangers: Socket[] = [];
  for (let batch = 0; batch < 15; batch++) {
    strangers.push(...(await Promise.all(Array.from({ length: 20 }, () => dial(lab)))));
  }
  t.after(() => strangers.forEach(socket => socket.destroy()));
  await until(() => strangers.filter(({ destroyed }) => destroyed).length >= 300 - 256);
  await enrolByHand(lab, AGENT);
});

test('guessing at join tokens gets one refusal a connection and leaves the good token good', async t => {
  const { lab, control } = await running(t);
  const config = lab.configOf(AGENT);
  const guess = lineOf({ kind: 'enrol', protocol: 1, name: 'agent', token: 'guess', request: 'r' });
  for (let i = 0; i < 50; i++) {
    const answers = await converse(lab, guess);
    assert.deepEqual(
      answers.map(({ kind }) => kind),
      ['enrolment-refused'],
    );
  }
  assert.equal(
    control.status().points.every(({ lastSeenMs }) => lastSeenMs === 0),
    true,
  );
  await lab.startPoint(AGENT, { config });
});

test('a point that reconnects for ever has one stream, and takes nothing from another', async t => {
  const { lab, control } = await running(t, { timings: { settleTimeoutMs: 300 } });
  const gateway = await lab.startPoint(GATEWAY);
  await gateway.point.serving;
  const pair = await enrolByHand(lab, AGENT);
  const sockets: Socket[] = [];
  t.after(() => sockets.forEach(socket => socket.destroy()));
  for (let i = 0; i < 300; i++) {
    const socket = await dial(lab, pair);
    socket.write(hello());
    sockets.push(socket);
  }
  await until(() => control.status().points[0]?.connected);
  await until(() => sockets.filter(({ destroyed }) => !destroyed).length === 1);
  assert.equal(control.status().points.length, 2);
  const outcome = await control.revoke('s1');
  assert.ok(outcome.kind === 'done');
  const reached = outcome.points.find(({ point }) => point === 'gateway');
  assert.ok(reached?.state === 'applied' && (reached.tookMs ?? Infinity) < 1000);
});

// Control's own certificate

test('control renews its certificate at half of its time, for days, and under a new issuing certificate', async t => {
  const clock = new FakeClock(Date.now());
  const { lab } = await running(t, { clock, timings: { heartbeatMs: 10 } });
  const shown = async () => {
    // The clock of TLS is the real one.
    const socket = connectTls({ ...lab.control.address, rejectUnauthorized: false });
    const { promise, resolve } = Promise.withResolvers<void>();
    socket.on('secureConnect', resolve).on('error', () => {});
    await promise;
    const leaf = socket.getPeerX509Certificate();
    socket.destroy();
    assert.ok(leaf?.issuerCertificate !== undefined);
    return {
      serial: leaf.serialNumber,
      endsMs: Date.parse(leaf.validTo),
      issuer: leaf.issuerCertificate.serialNumber,
    };
  };
  const first = await shown();
  clock.advance(29 * 60_000);
  await new Promise(resolve => setTimeout(resolve, 50));
  assert.equal((await shown()).serial, first.serial);
  let last = first;
  // A machine that sleeps for longer than the certificate lasts; days; the issuing certificate's last month.
  for (const advance of [2 * 60_000, 3 * 3_600_000, 72 * 3_600_000, 335 * 86_400_000]) {
    clock.advance(advance);
    let now = last;
    const deadlineMs = performance.now() + 5000;
    while (now.serial === last.serial && performance.now() < deadlineMs) now = await shown();
    assert.notEqual(now.serial, last.serial);
    assert.ok(now.endsMs > clock.nowMs() + 50 * 60_000);
    last = now;
  }
  assert.notEqual(last.issuer, first.issuer);
});
