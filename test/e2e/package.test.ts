import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from './up-lab.ts';

/** What `npm pack` makes runs where it is installed, far from the clone. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);
const folder = await realpath(await mkdtemp(join(tmpdir(), 'ringwall-package-')));
after(() => rm(folder, { recursive: true, force: true }));
/** As of a shell of its own: what npm tells the scripts of this package is not for another one. */
const env = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'))),
  PATH: `${dirname(process.execPath)}:${process.env['PATH']}`,
};

test('npm pack makes a package that runs: init, check, explain, up', { timeout: 180_000 }, async t => {
  await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: ROOT, env });
  assert.equal(existsSync(join(ROOT, 'dist')), false, 'nothing is left in the clone');
  await writeFile(join(folder, 'package.json'), '{ "private": true }\n');
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const tarball = join(folder, `ringwall-${version}.tgz`);
  const failed = await install(tarball);
  if (failed !== undefined) return t.skip(`its dependencies cannot be had here: ${failed}`);
  const program = join(folder, 'node_modules/.bin/ringwall');
  assert.equal(existsSync(join(folder, 'node_modules/ringwall/src')), false, 'no sources');

  const ringwall = async (...args: string[]) => (await run(program, args, { cwd: folder, env })).stdout;
  assert.equal(await ringwall('--version'), `${version}\n`);
  assert.match(await ringwall('init'), /^wrote ringwall\.yaml\n/);
  assert.equal(await ringwall('check'), 'shop: 6 services, 6 calls, 4 routes: ok\n');
  assert.match(
    await ringwall('explain', 'orders', 'payment', 'POST', '/charges'),
    /^allowed by ringwall\.yaml:/,
  );

  // Points and stand-ins are programs of their own.
  const model = await readFile(join(folder, 'ringwall.yaml'), 'utf8');
  const issuerPort = await freePort();
  const moved = model.replace('audience: shop }', `audience: shop, port: ${issuerPort} }`);
  await writeFile(join(folder, 'ringwall.yaml'), moved.replace(':4445', `:${issuerPort}`));
  const port = String(await freePort());
  const up = spawn(program, ['up', '--stand-ins', '--json', '--port', port], { cwd: folder, env });
  let errors = '';
  up.stderr.on('data', (text: Buffer) => (errors += text.toString()));
  const ended = once(up, 'exit');
  const isReady = Promise.race([once(up.stdout, 'data').then(() => true), ended.then(() => false)]);
  assert.ok(await isReady, errors);
  assert.match(await ringwall('status'), /^shop \(shop\.internal\), version 1\n/);
  up.kill('SIGINT');
  assert.deepEqual(await ended, [0, null], errors);
});

/** @returns why it could not be done, where that is for want of a network */
async function install(tarball: string): Promise<string | undefined> {
  try {
    await run(
      'npm',
      ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', tarball],
      {
        cwd: folder,
        env,
      },
    );
    return undefined;
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string };
    const [code] = /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENOTCACHED)\b/.exec(stderr + message) ?? [];
    if (code === undefined) throw error;
    return code;
  }
}
