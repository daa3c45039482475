import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import {
  childEnvironment,
  claimState,
  isListening,
  openRoster,
  startChild,
  SuperviseError,
  type Child,
  type ChildSpec,
} from '#service/supervise';
import { BackOff } from './back-off.ts';
import { LineSplitter } from './line-splitter.ts';
import { LogFile } from './log-file.ts';
import { startOf } from './process-age.ts';
import { isGroupAlive } from './process-group.ts';

const directory = await mkdtemp(join(tmpdir(), 'ringwall-supervise-'));
const children: Child[] = [];
after(async () => {
  await Promise.all(children.map(child => child.stop()));
  await rm(directory, { recursive: true });
});

test('startChild() is ready once the port answers, and stop() frees it', async () => {
  const port = await freePort();
  const child = run({
    command: node(`setTimeout(() => require('net').createServer().listen(${port}, '127.0.0.1'), 100)`),
    listens: at(port),
  });
  assert.equal(child.state, 'starting');
  await child.ready(5000);
  assert.equal(child.state, 'ready');
  assert.equal(await isListening('127.0.0.1', port, 500), true);
  await child.stop();
  assert.equal(await isListening('127.0.0.1', port, 500), false);
});

test('startChild() gives the child its own environment and nothing of ours', async () => {
  const child = run({
    command: node('console.log(JSON.stringify(process.env)); setInterval(() => {}, 1000)'),
    env: { ONLY: 'this' },
  });
  await child.ready(2000);
  await until(async () => (await logOf(child)).includes('ONLY'));
  const logged = JSON.parse((await logOf(child)).split(' out ')[1] ?? '') as Record<string, string>;
  assert.deepEqual(logged, { ONLY: 'this' });
  await child.stop();
});

test('startChild() hands over its input line and later lines', async () => {
  const child = run({ command: node('process.stdin.pipe(process.stdout)'), input: () => '{"first":1}' });
  child.send('second');
  await until(async () => (await logOf(child)).includes('second'));
  assert.match(await logOf(child), /out \{"first":1\}\n.* out second/);
  await child.stop();
});

test('ready() rejects when the child ends before it listens, with its last error', async () => {
  const child = run({ command: node("throw new Error('no database')"), listens: at(1) });
  await assert.rejects(child.ready(20_000), {
    code: 'exited',
    message: /exited with code 1 before it was ready; it said: .*no database/,
  });
  assert.equal(child.restarts, 2);
  assert.equal(child.state, 'stopped');
});

test('ready() rejects when the child never listens, and stops it', async () => {
  const child = run({ command: node('setInterval(() => {}, 1000)'), listens: at(await freePort()) });
  const pid = child.pid ?? assert.fail();
  await assert.rejects(child.ready(300), { code: 'not-ready' });
  await child.stop();
  assert.equal(isGroupAlive(pid), false);
});

test('ready() rejects a program that does not exist, naming it', async () => {
  const child = run({ command: ['no-such-program-of-any-name'] });
  await assert.rejects(child.ready(1000), { code: 'not-started', message: /no-such-program-of-any-name/ });
});

test('ready() rejects a directory that does not exist', async () => {
  const child = run({ command: node(''), directory: join(directory, 'absent') });
  await assert.rejects(child.ready(1000), SuperviseError);
});

test('a child that crashes once it was ready is started again', async () => {
  const port = await freePort();
  const pids: number[] = [];
  const child = run({
    command: node(`require('net').createServer().listen(${port}, '127.0.0.1')`),
    listens: at(port),
    onStart: pid => pids.push(pid),
  });
  await child.ready(5000);
  process.kill(child.pid ?? assert.fail(), 'SIGKILL');
  await until(() => Promise.resolve(child.restarts === 1 && child.state === 'ready'));
  assert.equal(new Set(pids).size, 2);
  await child.stop();
});

test('stop() kills a child that does not hear SIGTERM, and what it started', async () => {
  const script = `
    process.on('SIGTERM', () => {});
    const child = require('child_process').spawn(process.execPath, ['-e', "process.on('SIGTERM', () => {}); console.log('deaf'); setInterval(() => {}, 1000)"], { stdio: 'inherit' });
    console.log(child.pid); setInterval(() => {}, 1000)`;
  const child = run({ command: node(script), stopGraceMs: 300 });
  await until(async () => (await logOf(child)).includes('deaf'));
  const grandchild = Number(/out (\d+)/.exec(await logOf(child))?.[1]);
  assert.notEqual(await startOf(grandchild), undefined);
  await child.stop();
  assert.equal(await startOf(grandchild), undefined);
});

test('stop() during the pause before a restart starts nothing', async () => {
  const child = run({ command: node('process.exit(3)'), listens: at(1) });
  await until(() => Promise.resolve(child.state === 'waiting'));
  await child.stop();
  const { restarts } = child;
  await sleep(400);
  assert.equal(child.restarts, restarts);
});

