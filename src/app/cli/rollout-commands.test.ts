import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Command } from 'commander';
import { controlSocketPath } from '#service/control-client';
import type { ControlStatus, PointStatus } from '#service/control';
import { applyCommand } from './apply-command.ts';
import type { Finish } from './finish.ts';
import type { ExitCode, Io } from './io.ts';
import { restoreCommand } from './restore-command.ts';
import { revokeCommand } from './revoke-command.ts';
import { statusCommand } from './status-command.ts';

type Answer = { readonly status: number; readonly body: unknown };

/** A control that gives one answer to everything. */
async function fakeControl(t: TestContext, answer: Answer | undefined) {
  const directory = await mkdtemp(join(tmpdir(), 'rw-cli-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const calls: { method: string | undefined; path: string | undefined; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', chunk => (body += String(chunk)));
    request.on('end', () => {
      calls.push({ method: request.method, path: request.url, body });
      response.writeHead(answer?.status ?? 500).end(JSON.stringify(answer?.body));
    });
  });
  if (answer !== undefined) {
    await new Promise<void>(resolve => server.listen(controlSocketPath(directory), resolve));
    t.after(() => server.close());
  }
  const run = async (make: (io: Io, finish: Finish) => Command, ...args: string[]) => {
    const printed = { out: '', err: '', code: undefined as ExitCode | undefined };
    const io: Io = {
      out: text => (printed.out += text),
      err: text => (printed.err += text),
      cwd: directory,
      env: {},
      colour: false,
    };
    await make(io, code => (printed.code = code)).parseAsync([...args, '--state', '.'], { from: 'user' });
    return printed;
  };
  return { directory, calls, run };
}

const points = (...states: string[]) =>
  states.map((state, i) => ({
    point: `p${i}`,
    state,
    tookMs: state === 'applied' ? 10.2 * (i + 1) : undefined,
    message: 'port\u001b taken',
  }));
const done = (changed: boolean, ...states: string[]): Answer => ({
  status: 200,
  body: { kind: 'done', version: 7, changed, warnings: [], points: points(...states), tookMs: 99 },
});
const problem = (status: number, code: string, title: string, more = {}): Answer => ({
  status,
  body: { type: 'about:blank', title, status, code, ...more },
});
const MODEL =
  'apiVersion: ringwall.dev/v1\nsystem: a\ntrustDomain: a.test\nedge:\n  hosts:\n    a.test:\n      - { path: /, methods: [GET], to: web, clients: [anonymous] }\nservices:\n  web: { data: public, listen: http 80 }\n';

test('revoke prints the time to the last point', async t => {
  const { calls, run } = await fakeControl(t, done(true, 'applied', 'applied'));
  const { code, out } = await run(revokeCommand, 'payment');
  assert.deepEqual([code, out], [0, 'payment cut off at 2 points in 21 ms\n']);
  assert.deepEqual(calls, [{ method: 'POST', path: '/revoke', body: '{"service":"payment"}' }]);
});

test('revoke says at which points the service is not cut off, and exits 1', async t => {
  const { run } = await fakeControl(t, done(true, 'applied', 'lagging', 'rejected', 'disconnected'));
  const { code, out } = await run(revokeCommand, 'payment');
  assert.equal(code, 1);
  assert.match(
    out,
    /^payment cut off at 1 of 4 points in 11 ms\n {2}p1 has not applied it yet\n {2}p2 rejects it: `port\\u001b taken`\n {2}p3 is not connected/,
  );
});

test('restore and a revoke of what is revoked already', async t => {
  const { run } = await fakeControl(t, done(false, 'applied'));
  assert.match(
    (await run(revokeCommand, 'payment')).out,
    /^payment is cut off already at 1 point in 11 ms\n$/,
  );
  assert.match((await run(restoreCommand, 'payment')).out, /^payment is restored already at 1 point/);
});

test('revoke of a service that the model does not have exits 64', async t => {
  const { run } = await fakeControl(t, problem(404, 'unknown-service', 'the model has no service `x`'));
  const { code, err, out } = await run(revokeCommand, 'x');
  assert.deepEqual([code, err, out], [64, 'ringwall: the model has no service `x`\n', '']);
});

test('apply sends the model with its folder', async t => {
  const { calls, directory, run } = await fakeControl(t, done(true, 'applied', 'applied'));
  await writeFile(join(directory, 'ringwall.yaml'), MODEL);
  const { code, err, out } = await run(applyCommand);
  assert.deepEqual([code, err, out], [0, '', 'applied at 2 points in 21 ms\n']);
  assert.deepEqual(JSON.parse(calls[0]?.body ?? ''), { file: 'ringwall.yaml', directory, text: MODEL });
});

test('apply says which services it started and ended, and exits 1 for one that is not as it should be', async t => {
  const services = { started: ['mail'], restarted: ['front', 'api'], ended: [], faults: [] };
  const { body, status } = done(true, 'applied');
  const well = await fakeControl(t, { status, body: { ...(body as object), services } });
  await writeFile(join(well.directory, 'ringwall.yaml'), MODEL);
  const { code, out } = await well.run(applyCommand);
  assert.deepEqual(
    [code, out],
    [0, 'applied at 1 point in 11 ms\n  started: mail\n  started anew: front, api\n'],
  );

  const faulty = { ...services, faults: ['`front` exited with code 1'] };
  const ill = await fakeControl(t, { status, body: { ...(body as object), services: faulty } });
  await writeFile(join(ill.directory, 'ringwall.yaml'), MODEL);
  const outcome = await ill.run(applyCommand);
  assert.equal(outcome.code, 1);
  assert.match(outcome.out, /\n {2}`front` exited with code 1\n$/);
});

