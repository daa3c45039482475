import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ReadyFile } from '#app/up';

const PROGRAM = fileURLToPath(new URL('../../bin/ringwall', import.meta.url));
const UP_WITHIN_MS = 40_000;

const root = await realpath(await mkdtemp(join(tmpdir(), 'ringwall-up-')));
const [edgePort, issuerPort] = await Promise.all([freePort(), freePort()]);
const running = new Set<Run>();
after(async () => {
  for (const run of running) run.child.kill('SIGKILL');
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

  for (const { name, options, code, says } of [
    {
      name: 'a service that fails',
      options: [],
      code: 69,
      says: /`front` exited with code 1 before it was ready; it said: Error: no database/,
    },
    {
      name: 'a port that is taken',
      options: ['--port', 'TAKEN'],
      code: 73,
      says: /port \d+ is taken by another process; stop it, or choose one with --port/,
    },
  ]) {
    test(`ends with one message and leaves nothing: ${name}`, async () => {
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
      assert.equal(await readReady(directory), undefined);
      const { stdout } = await promisify(execFile)('ps', ['-eo', 'args']);
      assert.ok(!stdout.includes(directory), 'no process knows the directory');
      taken.close();
    });
  }

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

type Run = {
  readonly child: ChildProcessWithoutNullStreams;
  readonly output: () => string;
  readonly errors: () => string;
  readonly exitCode: Promise<number | null>;
};

async function start(
  directory: string,
  options: readonly string[],
  env: Record<string, string> = {},
): Promise<Run> {
  const child = spawn(process.execPath, [PROGRAM, 'up', ...options], {
    cwd: directory,
    env: { ...process.env, ...env },
  });
  const output = collect(child.stdout);
  const errors = collect(child.stderr);
  const exitCode = once(child, 'close').then(([code]) => code as number | null);
  const run = { child, output, errors, exitCode };
  running.add(run);
  void exitCode.then(() => running.delete(run));
  await once(child, 'spawn');
  return run;
}

async function stop(run: Run): Promise<void> {
  run.child.kill('SIGINT');
  await run.exitCode;
}

async function whenReady(run: Run, directory: string): Promise<ReadyFile> {
  let ended = false;
  void run.exitCode.then(() => (ended = true));
  await until(
    async () => ended || (run.output().includes(' is up: ') && (await readReady(directory)) !== undefined),
  );
  assert.equal(ended, false, run.errors());
  return (await readReady(directory)) ?? assert.fail();
}

async function readReady(directory: string): Promise<ReadyFile | undefined> {
  const text = await readFile(join(directory, '.ringwall', 'ready.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as ReadyFile);
}

async function applyModel(name: string, text: string): Promise<void> {
  await promisify(execFile)(process.execPath, [PROGRAM, 'apply', await writeModel(name, text)], {
    cwd: root,
  });
}

async function writeModel(name: string, text: string): Promise<string> {
  await writeFile(join(root, name), text);
  return name;
}

async function ask(
  ready: ReadyFile,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(ready.gateway);
  const [host] = ready.hosts;
  const outgoing = request({
    host: hostname,
    port,
    path,
    servername: host ?? '',
    headers: { host: host ?? '', ...headers },
    ca: await readFile(ready.ca, 'utf8'),
    agent: false,
    timeout: 10_000,
  });
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, body: (await response.toArray()).map(String).join('') };
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return () => text;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + UP_WITHIN_MS;
  while (!(await condition())) {
    assert.ok(performance.now() < end, 'it did not come to that in time');
    await sleep(50);
  }
}

function everyFewMs(work: () => Promise<void>): { end(): void; readonly ended: Promise<void> } {
  const stop = new AbortController();
  const ended = (async () => {
    while (!stop.signal.aborted) {
      await work();
      await sleep(5);
    }
  })();
  return { end: () => stop.abort(), ended };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

// Function declarations are hoisted, constants are not: these are used by hooks and tests only, which run later.
const HEAD = `apiVersion: ringwall.dev/v1
system: tiny
trustDomain: tiny.internal
`;

const MODEL = `${HEAD}
users:
  issuers:
    - { name: shop, issuer: local, audience: tiny, port: ${issuerPort} }
edge:
  listen: https ${edgePort}
  hosts:
    shop.tiny.test:
      - { path: /,        methods: [GET], to: front, clients: [anonymous], limits: [1000/s per client] }
      - { path: /cart/**, methods: [GET], to: front, clients: [user], scopes: [cart], limits: [100/s per user] }
services:
  front:
    data: internal
    listen: http 8080
    calls:
      catalog: [GET /products, GET /products/*]
      db: [connect]
  catalog: { data: internal, listen: http 8080 }
  db: { data: confidential, listen: tcp 5432 }
`;

const CHANGED = `${HEAD}
edge:
  listen: https ${edgePort}
  hosts:
    shop.tiny.test:
      - { path: /,     methods: [GET], to: front, clients: [anonymous], limits: [1000/s per client] }
      - { path: /mail, methods: [GET], to: mail,  clients: [anonymous], limits: [1000/s per client] }
services:
  front:
    data: internal
    listen: http 8080
    calls:
      catalog: [GET /products]
  catalog: { data: internal, listen: http 8080 }
  mail: { data: internal, listen: http 8080 }
`;

const RUNS = `${HEAD}
edge:
  listen: https ${edgePort}
  hosts:
    shop.tiny.test:
      - { path: /, methods: [GET], to: front, clients: [anonymous], limits: [1000/s per client] }
services:
  front:
    data: internal
    listen: http 8080
    run: { command: node service.cjs, env: { GREETING: hello } }
    calls:
      catalog: [GET /products]
  catalog: { data: internal, listen: http 8080, run: node service.cjs }
`;

const SERVICE = `
const { createServer, get } = require('http');
const uid = process.getuid();
require('fs').writeFileSync(process.env.DATA_DIR + '/uid', String(uid));
createServer((request, response) => {
  const answer = more => response.end(JSON.stringify({ env: process.env, uid, ...more }));
  if (process.env.CATALOG_URL === undefined) return answer({});
  get(process.env.CATALOG_URL + '/products', incoming => {
    let text = '';
    incoming.on('data', chunk => (text += chunk)).on('end', () => answer({ catalog: JSON.parse(text) }));
  });
}).listen(process.env.PORT, process.env.HOST);
`;

const DEAF = `${HEAD}
edge:
  listen: https ${edgePort}
  hosts:
    shop.tiny.test:
      - { path: /, methods: [GET], to: deaf, clients: [anonymous], limits: [1000/s per client] }
services:
  deaf:
    data: internal
    listen: http 8080
    run:
      command:
        - node
        - -e
        - >-
          process.on('SIGTERM', () => {});
          require('http').createServer((_, response) => response.end()).listen(process.env.PORT, process.env.HOST);
`;

const FAILS = `${HEAD}
edge:
  listen: https ${edgePort}
  hosts:
    shop.tiny.test:
      - { path: /, methods: [GET], to: front, clients: [anonymous], limits: [1000/s per client] }
services:
  front:
    data: internal
    listen: http 8080
    run: node -e "throw new Error('no database')"
`;
