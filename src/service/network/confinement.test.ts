import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import {
  dataDirectoryOf,
  findBarriers,
  findPassage,
  openNetwork,
  type Ends,
  type Network,
} from '#service/network';
import { startChild, type Child } from '#service/supervise';
import { runTool } from './run-tool.ts';

const PROGRAM = fileURLToPath(new URL('../../../bin/ringwall', import.meta.url));
const MARK = 'secret-of-pay-4711';
const APP_PORT = 8080;

const root = await realpath(await mkdtemp(join(tmpdir(), 'ringwall-confined-')));
await chmod(root, 0o755);
const directory = join(root, 'state');
await mkdir(directory, { mode: 0o700 });
const probe = await openNetwork({ stateDirectory: directory });
const skip = probe.status.kind === 'enforced' ? false : `no network ring here: ${probe.status.why}`;
await probe.close();
after(() => rm(root, { recursive: true, force: true }));

describe('a service inside', { skip }, () => {
  let network: Network;
  let ends: ReadonlyMap<string, Ends>;
  let pay: Child;

  before(async () => {
    network = await openNetwork({ stateDirectory: directory });
    ends = await network.join(['front', 'pay']);
    await network.enforce(
      new Map(
        [...ends].map(([name, { serviceHost }]) => [
          name,
          {
            inbound: { host: '127.0.0.1', port: 14_000 },
            app: { host: serviceHost, port: APP_PORT },
            outbound: new Map(),
            egress: new Map(),
          },
        ]),
      ),
    );
    const host = ends.get('pay')?.serviceHost ?? '';
    pay = supervise(
      'pay',
      [process.execPath, '-e', `require('net').createServer(s => s.end('hello')).listen(${APP_PORT})`],
      {
        env: { MARK },
        listens: { host, port: APP_PORT },
      },
    );
    await pay.ready(20_000);
  });
  after(async () => {
    await pay.stop();
    await network.close();
  });

  test('sees no process but its own, and reads no environment and no memory', async () => {
    const pids = await pidsOf('pay');
    const look = sh(
      `
      for pid in "$@"; do
        [ -e /proc/$pid/ns ] && printf 'sees '
        { tr '\\0' '\\n' < /proc/$pid/environ | grep -q ${MARK}; } 2>/dev/null && printf 'reads '
        ( exec 3<> /proc/$pid/mem ) 2>/dev/null && printf 'opens '
      done; echo done`,
      ...pids,
    );
    // Positive control: a process of root outside does all of it.
    assert.match(await runOutside(look), /sees .*reads .*opens .*done/);
    assert.equal(await runInside('front', look), 'done\n');
  });

  for (const { name, path } of [
    { name: 'the switches of the kernel', path: '/proc/sys/kernel/core_pattern' },
    { name: 'the program of Ringwall', path: PROGRAM },
    { name: 'the state directory', path: join(directory, 'written') },
    { name: "another's data", path: join(dataDirectoryOf(directory, 'pay'), 'written') },
    { name: 'files of root', path: '/etc/passwd' },
  ]) {
    test(`cannot write ${name}`, async () => {
      const write = sh(': >> "$1" && echo opened', path);
      await assert.rejects(runInside('front', write), /Permission denied|Read-only file system|nonexistent/);
      assert.equal(await runOutside(write), 'opened\n', 'positive control');
    });
  }

  test('writes its data directory, which belongs to it alone', async () => {
    const file = join(dataDirectoryOf(directory, 'front'), 'kept');
    await runInside('front', sh('echo mine > "$1"', file));
    assert.equal(await readFile(file, 'utf8'), 'mine\n');
    const { uid, gid, mode } = await stat(dataDirectoryOf(directory, 'front'));
    assert.equal(await runInside('front', sh('id -u; id -G')), `${uid}\n${gid}\n`);
    assert.equal(mode & 0o777, 0o700);
    assert.notEqual(uid, (await stat(dataDirectoryOf(directory, 'pay'))).uid);
    assert.doesNotMatch(await readFile('/etc/passwd', 'utf8'), new RegExp(`:${uid}:`));
  });

  test('has no capability, and none that it could get', async () => {
    const status = await runInside('front', sh('grep -E "^(Cap|NoNewPrivs)" /proc/self/status'));
    assert.deepEqual(new Set(status.match(/\S+$/gm)), new Set(['0000000000000000', '1']));
  });

  test('binds a port below 1024 only when it declares one', async () => {
    const listen: Command = [
      process.execPath,
      '-e',
      "require('net').createServer().listen(80, function () { this.close(); console.log('bound') })",
    ];
    await assert.rejects(runInside('front', listen), /EACCES/);
    assert.equal(await runInside('front', listen, { port: 80 }), 'bound\n');
  });

  test('enters a directory that is shut to others only when it is let, and only in its own view', async () => {
    const folder = join(root, 'shut');
    await mkdir(join(folder, 'app'), { recursive: true });
    await chmod(join(folder, 'app'), 0o755);
    await chmod(folder, 0o700);
    const file = join(folder, 'app', 'program');
    await writeFile(file, 'text', { mode: 0o666 });
    await chmod(file, 0o666);
    await writeFile(join(folder, 'key'), 'text', { mode: 0o600 });
    await assert.rejects(runInside('front', ['cat', file]), /Permission denied/);
    const passage = await findPassage(await findBarriers(file));
    assert.deepEqual(passage, { kind: 'view', directory: folder });
    assert.equal(await runInside('front', ['cat', file], { passage }), 'text');
    await assert.rejects(runInside('front', ['cat', join(folder, 'key')], { passage }), /Permission denied/);
    await assert.rejects(runInside('front', sh(': >> "$1"', file), { passage }), /Read-only file system/);
    // Where it is started there, it stays there; and it keeps its data.
    const data = dataDirectoryOf(directory, 'front');
    const [program, ...args] = network.inside(
      'front',
      sh('cat program && : >> "$1" && echo ok', join(data, 'x')),
      {
        passage,
      },
    );
    const { stdout } = await promisify(execFile)(program, args, { cwd: join(folder, 'app') });
    assert.equal(stdout, 'textok\n');
    assert.match(await runInside('front', sh('grep CapEff /proc/self/status'), { passage }), /\t0{16}\n$/);
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
  });

  test('hides the state directory also where that lies in a directory that is opened', async () => {
    await chmod(root, 0o700);
    const passage = await findPassage(await findBarriers(root));
    try {
      assert.deepEqual(passage, { kind: 'view', directory: root });
      await writeFile(join(directory, 'secret'), 'x', { mode: 0o666 });
      await assert.rejects(
        runInside('front', ['cat', join(directory, 'secret')], { passage }),
        /No such file/,
      );
      const file = join(dataDirectoryOf(directory, 'front'), 'below');
      await runInside('front', sh('echo mine > "$1"', file), { passage });
      assert.equal(await readFile(file, 'utf8'), 'mine\n');
    } finally {
      await chmod(root, 0o755);
    }
  });

  test('reads every file when nothing else leads to its program, and writes none of them', async () => {
    const folder = join(root, 'private');
    await mkdir(folder, { mode: 0o700 });
    const file = join(folder, 'program');
    await writeFile(file, 'text', { mode: 0o600 });
    await assert.rejects(runInside('front', ['cat', file]), /Permission denied/);
    const passage = await findPassage(await findBarriers(file));
    assert.deepEqual(passage, { kind: 'reads-all-files' });
    assert.equal(await runInside('front', ['cat', file], { passage }), 'text');
    await assert.rejects(runInside('front', sh(': >> "$1"', file), { passage }), /Permission denied/);
  });

  test("is reached by its agent's user, and by no other user of the machine", async () => {
    const { serviceHost = '' } = ends.get('pay') ?? {};
    const ask: Command = [
      process.execPath,
      '-e',
      `require('net').connect({ host: '${serviceHost}', port: ${APP_PORT} }).on('data', data => { console.log(String(data)); process.exit() })
        .on('error', error => { console.log(error.code); process.exit() }).setTimeout(700, () => { console.log('silence'); process.exit() })`,
    ];
    assert.equal(await runOutside(ask), 'hello\n');
    const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--', ...ask] as const;
    assert.equal(await runOutside([...asNobody]), 'silence\n');
  });

  test('hands on its exit code', async () => {
    await assert.rejects(runInside('front', sh('exit 7')), { code: 7 });
    await assert.rejects(runInside('front', sh('kill -ABRT $$')), { code: 128 + 6 });
  });

  test('leaves no zombies of its orphans', async () => {
    const orphans = sh('for i in 1 2 3; do (sleep 0.05 &); done; sleep 0.4; cat /proc/[0-9]*/status');
    const states = (await runInside('front', orphans)).match(/^State:\s+\S/gm) ?? [];
    assert.ok(states.length > 1);
    assert.ok(!states.some(state => state.endsWith('Z')), states.join());
  });

  test('hears SIGTERM, and answers in its own way', async () => {
    const child = supervise('front', [
      process.execPath,
      '-e',
      "process.on('SIGTERM', () => { console.log('bye'); process.exit(0) }); setInterval(() => {}, 1000); console.log('up')",
    ]);
    await until(async () => (await logOf('front')).includes('up'));
    await stopWithin(child, 2000);
    assert.match(await logOf('front'), /out bye/);
    assert.deepEqual(await pidsOf('front'), []);
  });

  test('is ended by SIGTERM when it has no handler', async () => {
    const child = supervise('front', ['sleep', '1000']);
    await until(async () => (await commandsOf('front')).includes('sleep'));
    await stopWithin(child, 2000);
    assert.deepEqual(await pidsOf('front'), []);
  });

  test('is killed when it ignores SIGTERM, with what has fled its group', async () => {
    const script = `trap '' TERM; setsid sh -c "trap '' TERM; sleep 1000" & while :; do sleep 1; done`;
    const child = supervise('front', ['sh', '-c', script], { stopGraceMs: 300 });
    await until(async () => (await commandsOf('front')).filter(name => name === 'sleep').length === 2);
    const sinceMs = performance.now();
    await child.stop();
    assert.ok(performance.now() - sinceMs >= 300, 'it was given its time');
    assert.deepEqual(await pidsOf('front'), []);
  });

  test('what has fled its group outlives it outside (positive control)', async () => {
    const script = `setsid sleep 1000.25 & while :; do sleep 1; done`;
    const child = startChild(specOf('outside', ['sh', '-c', script]), { clock: systemClock, log: silentLog });
    const fled = async () => (await runTool('pgrep', ['-fx', 'sleep 1000.25']).catch(() => '')).trim();
    await until(async () => (await fled()) !== '');
    await child.stop();
    assert.notEqual(await fled(), '');
    process.kill(Number(await fled()), 'SIGKILL');
  });

  test('ends when its leader is killed, and is started again', async () => {
    const child = supervise('front', ['sleep', '1000']);
    await until(async () => (await commandsOf('front')).includes('sleep'));
    const before = await pidsOf('front');
    process.kill(child.pid ?? assert.fail(), 'SIGKILL');
    await until(async () => child.restarts === 1 && (await commandsOf('front')).includes('sleep'));
    const now = await pidsOf('front');
    assert.ok(!now.some(pid => before.includes(pid)), 'two generations at once');
    await child.stop();
  });

  function supervise(
    name: string,
    command: Command,
    more: Partial<Parameters<typeof startChild>[0]> = {},
  ): Child {
    return startChild(
      { ...specOf(name, network.inside(name, command)), ...more, env: { ...env(), ...more.env } },
      {
        clock: systemClock,
        log: silentLog,
      },
    );
  }

  async function runInside(name: string, command: Command, needs = {}): Promise<string> {
    return runOutside(network.inside(name, command, needs));
  }

  async function pidsOf(name: string): Promise<string[]> {
    const text = await runTool('ip', ['netns', 'pids', ends.get(name)?.namespace ?? '']);
    return text.split('\n').filter(line => line !== '');
  }

  async function commandsOf(name: string): Promise<string[]> {
    const names = (await pidsOf(name)).map(async pid =>
      readFile(`/proc/${pid}/comm`, 'utf8').catch(() => ''),
    );
    return (await Promise.all(names)).map(text => text.trim());
  }
});

