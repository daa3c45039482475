import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodeBase64Url } from '#base/bytes';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import { parseKey } from '#domain/merkle';
import type { ServicePlacement } from '#domain/compile';
import { parseModel, type Model, type Service } from '#domain/model';
import { openPortBook } from '#service/network';
import { openSealer } from '#service/sealed';
import { describeSystem } from './describe-system.ts';
import { openLedgerSigner } from './ledger-signer.ts';
import { LocalIssuers } from './local-issuers.ts';
import { createProgress } from './progress.ts';
import type { ReadyFile } from './ready-file.ts';
import { UpError } from './up-error.ts';

const opened: LocalIssuers[] = [];
const root = await mkdtemp(join(tmpdir(), 'ringwall-up-parts-'));
after(async () => {
  await Promise.all(opened.map(issuers => issuers.close()));
  await rm(root, { recursive: true });
});

test('openLedgerSigner() signs with the key whose public half it publishes, and keeps it', async () => {
  const directory = await mkdtemp(join(root, 'ledger-'));
  const sealer = await openSealer({ keyFile: join(directory, 'key'), whenMissing: 'create' });
  const signer = await openLedgerSigner(directory, sealer, 'tiny.internal');
  const { keyName, publicKey } = parseKey((await readFile(join(directory, 'ledger.pub'), 'utf8')).trim());
  assert.equal(keyName, 'tiny.internal/ledger');
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: encodeBase64Url(publicKey) },
    format: 'jwk',
  });
  const message = Buffer.from('tree head');
  assert.ok(verify(null, message, key, signer.sign(message)));
  assert.deepEqual((await openLedgerSigner(directory, sealer, 'tiny.internal')).publicKey, signer.publicKey);
  assert.equal((await stat(join(directory, 'ledger-key.sealed'))).mode & 0o077, 0);
});

test('openLedgerSigner() refuses the state of another trust domain and leaves it as it is', async () => {
  const directory = await mkdtemp(join(root, 'ledger-'));
  const sealer = await openSealer({ keyFile: join(directory, 'key'), whenMissing: 'create' });
  await openLedgerSigner(directory, sealer, 'tiny.internal');
  await assert.rejects(openLedgerSigner(directory, sealer, 'other.internal'), { code: 'other-trust-domain' });
  await openLedgerSigner(directory, sealer, 'tiny.internal');
});

test('LocalIssuers play the local issuer always and others with stand-ins only', async () => {
  const model = modelOf('local', 'https://id.tiny.test');
  for (const { standIns, played } of [
    { standIns: false, played: 1 },
    { standIns: true, played: 2 },
  ]) {
    const issuers = await openIssuers(standIns);
    await issuers.start(model);
    const urls = model.issuers.map(issuer => issuers.urlOf(issuer)).filter(url => url !== undefined);
    assert.equal(urls.length, played);
    for (const url of urls) {
      const document = (await (await fetch(`${url}/.well-known/openid-configuration`)).json()) as {
        issuer: string;
      };
      assert.equal(document.issuer, url);
    }
    assert.equal(issuers.source?.issuer, urls[0]);
    await issuers.close();
  }
});

test('LocalIssuers sign as they can, whatever the issuer that they play would do', async () => {
  const issuers = await openIssuers(true);
  const [issuer] = modelOf('https://id.tiny.test, algorithm: RS256').issuers;
  assert.ok(issuer !== undefined);
  assert.equal(issuers.algorithmOf(issuer), 'ES256');
  assert.equal((await openIssuers(false)).algorithmOf(issuer), 'RS256');
});

test('LocalIssuers tell services that may reach the issuer where it is, with credentials, and no other', async () => {
  const issuers = await openIssuers(false);
  const model = modelOf('local');
  await issuers.start(model);
  const { a, b } = Object.fromEntries(model.services);
  assert.ok(a !== undefined && b !== undefined);
  const variables = issuers.variablesOf(a, placeOf(a));
  assert.equal(variables['RINGWALL_ISSUER_URL'], 'http://10.0.0.1:15001');
  assert.deepEqual(issuers.variablesOf(b, placeOf(b)), {});
  const basic = `${variables['RINGWALL_ISSUER_CLIENT_ID']}:${variables['RINGWALL_ISSUER_CLIENT_SECRET']}`;
  const ask = async (authorization: string) =>
    fetch(`${issuers.source?.issuer}/token`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
      body: 'grant_type=urn%3Aringwall%3Aparams%3Aoauth%3Agrant-type%3Alocal-user&username=ada&scope=cart',
    });
  assert.equal((await ask(`Basic ${Buffer.from(basic).toString('base64')}`)).status, 200);
  assert.equal((await ask(`Basic ${Buffer.from(`${basic}x`).toString('base64')}`)).status, 401);
  await issuers.close();
});

