import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { ReadyFile } from '#app/up';
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

/** `ringwall apply` on a system whose services are real processes. */

/** Listens after a while, and after what it needs has answered; answers with its environment. */
const SERVICE = `
const { createServer } = require('http');
const { DELAY, HOST, NEEDS, PORT } = process.env;
const server = createServer((request, response) => response.end(JSON.stringify(process.env)));
const open = async () => {
  if (NEEDS) {
    if (!process.env[NEEDS]) throw new Error('no ' + NEEDS);
    const { status } = await fetch(process.env[NEEDS] + '/products');
    if (status !== 200) throw new Error(NEEDS + ' answers ' + status);
  }
  server.listen(PORT, HOST);
};
setTimeout(() => open().catch(error => { console.error(error); process.exit(1); }), Number(DELAY ?? 0));
`;

const [edgePort, issuerPort] = await Promise.all([freePort(), freePort()]);
const root = await realpath(await mkdtemp(join(tmpdir(), 'ringwall-apply-')));
let run: Run;
let ready: ReadyFile;

before(async () => {
  await writeFile(join(root, 'service.cjs'), SERVICE);
  await writeFile(join(root, 'model.yaml'), model());
  run = await start(root, ['model.yaml']);
  ready = await whenReady(run, root);
});
after(async () => {
  await endAll();
  await rm(root, { recursive: true, force: true });
});

describe('ringwall apply', () => {
  test('starts a new service before anything leads to it, although it is slow', async () => {
    const seen = await whileAsking(['/', '/mail'], async () => {
      const { code, out, err } = await apply({ mail: { delayMs: 1200 } });
      assert.equal(code, 0, err);
      assert.match(out, /^applied at 2 points in \d+ ms\n {2}started: mail\n$/);
      assert.equal((await ask(ready, '/mail')).status, 200, 'at once');
    });
    assert.deepEqual(seen.get('/'), new Set([200]));
    assert.deepEqual(seen.get('/mail'), new Set([404, 200]));
  });

  test('ends a service after nothing leads to it any more', async () => {
    const { pid = 0 } = (await current()).services['mail'] ?? {};
    const seen = await whileAsking(['/', '/mail'], async () => {
      const { code, out } = await apply({});
      assert.equal(code, 0);
      assert.match(out, /^applied at 2 points in \d+ ms\n {2}ended: mail\n$/);
    });
    assert.deepEqual(seen.get('/'), new Set([200]));
    assert.deepEqual(seen.get('/mail'), new Set([200, 404]));
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
    assert.deepEqual(Object.keys((await current()).services), ['front', 'catalog']);
  });

  test('lets a new service make its calls before it listens', async () => {
    const { code, err } = await apply({ mail: { needs: 'CATALOG_URL', calls: 'catalog: [GET /products]' } });
    assert.equal(code, 0, err);
    assert.equal((await ask(ready, '/mail')).status, 200);
    await apply({});
  });

  test('starts a service anew that may call another one more, and leaves it when it may call one less', async () => {
    const pid = async () => (await current()).services['front']?.pid;
    const first = await pid();
    const more = await apply({ mail: {}, front: '      mail: [POST /messages]\n' });
    assert.match(more.out, /\n {2}started: mail\n {2}started anew: front\n$/);
    assert.notEqual(await pid(), first);
    assert.ok('MAIL_URL' in (JSON.parse((await ask(ready, '/')).body) as object));
    const second = await pid();
    const seen = await whileAsking(['/'], async () => {
      const fewer = await apply({});
      assert.match(fewer.out, /^applied at 2 points in \d+ ms\n {2}ended: mail\n$/);
    });
    assert.deepEqual(seen.get('/'), new Set([200]));
    assert.equal(await pid(), second);
  });

  test('changes nothing when a new service does not start, and says where its log is', async () => {
    const before = await current();
    const seen = await whileAsking(['/', '/mail'], async () => {
      const { code, err } = await apply({ mail: { needs: 'NOWHERE_URL' } });
      assert.equal(code, 1);
      assert.match(
        err,
        /^ringwall: `mail` exited with code 1 before it was ready; it said: Error: no .*; its log is (.*)\nnothing was changed\n$/,
      );
      const [, log = ''] = /its log is (.*)\n/.exec(err) ?? [];
      assert.match(await readFile(log, 'utf8'), /NOWHERE_URL/);
    });
    assert.deepEqual(seen.get('/'), new Set([200]));
    assert.deepEqual(seen.get('/mail'), new Set([404]));
    assert.deepEqual((await current()).services, before.services);
    assert.equal((await apply({})).code, 0);
  });

  for (const { name, mail, says } of [
    {
      name: 'has no `run:`',
      mail: { run: '' },
      says: /^ringwall: 1 of 3 services have no `run:`[^\n]*\n {2}next\.yaml:\d+:\d+: mail\nadd `run:` to each;[^\n]*\nnothing was changed\n$/,
    },
    {
      name: 'names a program that is not there',
      mail: { run: 'run: nod service.cjs' },
      says: /^ringwall: next\.yaml:\d+:\d+: `mail` cannot be started: there is no program `nod` on the PATH\nnothing was changed\n$/,
    },
  ]) {
    test(`refuses a model whose new service ${name}`, async () => {
      const { code, err } = await apply({ mail });
      assert.equal(code, 1);
      assert.match(err, says);
      assert.equal((await ask(ready, '/')).status, 200);
    });
  }

  test('starts a local issuer, and ends it', async () => {
    assert.equal((await ringwall('token', '--user', 'ada')).code, 1);
    const added = await apply({ issuer: issuerPort });
    assert.equal(added.code, 0, added.err);
    const token = (await ringwall('token', '--user', 'ada')).out.trim();
    const authorization = `Bearer ${token}`;
    assert.equal((await ask(ready, '/mine')).status, 401);
    assert.equal((await ask(ready, '/mine', { authorization })).status, 200);
    assert.equal((await current()).issuer, `http://127.0.0.1:${issuerPort}`);
    assert.equal((await apply({})).code, 0);
    assert.equal((await current()).issuer, null);
    await assert.rejects(fetch(`http://127.0.0.1:${issuerPort}/jwks`));
  });

  test('says which key to change when the port of a new issuer is taken, and changes nothing', async t => {
    const taken = createServer().listen(issuerPort, '127.0.0.1');
    await once(taken, 'listening');
    t.after(() => taken.close());
    const { code, err } = await apply({ issuer: issuerPort, mail: {} });
    assert.equal(code, 1);
    assert.match(err, /^ringwall: next\.yaml:5:7: port \d+ .*the issuer's `port:`\nnothing was changed\n$/);
    assert.equal((await ask(ready, '/mail')).status, 404);
  });

  test('of the same services takes less than a second', async t => {
    const sinceMs = performance.now();
    const { code, out } = await apply({ limit: '999/s per client' });
    t.diagnostic(
      `${(performance.now() - sinceMs).toFixed(0)} ms with the start of the command; ${out.trim()}`,
    );
    assert.equal(code, 0);
    const [, tookMs = ''] = /^applied at 2 points in (\d+) ms\n$/.exec(out) ?? assert.fail(out);
    assert.ok(Number(tookMs) < 1000);
  });

  test('waits for nothing when the system ends', async () => {
    const applied = apply({ mail: { delayMs: 20_000 } });
    await until(async () => readFile(join(root, '.ringwall/logs/mail.log')).then(() => true));
    await new Promise(resolve => setTimeout(resolve, 500));
    const sinceMs = performance.now();
    await stop(run);
    assert.ok(performance.now() - sinceMs < 10_000);
    assert.notEqual((await applied).code, 0);
    assert.equal(await readReady(root), undefined);
  });
});

async function current(): Promise<ReadyFile> {
  return (await readReady(root)) ?? assert.fail();
}

/** The statuses of all answers, by path. */
async function whileAsking(
  paths: readonly string[],
  work: () => Promise<void>,
): Promise<Map<string, Set<number>>> {
  const seen = new Map(paths.map(path => [path, new Set<number>()]));
  const load = everyFewMs(async () => {
    for (const [path, statuses] of seen) {
      statuses.add((await ask(ready, path).catch(() => ({ status: 0 }))).status);
    }
  });
  await new Promise(resolve => setTimeout(resolve, 100));
  await work();
  await new Promise(resolve => setTimeout(resolve, 100));
  load.end();
  await load.ended;
  return seen;
}

type Ran = { readonly code: number; readonly out: string; readonly err: string };

async function apply(variation: Variation): Promise<Ran> {
  await writeFile(join(root, 'next.yaml'), model(variation));
  return ringwall('apply', 'next.yaml');
}

async function ringwall(...args: string[]): Promise<Ran> {
  return new Promise(resolve => {
    execFile(process.execPath, [PROGRAM, ...args], { cwd: root }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err });
    });
  });
}

