import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { ReadyFile } from '#app/up';
import { MODEL, CHANGED, RUNS, SERVICE, DEAF, FAILS, edgePort, issuerPort } from './up-models.ts';
import {
  ask,
  endAll,
  everyFewMs,
  freePort,
  PROGRAM,
  readReady,
  start,
  stop,
  until,
  whenReady,
  type Run,
} from './up-lab.ts';

const root = await realpath(await mkdtemp(join(tmpdir(), 'ringwall-up-')));
after(async () => {
  await endAll();
  await rm(root, { recursive: true, force: true });
});

describe('ringwall up --stand-ins', () => {
  let run: Run;
  let ready: ReadyFile;

  before(async () => {
    run = await start(root, [await writeModel('model.yaml', MODEL), '--stand-ins']);
    ready = await whenReady(run, root);
  });
  after(async () => stop(run));

  test('says what is up, in time, and what is not as the model would have it', () => {
    assert.match(run.output(), /tiny is up: 3 services in \d+\.\d s/);
    assert.match(run.output(), /3 of 3 services are played by stand-ins/);
    assert.equal(run.output().includes('is not enforced'), ready.network.kind === 'not-enforced');
    assert.ok(!run.output().includes('\u001b') && !run.output().includes('\r'), 'no terminal, no colours');
  });

  test('writes where everything is', async () => {
    assert.equal(ready.gateway, `https://127.0.0.1:${edgePort}`);
    assert.deepEqual(ready.hosts, ['shop.tiny.test']);
    assert.equal(ready.issuer, `http://127.0.0.1:${issuerPort}`);
    assert.deepEqual(Object.keys(ready.services), ['front', 'catalog', 'db']);
    assert.deepEqual(
      ready.points.map(({ name, kind }) => `${name} ${kind}`),
      ['gateway gateway', 'agent agent'],
    );
    assert.match(await readFile(ready.ca, 'utf8'), /^-----BEGIN CERTIFICATE-----/);
  });

  test('carries a request from outside through every hop', async () => {
    const { status, body } = await ask(ready, '/');
    assert.equal(status, 200);
    const answer = JSON.parse(body) as {
      service: string;
      caller: string;
      calls: { callee: string; status: unknown }[];
    };
    assert.equal(answer.service, 'front');
    assert.equal(answer.caller, 'spiffe://tiny.internal/ns/ringwall/sa/gateway');
    assert.deepEqual(
      answer.calls.map(({ callee, status }) => [callee, status]),
      [
        ['catalog', 200],
        ['catalog', 200],
        ['db', 'connected'],
      ],
    );
  });

  test('refuses what is not declared', async () => {
    assert.equal((await ask(ready, '/undeclared')).status, 404);
    assert.equal((await ask(ready, '/', { host: 'other.test' })).status, 421);
    assert.equal((await ask(ready, '/cart/1')).status, 401);
  });

  test('`ringwall token` opens what is for users', async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [PROGRAM, 'token', '--user', 'ada', '--scope', 'cart'],
      { cwd: root },
    );
    const { status, body } = await ask(ready, '/cart/1', { authorization: `Bearer ${stdout.trim()}` });
    assert.equal(status, 200);
    assert.equal((JSON.parse(body) as { user: string }).user, 'ada');
  });

  test('a service reaches its own calls and nothing of its neighbours', async t => {
    const { front, catalog } = ready.services;
    if (front?.namespace === undefined || catalog === undefined) return t.skip('no network ring here');
    const probe = `
      const probe = (host, port) => new Promise(resolve => {
        const socket = require('net').connect({ host, port }, () => { socket.destroy(); resolve(true); });
        socket.on('error', () => resolve(false)).setTimeout(700, () => { socket.destroy(); resolve(false); });
      });
      Promise.all([probe('${front.app.host}', ${front.app.port}), probe('${catalog.app.host}', ${catalog.app.port}),
        probe('127.0.0.1', ${catalog.inbound.port})]).then(all => console.log(JSON.stringify(all)));`;
    const args = ['netns', 'exec', front.namespace, process.execPath, '-e', probe];
    const { stdout } = await promisify(execFile)('ip', args);
    assert.deepEqual(JSON.parse(stdout), [true, false, false]);
  });

  test('a second one on the same state is refused, and harms nothing', async () => {
    const second = await start(root, ['model.yaml', '--stand-ins', '--port', String(await freePort())]);
    assert.equal(await second.exitCode, 73);
    assert.match(second.errors(), /^ringwall: .* is used by another `ringwall up` \(process \d+\)\n$/);
    assert.equal((await ask(ready, '/')).status, 200);
  });

  test('a gateway or service that crashes comes back', async () => {
    process.kill(ready.pids['gateway'] ?? assert.fail(), 'SIGKILL');
    process.kill(ready.services['front']?.pid ?? assert.fail(), 'SIGKILL');
    await until(async () => (await ask(ready, '/').catch(() => undefined))?.status === 200);
    await until(async () => (await readReady(root))?.pids['gateway'] !== ready.pids['gateway']);
    assert.match(run.output(), /gateway was ended by SIGKILL; starts again/);
  });

  test('`ringwall apply` adds and removes services while requests go on', async () => {
    let failed = 0;
    const load = everyFewMs(async () => {
      const { status } = await ask(ready, '/').catch(() => ({ status: 0 }));
      if (status !== 200) failed += 1;
    });
    await applyModel('changed.yaml', CHANGED);
    await until(async () => (await ask(ready, '/mail').catch(() => undefined))?.status === 200);
    await until(
      async () => Object.keys((await readReady(root))?.services ?? {}).join() === 'front,catalog,mail',
    );
    await applyModel('model.yaml', MODEL);
    await until(
      async () => Object.keys((await readReady(root))?.services ?? {}).join() === 'front,catalog,db',
    );
    load.end();
    await load.ended;
    assert.equal(failed, 0);
    assert.equal((await ask(ready, '/mail')).status, 404);
  });

  test('keeps every file of the state directory to its owner, all but what services write themselves', async () => {
    const state = join(root, '.ringwall');
    const paths: string[] = [];
    for (const entry of await readdir(state, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (path.startsWith(join(state, 'data'))) continue;
      paths.push(relative(state, path));
      // Files come and go: `ready.json.new`, a bundle that is whole now.
      const found = await stat(path).catch(() => undefined);
      if (found === undefined) continue;
      assert.equal(found.mode & 0o777, entry.isDirectory() ? 0o700 : 0o600, path);
    }
    for (const path of [
      'ports.json',
      'ready.json',
      'ledger/index.db',
      'ledger/lock',
      'points/agent/journal/lock',
    ])
      assert.ok(paths.includes(path), path);
  });

  test('SIGTERM leaves the state directory and nothing else', async () => {
    const last = (await readReady(root)) ?? assert.fail();
    const pids = [...Object.values(last.pids), ...Object.values(last.services).map(({ pid = 0 }) => pid)];
    run.child.kill('SIGTERM');
    assert.equal(await run.exitCode, 0);
    assert.match(run.output(), /tiny is down\n$/);
    for (const pid of pids)
      assert.throws(
        () => process.kill(pid, 0),
        { code: 'ESRCH' },
        `process ${pid} of ${JSON.stringify(last)}`,
      );
    for (const name of ['ready.json', 'control.sock', 'lock', 'network.json', 'processes.json']) {
      await assert.rejects(access(join(root, '.ringwall', name)), { code: 'ENOENT' }, name);
    }
    const namespaces = Object.values(last.services).flatMap(({ namespace }) => namespace ?? []);
    if (namespaces.length > 0) {
      const { stdout } = await promisify(execFile)('ip', ['netns', 'list']);
      for (const namespace of namespaces) assert.ok(!stdout.includes(namespace), namespace);
    }
  });
});