test('LocalIssuers follow a model: a first one, another port, other clients, none', async () => {
  const issuers = await openIssuers(false);
  await issuers.start(modelOf());
  const here = `http://127.0.0.1:${LOCAL_PORT}`;
  const there = `http://127.0.0.1:${LOCAL_PORT + 1}`;
  const source = () => issuers.source?.issuer;
  assert.equal(source(), undefined);
  const isUp = async (url: string) =>
    fetch(`${url}/jwks`).then(
      ({ ok }) => ok,
      () => false,
    );

  await issuers.start(modelOf('local'));
  await issuers.settle(modelOf('local'));
  assert.equal(source(), here);

  const moved = modelOf('local', { port: LOCAL_PORT + 1 });
  await issuers.start(moved);
  assert.deepEqual([await isUp(here), await isUp(there)], [true, true], 'both while points change over');
  await issuers.settle(moved);
  assert.deepEqual([await isUp(here), await isUp(there)], [false, true]);
  assert.equal(source(), there);

  await issuers.start(modelOf());
  assert.equal(await isUp(there), true);
  await issuers.settle(modelOf());
  assert.deepEqual([source(), await isUp(there)], [undefined, false]);
});

test('LocalIssuers let a new client in while they play, and one that is gone no more', async () => {
  const issuers = await openIssuers(false);
  const [without, with_] = [modelOf('local', { egress: false }), modelOf('local')];
  const client = with_.services.get('a') ?? assert.fail();
  await issuers.start(without);
  await issuers.start(with_);
  const variables = issuers.variablesOf(client, placeOf(client));
  const ask = async () => {
    const basic = `${variables['RINGWALL_ISSUER_CLIENT_ID']}:${variables['RINGWALL_ISSUER_CLIENT_SECRET']}`;
    const { status } = await fetch(`${issuers.source?.issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(basic).toString('base64')}` },
      body: new URLSearchParams({
        grant_type: 'urn:ringwall:params:oauth:grant-type:local-user',
        username: 'ada',
      }),
    });
    return status;
  };
  assert.equal(await ask(), 200);
  await issuers.start(without);
  assert.equal(await ask(), 200, 'until points have changed over');
  await issuers.settle(without);
  assert.equal(await ask(), 401);
});