test(
  'a service has the same user in the next run, and takes over what a run without namespaces left',
  { skip },
  async () => {
    const first = await openNetwork({ stateDirectory: directory });
    await first.join(['b', 'a']);
    const before = await usersOf('a', 'b');
    await first.close();
    const file = join(dataDirectoryOf(directory, 'c'), 'kept');
    await mkdir(dataDirectoryOf(directory, 'c'), { mode: 0o755 });
    await writeFile(file, 'x');
    await symlink('/etc/passwd', join(dataDirectoryOf(directory, 'c'), 'link'));
    const next = await openNetwork({ stateDirectory: directory });
    await next.join(['a', 'c', 'b']);
    await next.close();
    assert.deepEqual(await usersOf('a', 'b'), before);
    const all = await usersOf('a', 'b', 'c');
    assert.equal(new Set(all).size, 3);
    assert.equal((await stat(file)).uid, all[2]);
    assert.equal((await stat('/etc/passwd')).uid, 0);
    assert.equal((await stat(dataDirectoryOf(directory, 'c'))).mode & 0o777, 0o700);
  },
);

test('a data directory that was copied from another service gets a user of its own', { skip }, async () => {
  const first = await openNetwork({ stateDirectory: directory });
  await first.join(['x']);
  await first.close();
  const [uid = 0] = await usersOf('x');
  await mkdir(dataDirectoryOf(directory, 'y'));
  await chown(dataDirectoryOf(directory, 'y'), uid, uid);
  const next = await openNetwork({ stateDirectory: directory });
  await next.join(['x', 'y']);
  await next.close();
  assert.equal(new Set(await usersOf('x', 'y')).size, 2);
});