describe('ringwall up', () => {
  test('ends what a killed run left, and comes up again', async () => {
    const model = await writeModel('model.yaml', MODEL);
    const first = await start(root, [model, '--stand-ins']);
    const left = await whenReady(first, root);
    first.child.kill('SIGKILL');
    await first.exitCode;
    process.kill(left.pids['gateway'] ?? assert.fail(), 0);
    const second = await start(root, [model, '--stand-ins']);
    await until(async () => (await readReady(root))?.pids['up'] === second.child.pid);
    assert.match(second.output(), /ending \d+ processes that an earlier run left behind/);
    assert.throws(() => process.kill(left.pids['gateway'] ?? 0, 0), { code: 'ESRCH' });
    assert.equal((await ask((await readReady(root)) ?? assert.fail(), '/')).status, 200);
    await stop(second);
  });

  test('runs services with their addresses in the environment, and none of ours', async () => {
    const directory = await mkdtemp(join(root, 'run-'));
    await writeFile(join(directory, 'service.cjs'), SERVICE);
    await writeFile(join(directory, 'model.yaml'), RUNS);
    const run = await start(directory, ['model.yaml', '--json', '--no-network'], {
      SECRET_OF_THE_SHELL: 'x',
    });
    await until(async () => run.output().endsWith('\n'));
    const ready = JSON.parse(run.output()) as ReadyFile;
    assert.deepEqual(ready.network, { kind: 'not-enforced', why: 'switched off by --no-network' });
    const { body } = await ask(ready, '/');
    const { env, catalog } = JSON.parse(body) as {
      env: Record<string, string>;
      catalog: { env: Record<string, string> };
    };
    assert.equal(env['HOST'], '127.0.0.1');
    assert.equal(env['DATA_DIR'], join(directory, '.ringwall', 'data', 'front'));
    assert.equal(env['HOME'], process.env['HOME']);
    assert.equal(env['GREETING'], 'hello');
    assert.equal(env['CATALOG_URL'], `http://${env['CATALOG_ADDR']}`);
    assert.equal(env['SECRET_OF_THE_SHELL'], undefined);
    assert.equal(catalog.env['CATALOG_URL'], undefined);
    await stop(run);
  });

  for (const { name, mode, fileMode, note } of [
    { name: 'in a folder that is open', mode: 0o755, fileMode: 0o644, note: undefined },
    {
      name: 'in a folder that is shut to other users, which it says',
      mode: 0o700,
      fileMode: 0o644,
      note: 'DIRECTORY is shut to other users: services behind it see it as open',
    },
    {
      name: 'from a file that is for its owner, which it says',
      mode: 0o755,
      fileMode: 0o600,
      note: 'DIRECTORY/service.cjs is shut to other users: services behind it run with the right to read all files',
    },
  ]) {
    test(`runs each service as a user of its own, with a place for its data, ${name}`, async t => {
      const directory = await realpath(await mkdtemp(join(tmpdir(), 'ringwall-up-data-')));
      t.after(async () => rm(directory, { recursive: true, force: true }));
      await chmod(directory, mode);
      await writeFile(join(directory, 'service.cjs'), SERVICE, { mode: fileMode });
      await writeFile(join(directory, 'model.yaml'), RUNS);
      const run = await start(directory, ['model.yaml', '--json']);
      t.after(async () => stop(run));
      await until(async () => run.output().endsWith('\n'));
      const ready = JSON.parse(run.output()) as ReadyFile;
      if (ready.network.kind === 'not-enforced') return t.skip('no network ring here');
      const { body } = await ask(ready, '/');
      const front = JSON.parse(body) as Seen & { catalog: Seen };
      for (const [service, seen] of Object.entries({ front, catalog: front.catalog })) {
        assert.equal(seen.env['DATA_DIR'], join(directory, '.ringwall', 'data', service));
        assert.equal(seen.env['HOME'], seen.env['DATA_DIR']);
        assert.equal(
          await readFile(join(directory, '.ringwall', 'data', service, 'uid'), 'utf8'),
          String(seen.uid),
        );
        assert.notEqual(seen.uid, 0);
      }
      assert.notEqual(front.uid, front.catalog.uid);
      const said = run.errors().match(/^ *(.* shut to other users.*)$/gm) ?? [];
      const expected = note === undefined ? [] : [`  ${note.replace('DIRECTORY', directory)}`];
      assert.deepEqual(said, expected);
    });
  }

  test('ends at once, and as cleanly, at a second signal', async () => {
    const directory = await mkdtemp(join(root, 'deaf-'));
    await writeFile(join(directory, 'model.yaml'), DEAF);
    const run = await start(directory, ['model.yaml']);
    await whenReady(run, directory);
    run.child.kill('SIGINT');
    await sleep(700);
    assert.equal(run.child.exitCode, null, 'it waits for the service, which does not hear it');
    const sinceMs = performance.now();
    run.child.kill('SIGINT');
    assert.equal(await run.exitCode, 0);
    assert.ok(performance.now() - sinceMs < 3000);
    await assert.rejects(access(join(directory, '.ringwall', 'network.json')), { code: 'ENOENT' });
  });

  for (const { name, options, code, says, left } of [
    {
      name: 'a service that fails',
      options: [],
      code: 69,
      says: /`front` exited with code 1 before it was ready; it said: Error: no database; its log is \S+\/logs\/front\.log/,
      left: ['logs'],
    },
    {
      name: 'a port that is taken',
      options: ['--port', 'TAKEN'],
      code: 73,
      says: /port \d+ is taken by another process; stop it, or choose one with --port/,
      left: undefined,
    },
  ]) {
    test(`ends with one message and leaves nothing but logs of services: ${name}`, async () => {
      const directory = await mkdtemp(join(root, 'fail-'));
      await writeFile(join(directory, 'model.yaml'), FAILS);
      const taken = createServer().listen(0, '127.0.0.1');
      await once(taken, 'listening');
      const port = String((taken.address() as AddressInfo).port);
      const run = await start(directory, [
        'model.yaml',
        ...options.map(option => (option === 'TAKEN' ? port : option)),
      ]);
      assert.equal(await run.exitCode, code);
      assert.match(run.errors(), new RegExp(`^ringwall: ${says.source}\n$`));
      taken.close();
      assert.deepEqual(await readdir(join(directory, '.ringwall')).catch(() => undefined), left);
      const { stdout } = await promisify(execFile)('ps', ['-eo', 'args']);
      assert.ok(!stdout.includes(directory), 'no process knows the directory');
    });
  }

  test('that fails leaves the state of an earlier run as it is', async () => {
    const directory = await mkdtemp(join(root, 'again-'));
    await writeFile(join(directory, 'model.yaml'), MODEL);
    const run = await start(directory, ['model.yaml', '--stand-ins']);
    await whenReady(run, directory);
    await stop(run);
    const state = join(directory, '.ringwall');
    const entries = async () => (await readdir(state)).sort();
    const [before, ca] = [await entries(), await readFile(join(state, 'ca.pem'), 'utf8')];
    await writeFile(join(directory, 'fails.yaml'), FAILS);
    assert.equal(await (await start(directory, ['fails.yaml'])).exitCode, 69);
    assert.deepEqual(await entries(), before);
    assert.equal(await readFile(join(state, 'ca.pem'), 'utf8'), ca);
  });

  for (const { name, path } of [
    { name: 'below /proc', path: '/proc/ringwall/state' },
    { name: 'that is part of /proc', path: '/proc/self' },
    { name: 'that is a file', path: 'model.yaml' },
    { name: 'below a file', path: 'model.yaml/state' },
  ]) {
    test(`refuses a state directory ${name}, at once`, async () => {
      const directory = await mkdtemp(join(root, 'state-'));
      await writeFile(join(directory, 'model.yaml'), MODEL);
      const run = await start(directory, ['model.yaml', '--stand-ins', '--state', path]);
      const late = setTimeout(() => run.child.kill('SIGKILL'), 15_000);
      assert.equal(await run.exitCode, 73);
      clearTimeout(late);
      assert.match(
        run.errors(),
        /^ringwall: \S+ cannot be used as state directory: [^\n]+; choose another one with --state\n$/,
      );
      assert.deepEqual(await readdir(directory), ['model.yaml']);
    });
  }

  test('--external lets a service run by itself, and tells it where to call', async t => {
    const directory = await mkdtemp(join(root, 'external-'));
    const port = await freePort();
    await writeFile(join(directory, 'service.cjs'), SERVICE);
    const model = RUNS.replace('run: { command: node service.cjs, env: { GREETING: hello } }', '');
    await writeFile(
      join(directory, 'model.yaml'),
      model.replace('listen: http 8080', `listen: http ${port}`),
    );
    const run = await start(directory, ['model.yaml', '--external']);
    const ready = await whenReady(run, directory);
    assert.match(
      run.output(),
      /note: front runs by itself and is expected at 127\.0\.0\.1:\d+; what it may call: \.ringwall\/env\/front\.env\n/,
    );
    assert.equal((await ask(ready, '/')).status, 502, 'it does not run yet');
    const variables = join(directory, '.ringwall/env/front.env');
    const data = await mkdtemp(join(directory, 'data-'));
    const env = { ...process.env, DATA_DIR: data };
    const front = spawn(process.execPath, [`--env-file=${variables}`, join(directory, 'service.cjs')], {
      env,
    });
    t.after(() => front.kill('SIGKILL'));
    await until(async () => (await ask(ready, '/')).status === 200);
    const { catalog } = JSON.parse((await ask(ready, '/')).body) as { catalog: Seen };
    assert.notEqual(catalog.env['PORT'], undefined);
    await stop(run);
    await assert.rejects(access(variables), { code: 'ENOENT' });
  });

  for (const { name, model, code, says } of [
    { name: 'a model with errors', model: 'system: x\n', code: 64, says: /model\.yaml:1:1/ },
    { name: 'no model', model: undefined, code: 66, says: /no file `model\.yaml`/ },
    {
      name: 'a gRPC service to run',
      model:
        'apiVersion: ringwall.dev/v1\nsystem: x\ntrustDomain: x.test\nservices:\n  a: { data: internal, listen: grpc 1, run: node x }\n',
      code: 64,
      says: /^ringwall: model\.yaml:5:\d+: `a` listens on grpc/,
    },
    {
      name: 'services that nobody starts',
      model: MODEL,
      code: 64,
      says: /^ringwall: 3 of 3 services have no `run:`, [^\n]+\n(?: {2}model\.yaml:\d+:3: (?:front|catalog|db)\n){3}add `run:` to each; or let `ringwall up --stand-ins` [^\n]+ `ringwall up --external` [^\n]+\n$/,
    },
    {
      name: 'programs that are not there',
      model: RUNS.replaceAll('node service.cjs', 'nod service.cjs'),
      code: 64,
      says: /^ringwall: model\.yaml:14:21: `front` cannot be started: there is no program `nod` on the PATH\nmodel\.yaml:17:\d+: `catalog` cannot be started: /,
    },
    {
      name: 'a directory that is not there',
      model: RUNS.replace('env: {', 'directory: gone, env: {'),
      code: 64,
      says: /^ringwall: model\.yaml:14:21: `front` cannot be started: there is no directory `\S+\/gone`\n$/,
    },
  ]) {
    test(`refuses ${name} before it makes a state directory`, async () => {
      const directory = await mkdtemp(join(root, 'refuse-'));
      if (model !== undefined) await writeFile(join(directory, 'model.yaml'), model);
      const run = await start(directory, ['model.yaml']);
      assert.equal(await run.exitCode, code);
      assert.match(run.errors(), says);
      await assert.rejects(access(join(directory, '.ringwall')), { code: 'ENOENT' });
    });
  }
});

/** What SERVICE answers. */
type Seen = { readonly env: Record<string, string>; readonly uid: number };

async function applyModel(name: string, text: string): Promise<void> {
  await promisify(execFile)(process.execPath, [PROGRAM, 'apply', await writeModel(name, text)], {
    cwd: root,
  });
}

async function writeModel(name: string, text: string): Promise<string> {
  await writeFile(join(root, name), text);
  return name;
}
