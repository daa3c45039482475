import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ShotResult } from '#domain/proof';
import { openRunningSystem, runProof } from '#service/prove';
import type { Edit } from '../lab/load-edited.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/ringwall', import.meta.url));
const EDIT_PROCESS = new URL('../lab/edit-process.ts', import.meta.url).href;

/** Everything listens on all addresses: only the network ring keeps the services from it. */
const LISTENS_EVERYWHERE: readonly Edit[] = [
  { file: 'src/app/up/machine-placer.ts', cut: "LOOPBACK = '127.0.0.1'", put: "LOOPBACK = '0.0.0.0'" },
  { file: 'src/app/up/open-parts.ts', cut: "listen: { host: '127.0.0.1'", put: "listen: { host: '0.0.0.0'" },
];
/** Namespaces and links as they are; every packet passes, and finds its way. */
const LETS_EVERYTHING_PASS: readonly Edit[] = [
  { file: 'src/domain/firewall/render-ruleset.ts', cut: 'policy ${base.policy};', put: 'policy accept;' },
  {
    file: 'src/domain/firewall/render-ruleset.ts',
    cut: "verdict === 'drop' ? 'counter drop' : verdict",
    put: "'accept'",
  },
  {
    file: 'src/service/network/linux-network.ts',
    cut: '`link set ${link.serviceInterface} up`,',
    put: '`link set ${link.serviceInterface} up`, `route add default via ${link.hostAddress}`,',
  },
  { file: 'src/service/network/linux-network.ts', cut: "/forwarding`, '0']", put: "/forwarding`, '1']" },
];

test('the network ring alone holds where everything listens everywhere, and without it every attack on it gets through', async t => {
  const held = await attackNetwork(t, LISTENS_EVERYWHERE);
  if (held === undefined) return t.skip('no network ring here');
  assert.ok(held.length > 0);
  for (const { shot, verdict } of held) assert.equal(verdict.kind, 'held', `${shot.id}: ${verdict.why}`);

  const open = await attackNetwork(t, [...LISTENS_EVERYWHERE, ...LETS_EVERYTHING_PASS]);
  assert.equal(open?.length, held.length);
  for (const { shot, verdict } of open) assert.equal(verdict.kind, 'failed', `${shot.id}: ${verdict.why}`);
});

/** @returns `undefined` where this machine has no network ring */
async function attackNetwork(
  t: TestContext,
  edits: readonly Edit[],
): Promise<readonly ShotResult[] | undefined> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'ringwall-network-')));
  await writeFile(join(folder, 'ringwall.yaml'), MODEL);
  const state = join(folder, 'state');
  const args = ['up', '--stand-ins', '--port', `${await freePort()}`, '--state', state];
  const child = spawn(process.execPath, ['--import', EDIT_PROCESS, PROGRAM, ...args], {
    cwd: folder,
    env: { ...process.env, RINGWALL_LAB_EDITS: JSON.stringify(edits) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit');
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  try {
    await whenReady(state, ended, () => said);
    const grounds = await openRunningSystem(state);
    if (grounds.network.kind !== 'enforced') return undefined;
    const wants = ({ attack }: Pick<ShotResult['shot'], 'attack'>) => attack.ring === 'network';
    return (await runProof({ grounds, wants, nowMs: () => Date.now() })).results;
  } finally {
    child.kill('SIGINT');
    await ended;
    await rm(folder, { recursive: true, force: true });
    t.diagnostic(said.split('\n').at(-2) ?? '');
  }
}

async function whenReady(state: string, ended: Promise<unknown>, said: () => string): Promise<void> {
  const isOver = ended.then(() => true);
  for (;;) {
    const isReady = readFile(join(state, 'ready.json')).then(
      () => true,
      () => false,
    );
    if (await isReady) return;
    const over = await Promise.race([isOver, new Promise<false>(resolve => setTimeout(resolve, 50, false))]);
    assert.ok(!over, said());
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

const MODEL = `apiVersion: ringwall.dev/v1
system: walls
trustDomain: walls.internal
edge:
  hosts:
    shop.walls.test:
      - { path: /, methods: [GET], to: front, clients: [anonymous], limits: [100/s per client] }
services:
  front:
    data: internal
    listen: http 8080
    calls:
      catalog: [GET /products]
  catalog:
    data: internal
    listen: http 8080
    calls:
      db: [connect]
  db: { data: confidential, listen: tcp 5432 }
`;