test('findBarriers() names what keeps others out, by every way', async () => {
  const base = await mkdtemp(join(root, 'barrier-'));
  await chmod(base, 0o755);
  await mkdir(join(base, 'open', 'inner'), { recursive: true });
  await mkdir(join(base, 'shut', 'inner'), { recursive: true });
  for (const path of ['open', 'open/inner', 'shut', 'shut/inner']) await chmod(join(base, path), 0o755);
  await writeFile(join(base, 'open', 'file'), '', { mode: 0o644 });
  await writeFile(join(base, 'open', 'mine'), '', { mode: 0o600 });
  await writeFile(join(base, 'shut', 'inner', 'file'), '', { mode: 0o644 });
  await chmod(join(base, 'shut'), 0o700);
  await symlink(join(base, 'shut', 'inner', 'file'), join(base, 'open', 'link'));
  await symlink(join(base, 'open', 'file'), join(base, 'shut', 'link'));
  const shut = join(base, 'shut');
  for (const { path, barriers } of [
    { path: 'open/file', barriers: [] },
    { path: 'open/inner', barriers: [] },
    { path: 'open/mine', barriers: [join(base, 'open', 'mine')] },
    { path: 'shut', barriers: [shut] },
    { path: 'shut/inner/file', barriers: [shut] },
    { path: 'open/link', barriers: [shut] },
    { path: 'shut/link', barriers: [shut] },
    { path: 'absent', barriers: [] },
  ]) {
    assert.deepEqual(await findBarriers(join(base, path)), barriers, path);
  }
});