type Variation = {
  readonly mail?: {
    readonly delayMs?: number;
    readonly needs?: string;
    readonly calls?: string;
    readonly run?: string;
  };
  /** More lines of `calls`. */
  readonly front?: string;
  readonly issuer?: number;
  readonly limit?: string;
};

function model({ front = '', issuer, limit = '1000/s per client', mail }: Variation = {}): string {
  const { calls = '', delayMs = 0, needs = '' } = mail ?? {};
  const runMail =
    mail?.run ?? `run: { command: node service.cjs, env: { DELAY: ${delayMs}, NEEDS: "${needs}" } }`;
  return [
    'apiVersion: ringwall.dev/v1\nsystem: tiny\ntrustDomain: tiny.internal\n',
    issuer === undefined
      ? ''
      : `users: { issuers: [\n      { name: shop, issuer: local, audience: tiny, port: ${issuer} } ] }\n`,
    `edge:\n  listen: https ${edgePort}\n  hosts:\n    shop.tiny.test:\n`,
    `      - { path: /, methods: [GET], to: front, clients: [anonymous], limits: [${limit}] }\n`,
    mail === undefined
      ? ''
      : '      - { path: /mail, methods: [GET], to: mail, clients: [anonymous], limits: [1000/s per client] }\n',
    issuer === undefined
      ? ''
      : '      - { path: /mine, methods: [GET], to: front, clients: [user], limits: [100/s per user] }\n',
    'services:\n  front:\n    data: internal\n    listen: http 8080\n    run: node service.cjs\n',
    `    calls:\n      catalog: [GET /products]\n${front}`,
    '  catalog: { data: internal, listen: http 8080, run: node service.cjs }\n',
    mail === undefined
      ? ''
      : `  mail:\n    data: internal\n    listen: http 8080\n    ${runMail}\n${calls === '' ? '' : `    calls:\n      ${calls}\n`}`,
  ].join('');
}