test('BackOff doubles up to 30 s and starts anew after a healthy run', () => {
  const backOff = new BackOff();
  assert.deepEqual(
    Array.from({ length: 9 }, () => backOff.next(100)),
    [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000],
  );
  assert.equal(backOff.next(20_000), 250);
});

test('childEnvironment() leaves out what is not named', () => {
  const outer = {
    PATH: '/bin',
    HOME: '/root',
    AWS_SECRET_ACCESS_KEY: 'x',
    NODE_OPTIONS: '--inspect',
    LD_PRELOAD: 'y',
  };
  assert.deepEqual(childEnvironment(outer, { PORT: '1' }, '/node/bin'), {
    HOME: '/root',
    PATH: '/node/bin:/bin',
    PORT: '1',
  });
});

test('childEnvironment() lets the declared win', () => {
  assert.equal(childEnvironment({ TZ: 'UTC' }, { TZ: 'Europe/Zurich' }, '/n')['TZ'], 'Europe/Zurich');
});

test('LineSplitter cuts at newlines wherever chunks end, and bounds what it holds', () => {
  const lines: string[] = [];
  const splitter = new LineSplitter(line => lines.push(line));
  for (const chunk of ['a', 'b\nc\n\n', 'd']) splitter.write(Buffer.from(chunk));
  splitter.end();
  assert.deepEqual(lines, ['ab', 'c', '', 'd']);
  splitter.write(Buffer.alloc(20_000, 'x'));
  splitter.end();
  assert.ok(lines.every(line => line.length <= 8192));
  assert.equal(lines.slice(4).join('').length, 20_000);
});

test('LogFile keeps two files of bounded size', async () => {
  const path = join(directory, 'rotating.log');
  const file = new LogFile(path, 1000);
  for (let round = 0; round < 40; round += 1) {
    file.write('x'.repeat(99));
    await sleep(1);
  }
  await file.close();
  assert.ok((await stat(path)).size <= 2000);
  assert.ok((await stat(`${path}.1`)).size <= 2000);
});

test('LogFile survives a directory that is gone', async () => {
  const file = new LogFile(join(directory, 'gone', 'x.log'));
  file.write('x');
  await file.close();
});

test('claimState() is exclusive while its process lives', async () => {
  const claim = await claimState(directory);
  await assert.rejects(claimState(directory), {
    code: 'state-in-use',
    message: new RegExp(String(process.pid)),
  });
  await claim.release();
  await (await claimState(directory)).release();
});

for (const { name, content } of [
  { name: 'of a process that is gone', content: JSON.stringify({ pid: 4_000_000, started: 'x' }) },
  {
    name: 'whose process id was used again',
    content: JSON.stringify({ pid: process.pid, started: 'earlier' }),
  },
  { name: 'that was cut short', content: '{"pid":' },
  { name: 'that is empty', content: '' },
]) {
  test(`claimState() takes over a claim ${name}`, async () => {
    await writeFile(join(directory, 'lock'), content);
    await (await claimState(directory)).release();
  });
}

test('openRoster() ends what a crashed run left, and only that', async () => {
  const state = await mkdtemp(join(directory, 'roster-'));
  const [left, other] = [sleeper(), sleeper()];
  await Promise.all([once(left, 'spawn'), once(other, 'spawn')]);
  const roster = await openRoster(state);
  await roster.add(left.pid ?? assert.fail());
  const path = join(state, 'processes.json');
  const entries = JSON.parse(await readFile(path, 'utf8')) as object[];
  // The same id at another time: somebody else's process.
  await writeFile(path, JSON.stringify([...entries, { pid: other.pid, started: 'another boot/1' }]));
  const ended = once(left, 'exit');
  let found = 0;
  await openRoster(state, count => (found = count));
  await ended;
  assert.equal(found, 1);
  assert.notEqual(await startOf(other.pid ?? 0), undefined);
  other.kill('SIGKILL');
});

function sleeper() {
  return spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' });
}

function run(spec: Partial<ChildSpec> & Pick<ChildSpec, 'command'>): Child {
  const name = `child-${children.length}`;
  const child = startChild(
    { name, directory, env: {}, logPath: join(directory, `${name}.log`), ...spec },
    { clock: systemClock, log: silentLog },
  );
  children.push(child);
  return child;
}

function node(script: string): [string, ...string[]] {
  return [process.execPath, '-e', script];
}

function at(port: number) {
  return { host: '127.0.0.1', port };
}

async function logOf(child: Child): Promise<string> {
  return readFile(join(directory, `${child.name}.log`), 'utf8').catch(() => '');
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 8000;
  while (!(await condition())) {
    assert.ok(performance.now() < end, 'waited too long');
    await sleep(20);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  server.close();
  await once(server, 'close');
  return address.port;
}