for (const { name, barriers } of [
  { name: 'a file', barriers: [PROGRAM] },
  { name: 'more than one directory', barriers: [root, directory] },
  { name: 'a directory that the kernel would take for two', barriers: ['/tmp/a:b'] },
  { name: 'a directory with others mounted in it', barriers: ['/'] },
]) {
  test(`findPassage() has no view past ${name}`, async () => {
    assert.deepEqual(await findPassage(barriers), { kind: 'reads-all-files' });
  });
}

test('findPassage() changes nothing where nothing is in the way', async () => {
  assert.deepEqual(await findPassage([]), { kind: 'open' });
});

type Command = [string, ...string[]];

function sh(script: string, ...args: readonly string[]): Command {
  return ['sh', '-c', script, 'sh', ...args];
}

async function runOutside([file, ...args]: Command): Promise<string> {
  return (await promisify(execFile)(file, args)).stdout;
}

function env(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin' };
}

function specOf(name: string, command: Command) {
  return { name, command, directory: '/', env: env(), logPath: join(root, `${name}.log`) };
}

async function logOf(name: string): Promise<string> {
  return readFile(join(root, `${name}.log`), 'utf8').catch(() => '');
}

async function usersOf(...names: readonly string[]): Promise<number[]> {
  return Promise.all(names.map(async name => (await stat(dataDirectoryOf(directory, name))).uid));
}

async function stopWithin(child: Child, limitMs: number): Promise<void> {
  const sinceMs = performance.now();
  await child.stop();
  assert.ok(performance.now() - sinceMs < limitMs, 'it was killed, not asked');
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000;
  while (!(await condition())) {
    assert.ok(performance.now() < end, 'it does not happen');
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
