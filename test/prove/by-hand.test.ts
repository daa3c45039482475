import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { GatewayBundle } from '#domain/bundle';
import type { ShotResult } from '#domain/proof';
import { runProof } from '#service/prove';
import { openLab } from '../lab/lab-grounds.ts';

/** Attacks of which the line by hand is run, each at all of its places. */
const RUN = [
  'edge/undeclared-path',
  'edge/undeclared-method',
  'edge/undeclared-host',
  'edge/method-connect',
  'edge/override-method',
  'authentication/no-token',
  'authentication/token-in-query',
  'authorization/without-scope',
  'authorization/own-agent-method',
  'vetting/both-lengths',
  'vetting/bare-cr',
  'vetting/nul',
  'vetting/header-long',
  'vetting/path-dot-dot',
  'vetting/path-backslash',
  'vetting/path-nul',
  'vetting/path-fragment',
  'audit/chosen-request-id',
];
const SHELLS = 8;
const FAILS_TO_CONNECT = [
  'transport/tls11-to-gateway',
  'transport/no-encryption',
  'transport/plaintext-to-gateway',
  'transport/plaintext-to-agent',
  'authentication/no-certificate',
];

test('the lines to do an attack by hand, pasted into a shell, meet what the proof met', async t => {
  const lab = await openLab({ gateway: withoutLimits });
  t.after(() => lab.close());
  const { results } = await runProof({
    grounds: lab.grounds,
    wants: ({ attack }) => RUN.includes(attack.id) || FAILS_TO_CONNECT.includes(attack.id),
    nowMs: () => Date.now(),
  });
  const folder = await mkdtemp(join(tmpdir(), 'ringwall-by-hand-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await playTokenCommand(folder, scopes => lab.grounds.issueToken({ user: 'prover', scopes }));

  const withLine = results.filter(({ evidence }) => evidence.byHand !== undefined);
  for (const id of [...RUN, ...FAILS_TO_CONNECT])
    assert.ok(
      withLine.some(({ shot }) => shot.attack.id === id),
      `${id} has no line`,
    );
  const queue = withLine.values();
  const runSome = async () => {
    for (const result of queue) {
      const { shot, evidence } = result;
      const out = await shell(evidence.byHand ?? '', folder);
      assert.equal(statusIn(out), statusOf(result), `${shot.id}\n${evidence.byHand}\n${out}`);
    }
  };
  await Promise.all(Array.from({ length: SHELLS }, runSome));
});

test('lines by hand show no token, and are left out where something of ours is needed', async t => {
  const lab = await openLab();
  t.after(() => lab.close());
  const { results } = await runProof({
    grounds: lab.grounds,
    wants: ({ attack }) => attack.ring === 'authentication' || attack.ring === 'authorization',
    nowMs: () => Date.now(),
  });
  for (const { shot, evidence } of results) {
    const { byHand = '' } = evidence;
    assert.doesNotMatch(byHand, /eyJ|PRIVATE KEY/, shot.id);
    if (/token-expired|certificate-|revoked-|undeclared-pair/.test(shot.id))
      assert.equal(byHand, '', shot.id);
  }
});

/** `ringwall token`, as a system that runs would have it. */
async function playTokenCommand(
  folder: string,
  issue: (scopes: readonly string[]) => Promise<string>,
): Promise<void> {
  const cases = [
    `'token --user prover') echo ${await issue([])} ;;`,
    `'token --user prover --scope cart') echo ${await issue(['cart'])} ;;`,
    `'token --user prover --scope orders') echo ${await issue(['orders'])} ;;`,
  ];
  const file = join(folder, 'ringwall');
  await writeFile(file, `#!/bin/sh\ncase "$*" in\n${cases.join('\n')}\nesac\n`);
  await chmod(file, 0o755);
}

/** One user shows all tokens here, within a second. */
function withoutLimits(bundle: GatewayBundle): GatewayBundle {
  const hosts = bundle.hosts.map(({ host, routes }) => ({
    host,
    routes: routes.map(route => ({ ...route, limits: [] })),
  }));
  return { ...bundle, hosts };
}

function shell(line: string, folder: string): Promise<string> {
  const env = { ...process.env, PATH: `${folder}:${process.env['PATH'] ?? ''}` };
  return new Promise(resolve => {
    execFile('sh', ['-c', line], { env, encoding: 'latin1', timeout: 20_000 }, (_error, out) => resolve(out));
  });
}

function statusIn(out: string): number | undefined {
  const status = /^HTTP\/1\.1 (\d{3})/m.exec(out)?.[1];
  return status === undefined ? undefined : Number(status);
}

function statusOf({ evidence: { observation } }: ShotResult): number | undefined {
  return observation.kind === 'refused' || observation.kind === 'passed' ? observation.status : undefined;
}
