import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

/** What a new user does with a system: whole, from the outside, by the command line alone. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = join(ROOT, 'bin/ringwall');
const ONLINE_BOUTIQUE = join(ROOT, '../shared/systems/online-boutique/kubernetes');

type Proof = {
  readonly results: readonly { readonly shot: { readonly id: string } }[];
};
type Ran = { readonly code: number; readonly out: string; readonly err: string };

const folder = await realpath(await mkdtemp(join(tmpdir(), 'ringwall-real-')));
after(() => rm(folder, { recursive: true, force: true }));

async function ringwall(cwd: string, ...args: string[]): Promise<Ran> {
  return new Promise(resolve => {
    execFile(process.execPath, [PROGRAM, ...args], { cwd, maxBuffer: 1 << 28 }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err });
    });
  });
}

/** Brings a system up, lets `use` have it, and takes it down again. */
async function whileUp(cwd: string, args: readonly string[], use: () => Promise<void>): Promise<void> {
  const child = spawn(process.execPath, [PROGRAM, 'up', ...args, '--json'], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit');
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', text => (errors += String(text)));
  const isReady = Promise.race([once(child.stdout, 'data').then(() => true), ended.then(() => false)]);
  try {
    assert.equal(await isReady, true, errors);
    await use();
  } finally {
    child.kill('SIGINT');
    await ended;
  }
  assert.equal(child.exitCode, 0, errors);
}

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return String(port);
}

async function proveAll(cwd: string): Promise<Proof> {
  const { code, out, err } = await ringwall(cwd, 'prove', '--json', 'proof.json');
  assert.equal(code, 0, out + err);
  assert.match(out, /\d+ attacks of \d+ kinds in [\d.]+ s: \d+ held, 0 failed, 0 inconclusive/);
  return JSON.parse(await readFile(join(cwd, 'proof.json'), 'utf8')) as Proof;
}

test(
  'Online Boutique: import, check, up with stand-ins, prove',
  { skip: !existsSync(ONLINE_BOUTIQUE) && 'the manifests are not here' },
  async () => {
    const cwd = await mkdtemp(join(folder, 'online-'));
    const imported = await ringwall(cwd, 'import', 'kubernetes', ONLINE_BOUTIQUE, '-o', 'ringwall.yaml');
    assert.equal(imported.code, 0, imported.err);
    const text = await readFile(join(cwd, 'ringwall.yaml'), 'utf8');
    assert.match(
      text,
      /paymentservice: \[POST \/\*\/\*\] +# from env PAYMENT_SERVICE_ADDR, checkoutservice\.yaml:62/,
    );
    const checked = await ringwall(cwd, 'check');
    assert.equal(checked.code, 0, checked.out);

    await whileUp(cwd, ['--stand-ins', '--port', await freePort()], async () => {
      const ids = (await proveAll(cwd)).results.map(({ shot }) => shot.id);
      // The call graph is walled: who may not call payment was tried and refused, the one who may was let through.
      const pairs = new Set(
        ids.filter(id => id.startsWith('authorization/undeclared-pair@')).map(id => id.split('@')[1]),
      );
      assert.ok(pairs.has('frontend/paymentservice'));
      assert.ok(!pairs.has('checkoutservice/paymentservice'));
      assert.ok(ids.length > 500, `${ids.length} shots`);
    });
  },
);

test('the example: up, its own services behind the walls, prove, a ledger that verifies', async () => {
  const cwd = await mkdtemp(join(folder, 'example-'));
  await cp(join(ROOT, 'examples/boutique'), cwd, {
    recursive: true,
    filter: path => !path.endsWith('/data'),
  });
  await writeFile(join(cwd, 'package.json'), '{ "type": "module" }\n');
  const issuerPort = await freePort();
  const model = await readFile(join(cwd, 'ringwall.yaml'), 'utf8');
  await writeFile(join(cwd, 'ringwall.yaml'), model.replaceAll('4445', issuerPort));

  await whileUp(cwd, ['--port', await freePort()], async () => {
    await proveAll(cwd);
    const status = await ringwall(cwd, 'status');
    assert.equal(status.code, 0, status.out);
    const cut = await ringwall(cwd, 'revoke', 'payment');
    assert.match(cut.out, /^payment cut off at 2 points in \d+ ms\n$/);
    const restored = await ringwall(cwd, 'restore', 'payment');
    assert.match(restored.out, /^payment restored at 2 points in \d+ ms\n$/);
    const verified = await ringwall(cwd, 'audit', 'verify');
    assert.equal(verified.code, 0, verified.out + verified.err);
    assert.match(verified.out, /^whole: all \d+ entries are as they were signed/);
  });
});