test('LocalIssuers say which key of the model to change when the port is taken', async t => {
  const taken = createServer().listen(LOCAL_PORT + 2, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const issuers = await openIssuers(false);
  await assert.rejects(issuers.start(modelOf('local', { port: LOCAL_PORT + 2 })), error => {
    assert.ok(error instanceof UpError);
    assert.equal(error.code, 'port-taken');
    assert.match(
      error.message,
      /^m\.yaml:6:7: port \d+ .* the local issuer `i0`.*the issuer's `port:`, and the `egress` of a /,
    );
    return true;
  });
});

test('createProgress() writes plain lines where there is no terminal', () => {
  const text = progressOf(false);
  assert.equal(text, '  gateway                    1.50 s  https://127.0.0.1:4443\n  note\n');
});

test('createProgress() clears on a terminal what is no longer under way', () => {
  assert.match(progressOf(true), /^ {2}starting …\r\u001b\[K {2}gateway .*\n {2}note\n$/);
});

test('describeSystem() says what is missing: rings, stand-ins, services that nobody started', () => {
  const text = describeSystem(modelOf('local'), ready(), { elapsedMs: 1234, stateOption: 'my state' });
  assert.match(text, /tiny is up: 2 services in 1\.2 s/);
  assert.match(text, / ringwall prove --state 'my state'/);
  assert.ok(!text.includes('npx'));
  assert.match(
    text,
    /curl --cacert \S+ --resolve shop\.tiny\.test:4443:127\.0\.0\.1 https:\/\/shop\.tiny\.test:4443\/p\//,
  );
  assert.match(text, /note: the network ring is not enforced: needs root/);
  assert.match(text, /note: 1 of 2 services are played by stand-ins/);
  assert.match(
    text,
    /note: b runs by itself and is expected at 127\.0\.0\.1:81; what it may call: \/s\/env\/b\.env/,
  );
});

test('describeSystem() adds no note where all is as declared', () => {
  const all = ready();
  const enforced: ReadyFile = {
    ...all,
    network: { kind: 'enforced' },
    services: Object.fromEntries(
      Object.entries(all.services).map(([name, service]) => [name, { ...service, pid: 1, standIn: false }]),
    ),
  };
  assert.ok(
    !describeSystem(modelOf('local'), enforced, { elapsedMs: 1, stateOption: undefined }).includes('note'),
  );
});

function progressOf(isTerminal: boolean): string {
  let text = '';
  const progress = createProgress({ write: more => (text += more), isTerminal, elapsedMs: () => 1500 });
  progress.working('starting');
  progress.ready('gateway', 'https://127.0.0.1:4443');
  progress.note('note');
  progress.end();
  return text;
}

async function openIssuers(standIns: boolean): Promise<LocalIssuers> {
  const directory = await mkdtemp(join(root, 'issuers-'));
  const issuers = await LocalIssuers.open({
    stateDirectory: directory,
    sealer: await openSealer({ keyFile: join(directory, 'key'), whenMissing: 'create' }),
    ports: await openPortBook(directory, new Set()),
    standIns,
    clock: systemClock,
    log: silentLog,
  });
  opened.push(issuers);
  return issuers;
}

type Variation = { readonly port?: number; readonly egress?: boolean };

/** Service `a` may reach the local issuer, `b` may not. */
function modelOf(...words: readonly (string | Variation)[]): Model {
  const issuers = words.filter(word => typeof word === 'string');
  const { port = LOCAL_PORT, egress = true } = words.find(word => typeof word === 'object') ?? {};
  const listed = issuers.map(
    (issuer, index) =>
      `\n    - { name: i${index}, issuer: ${issuer}, audience: tiny${issuer === 'local' ? `, port: ${port}` : ''} }`,
  );
  const users = issuers.length === 0 ? '' : `users:\n  issuers:${listed.join('')}\n`;
  const text = `apiVersion: ringwall.dev/v1
system: tiny
trustDomain: tiny.internal
${users}edge:
  hosts:
    shop.tiny.test:
      - { path: /p/*, methods: [GET], to: a, clients: [anonymous], limits: [1/s per client] }
${issuers.length === 0 ? '' : '      - { path: /u, methods: [GET], to: a, clients: [user], limits: [1/s per user] }\n'}services:
  a: { data: internal, listen: http 80${egress ? `, egress: ["http://127.0.0.1:${port}"]` : ''} }
  b: { data: internal, listen: http 81 }
`;
  const parsed = parseModel({ file: 'm.yaml', directory: '/', text });
  assert.equal(parsed.kind, 'model', JSON.stringify(parsed));
  return parsed.model;
}

function placeOf({ egress }: Service): ServicePlacement {
  const address = { host: '10.0.0.1', port: 15_001 };
  return {
    inbound: address,
    app: address,
    outbound: new Map(),
    egress: new Map(egress.map(({ origin }) => [origin, address])),
  };
}

const LOCAL_PORT = 20_000 + (process.pid % 10_000);

function ready(): ReadyFile {
  const address = { host: '127.0.0.1', port: 80 };
  return {
    gateway: 'https://127.0.0.1:4443',
    hosts: ['shop.tiny.test'],
    control: '/s/control.sock',
    ca: '/s/ca.pem',
    issuer: null,
    network: { kind: 'not-enforced', why: 'needs root' },
    points: [],
    services: {
      a: { inbound: address, app: address, pid: 1, standIn: true },
      b: { inbound: address, app: { ...address, port: 81 }, standIn: false },
    },
    pids: { up: 1 },
  };
}
