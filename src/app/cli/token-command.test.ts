import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { CommanderError } from 'commander';
import { EXIT, type ExitCode } from './io.ts';
import { tokenCommand } from './token-command.ts';

const ISSUED = { access_token: 'aaa.bbb.ccc', token_type: 'Bearer', expires_in: 600, scope: 'cart orders' };

let stateDir: string;
let control: Server | undefined;
let asked: { method: string | undefined; url: string | undefined; body: unknown } | undefined;

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'ringwall-token-'));
  asked = undefined;
});
afterEach(async () => {
  control?.closeAllConnections();
  control?.close();
  control = undefined;
  await rm(stateDir, { recursive: true, force: true });
});

/** Control's side of the exchange: records what it is asked, answers as told. */
async function startControl(status: number, answer: object): Promise<void> {
  control = createServer((request, response) => {
    request.setEncoding('utf8').once('data', (text: string) => {
      asked = { method: request.method, url: request.url, body: JSON.parse(text) };
      const type = status === 200 ? 'application/json' : 'application/problem+json';
      response.writeHead(status, { 'content-type': type }).end(JSON.stringify(answer));
    });
  }).listen(join(stateDir, 'control.sock'));
  await once(control, 'listening');
}

async function run(...words: string[]): Promise<{ code: ExitCode | undefined; out: string; err: string }> {
  const result: { code: ExitCode | undefined; out: string; err: string } = {
    code: undefined,
    out: '',
    err: '',
  };
  const io = {
    out: (text: string) => void (result.out += text),
    err: (text: string) => void (result.err += text),
    cwd: stateDir,
    env: {},
    colour: false,
  };
  const command = tokenCommand(io, code => void (result.code = code))
    .exitOverride()
    .configureOutput({ writeErr: io.err });
  await command.parseAsync(words, { from: 'user' });
  return result;
}

test('ringwall token prints the bare token', async () => {
  await startControl(200, ISSUED);
  const { code, out, err } = await run('--user', 'alice', '--scope', 'cart', 'orders', '--state', stateDir);
  assert.deepEqual({ code, out, err }, { code: EXIT.ok, out: 'aaa.bbb.ccc\n', err: '' });
  assert.deepEqual(asked, {
    method: 'POST',
    url: '/token',
    body: { user: 'alice', scopes: ['cart', 'orders'] },
  });
});

test('ringwall token takes scopes in one word, and none; the state directory is relative to where it is called', async () => {
  await startControl(200, ISSUED);
  await run('--user', 'alice', '--scope', ' cart  orders ', '--state', '.');
  assert.deepEqual(asked?.body, { user: 'alice', scopes: ['cart', 'orders'] });
  await run('--user', 'alice', '--state', '.');
  assert.deepEqual(asked?.body, { user: 'alice', scopes: [] });
});

test('ringwall token --json prints the whole answer', async () => {
  await startControl(200, ISSUED);
  assert.deepEqual(JSON.parse((await run('--user', 'alice', '--state', '.', '--json')).out), ISSUED);
});

test('ringwall token exits 69 when nothing runs', async () => {
  const { code, out, err } = await run('--user', 'alice', '--state', 'nowhere');
  assert.equal(code, EXIT.unavailable);
  assert.equal(out, '');
  assert.match(err, /^ringwall: .+\n$/);
});

test('ringwall token says why control refused', async () => {
  await startControl(400, {
    type: 'about:blank',
    title: 'Bad request',
    status: 400,
    detail: 'the user is not a name',
  });
  const { code, out, err } = await run('--user', 'a\nb', '--state', '.');
  assert.deepEqual(
    { code, out, err },
    { code: EXIT.usage, out: '', err: 'ringwall: the user is not a name\n' },
  );
});

test('ringwall token exits 1 when the system has no built-in issuer', async () => {
  await startControl(404, {
    type: 'about:blank',
    title: 'Not found',
    status: 404,
    detail: 'no built-in issuer runs here',
  });
  assert.equal((await run('--user', 'alice', '--state', '.')).code, EXIT.negative);
});

test('ringwall token does not print what is not a token', async () => {
  await startControl(200, { access_token: '' });
  await assert.rejects(run('--user', 'alice', '--state', '.'));
});

test('ringwall token needs a user', async () => {
  await assert.rejects(run('--state', '.'), CommanderError);
});