test('apply says that nothing was changed when a new service does not start', async t => {
  const { directory, run } = await fakeControl(t, problem(500, 'failed', '`mail` exited with code 1'));
  await writeFile(join(directory, 'ringwall.yaml'), MODEL);
  const { code, err } = await run(applyCommand);
  assert.deepEqual([code, err], [1, 'ringwall: `mail` exited with code 1\nnothing was changed\n']);
});

test('apply of a model that does not hold prints its problems, asks nobody and exits 64', async t => {
  const { calls, directory, run } = await fakeControl(t, done(true));
  await writeFile(join(directory, 'bad.yaml'), MODEL.replace('to: web', 'to: wbe'));
  const { code, err } = await run(applyCommand, 'bad.yaml');
  assert.equal(code, 64);
  assert.match(err, /^bad\.yaml:7:\d+: error: /);
  assert.match(err, /nothing was changed\n$/);
  assert.deepEqual(calls, []);
});

test('apply prints the problems that only control sees', async t => {
  const at = { file: 'ringwall.yaml', line: 2, column: 1 };
  const problems = [{ severity: 'error', code: 'malformed', message: 'not a system', at }];
  const { directory, run } = await fakeControl(
    t,
    problem(422, 'invalid-model', 'the model does not hold', { problems }),
  );
  await writeFile(join(directory, 'ringwall.yaml'), MODEL);
  const { code, err } = await run(applyCommand);
  assert.equal(code, 64);
  assert.match(err, /^ringwall\.yaml:2:1: error: not a system\n2 \| system: a\n/);
});

test('apply of a file that is not there exits 66', async t => {
  const { run } = await fakeControl(t, done(true));
  assert.equal((await run(applyCommand, 'none.yaml')).code, 66);
});

for (const [name, make, args] of [
  ['status', statusCommand, []],
  ['revoke', revokeCommand, ['x']],
  ['restore', restoreCommand, ['x']],
] as const) {
  test(`${name} exits 69 when nothing runs`, async t => {
    const { run } = await fakeControl(t, undefined);
    const { code, err } = await run(make, ...args);
    assert.equal(code, 69);
    assert.match(err, /no control plane runs/);
  });
}

const point: PointStatus = {
  name: 'gateway',
  kind: 'gateway',
  connected: true,
  appliedVersion: 7,
  wantedVersion: 7,
  lagMs: 0,
  rejected: '',
  unknownVersion: null,
  certificateNotAfterMs: Date.now() + 3_000_000,
  recordsBehind: 3,
  journalHealthy: true,
  lastSeenMs: 1,
};
const status = (...points: PointStatus[]): Answer => {
  const body: ControlStatus = {
    system: 'boutique',
    trustDomain: 'a.test',
    address: { host: '127.0.0.1', port: 1 },
    version: 7,
    model: 'sha256:0',
    revoked: ['payment'],
    adopted: [],
    points,
  };
  return { status: 200, body };
};

test('status shows every point and exits 0 when all are well', async t => {
  const { run } = await fakeControl(t, status(point));
  const { code, out } = await run(statusCommand);
  assert.equal(code, 0);
  assert.match(
    out,
    /^boutique \(a\.test\), version 7\n\nPOINT +KIND .*\ngateway +gateway +yes +7 +- +for 50 min +3\n\ncut off: payment\n$/,
  );
  assert.deepEqual(JSON.parse((await run(statusCommand, '--json')).out), status(point).body);
});

test('status shows who is away, behind, rejects or cannot write, and exits 1', async t => {
  const lagging = {
    ...point,
    appliedVersion: 6,
    lagMs: 1500,
    rejected: 'port\u001b taken',
    journalHealthy: false,
    certificateNotAfterMs: 1,
  };
  const { run } = await fakeControl(t, status(lagging, { ...point, name: 'agent', connected: false }));
  const { code, out } = await run(statusCommand);
  assert.equal(code, 1);
  assert.match(out, /gateway +gateway +yes +6 of 7 +2 s +expired/);
  assert.match(out, /agent +gateway +no/);
  assert.match(out, /gateway rejects version 7: `port\\u001b taken`/);
  assert.match(out, /gateway cannot write its records to disk/);
});

test('status shows what a restored control had lost, and exits 1 while a point has not shown it', async t => {
  const { body } = status({ ...point, unknownVersion: 9 });
  const adopted = [{ service: 'payment', point: 'agent' }];
  const { run } = await fakeControl(t, { status: 200, body: { ...(body as ControlStatus), adopted } });
  const { code, out } = await run(statusCommand);
  assert.equal(code, 1);
  assert.match(out, /gateway holds version 9, which this control does not know/);
  assert.match(out, /payment was cut off by a change that this control has lost; agent had it/);
});
