import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { exportSPKI } from 'jose';
import { edgeRoute, gatewayBundle, GATEWAY, LabAuthority, LabIssuer, WEB } from '#service/lab';
import {
  measureLatency,
  measureThroughput,
  residentMegabytes,
  type Latency,
  type Throughput,
} from './load.ts';
import {
  freePort,
  pinned,
  PROXY_CPU,
  startBackend,
  startBareNginx,
  startHaproxy,
  startNjsNginx,
  startProcess,
  type Materials,
  type Peer,
} from './peers.ts';

const run = promisify(execFile);

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 3);
/** A gateway runs for weeks: what its first thousands of requests cost is not what is asked here. */
const WARM_UP_SECONDS = 8;
const CONNECTIONS = 64;
const PACED_PER_SECOND = 1_000;
const README = new URL('README.md', import.meta.url);

type Measured = {
  readonly name: string;
  readonly rounds: Throughput[];
  readonly paced: Latency[];
  residentMb: number;
};

const directory = await mkdtemp(join(tmpdir(), 'ringwall-bench-'));
const issuer = await LabIssuer.start();
const running: Peer[] = [];
try {
  await installMissing({ wrk: 'wrk', nginx: 'nginx', haproxy: 'haproxy', taskset: 'util-linux' });
  if (!(await exists('wrk'))) throw new Error('wrk is missing: install the Debian package `wrk`');
  if (!(await exists('nginx')))
    throw new Error('nginx is missing: it is the backend, install the Debian package `nginx`');

  const authority = await LabAuthority.open('lab.test');
  const materials = await writeMaterials(authority);
  const backend = await startBackend(materials);
  running.push(backend);

  const starters: readonly (readonly [name: string, start: () => Promise<Peer>])[] = [
    ['nginx bare', () => startBareNginx(materials, backend.port)],
    ['nginx + njs JWT', () => startNjsNginx(materials, backend.port)],
    ['HAProxy + jwt_verify', () => startHaproxy(materials, backend.port)],
    ['Ringwall gateway', () => startGateway(authority, backend.port)],
    ['Node sockets alone', () => startRelay(authority, backend.port)],
  ];
  const peers: Peer[] = [];
  const absent: string[] = [];
  const only = process.env['BENCH_ONLY']?.split(',');
  for (const [name, start] of starters) {
    if (only !== undefined && !only.includes(name)) continue;
    try {
      const peer = await start();
      peers.push(peer);
      running.push(peer);
    } catch (error) {
      absent.push(name);
      process.stderr.write(`${name}: absent (${error instanceof Error ? error.message : ''})\n`);
    }
  }

  const token = await issuer.token({ scope: 'items' });
  const measured = peers.map((peer): Measured => ({ name: peer.name, rounds: [], paced: [], residentMb: 0 }));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [index, { port, pid, name }] of peers.entries()) {
      const throughput = await measureThroughput({
        port,
        pid,
        token,
        connections: CONNECTIONS,
        seconds: round === 0 ? WARM_UP_SECONDS : SECONDS,
      });
      // The first round warms up.
      if (round > 0) measured[index]?.rounds.push(throughput);
      process.stderr.write(`round ${round}: ${name}: ${Math.round(throughput.perSecond)}/s\n`);
    }
  }
  for (let round = 0; round < 3; round++) {
    for (const [index, { port }] of peers.entries()) {
      const connections = 16;
      measured[index]?.paced.push(
        await measureLatency({ port, token, perSecond: PACED_PER_SECOND, connections, seconds: 6 }),
      );
    }
  }
  for (const [index, { pid }] of peers.entries()) {
    const entry = measured[index];
    if (entry !== undefined) entry.residentMb = await residentMegabytes(pid);
  }
  const report = describe(measured, absent, await versions());
  process.stdout.write(`${report}\n`);
  await writeReport(report);
} finally {
  for (const peer of running.reverse()) await peer.stop();
  issuer.close();
  await rm(directory, { recursive: true, force: true });
}

async function startGateway(authority: LabAuthority, backendPort: number): Promise<Peer> {
  const port = await freePort();
  const journal = join(directory, 'journal');
  const identities = {
    edge: await authority.server(['shop.test']),
    [GATEWAY]: await authority.identity(GATEWAY),
  };
  const limits = [
    {
      requests: 1_000_000,
      perMs: 1_000,
      burst: 1_000_000,
      per: 'client' as const,
      text: '1000000/s per client',
    },
    {
      requests: 1_000_000,
      perMs: 1_000,
      burst: 1_000_000,
      per: 'route' as const,
      text: '1000000/s per route',
    },
  ];
  const bundle = gatewayBundle({
    trustAnchors: [...authority.trustAnchors],
    listen: { host: '127.0.0.1', port },
    admin: { host: '127.0.0.1', port: await freePort() },
    issuers: [issuer.bundleIssuer],
    hosts: [
      {
        host: 'shop.test',
        routes: [
          edgeRoute({ path: '/', to: 'web' }),
          edgeRoute({ path: '/cart/**', to: 'web', clients: ['user'] }),
          edgeRoute({ path: '/items/*', to: 'web', clients: ['user'], scopes: ['items'], limits }),
        ],
      },
    ],
    upstreams: [
      {
        service: 'web',
        identity: WEB,
        address: { host: '127.0.0.1', port: backendPort },
        protocol: 'http',
        record: 'relaxed',
      },
    ],
  });
  const start = JSON.stringify({ bundle, identities, trustAnchors: authority.trustAnchors, journal });
  const script = new URL('gateway.ts', import.meta.url).pathname;
  const extra = process.env['BENCH_NODE_ARGS']?.split(' ') ?? [];
  const command = pinned(PROXY_CPU, [process.execPath, ...extra, script]);
  return startProcess('Ringwall gateway', port, command, start);
}

async function startRelay(authority: LabAuthority, backendPort: number): Promise<Peer> {
  const port = await freePort();
  const edge = await authority.server(['shop.test']);
  const caller = await authority.identity(GATEWAY);
  const start = JSON.stringify({ port, backendPort, edge, caller, trustAnchors: authority.trustAnchors });
  const script = new URL('relay.ts', import.meta.url).pathname;
  return startProcess('Node sockets alone', port, pinned(PROXY_CPU, [process.execPath, script]), start);
}

async function writeMaterials(authority: LabAuthority): Promise<Materials> {
  const edge = await authority.server(['shop.test']);
  const caller = await authority.identity(GATEWAY);
  const backend = await authority.identity(WEB);
  const issuerKey = await exportSPKI(issuer.publicKey);
  const files = {
    'edge.pem': edge.certificateChainPem,
    'edge.key': edge.privateKeyPem,
    'caller.pem': caller.certificateChainPem,
    'caller.key': caller.privateKeyPem,
    'backend.pem': backend.certificateChainPem,
    'backend.key': backend.privateKeyPem,
    'roots.pem': authority.trustAnchors.join('\n'),
    'issuer.pem': issuerKey,
  };
  await mkdir(join(directory, 'journal'));
  for (const [name, text] of Object.entries(files))
    await writeFile(join(directory, name), text, { mode: 0o600 });
  const path = (name: keyof typeof files) => join(directory, name);
  return {
    directory,
    edgeChain: path('edge.pem'),
    edgeKey: path('edge.key'),
    callerChain: path('caller.pem'),
    callerKey: path('caller.key'),
    backendChain: path('backend.pem'),
    backendKey: path('backend.key'),
    roots: path('roots.pem'),
    issuerKeyPem: path('issuer.pem'),
    issuerSpki: issuerKey.replace(/-----[^-]+-----|\s/g, ''),
    issuer: issuer.url,
    audience: issuer.audience,
  };
}

function describe(
  measured: readonly Measured[],
  absent: readonly string[],
  machine: readonly string[],
): string {
  const bare = measured.find(({ name }) => name === 'nginx bare');
  const bareRate = median(bare?.rounds.map(({ perSecond }) => perSecond) ?? []);
  const bareCpu = median(bare?.rounds.map(({ perCpuSecond }) => perCpuSecond) ?? []);
  const rows = measured.map(({ name, rounds, paced, residentMb }) => {
    const rate = median(rounds.map(({ perSecond }) => perSecond));
    const cpu = median(rounds.map(({ perCpuSecond }) => perCpuSecond));
    const failed =
      rounds.reduce((sum, round) => sum + round.failed, 0) + paced.reduce((sum, one) => sum + one.failed, 0);
    const cells = [
      name,
      Math.round(rate),
      (rate / bareRate).toFixed(2),
      Math.round(cpu),
      (cpu / bareCpu).toFixed(2),
      median(paced.map(({ p50Ms }) => p50Ms)).toFixed(2),
      median(paced.map(({ p99Ms }) => p99Ms)).toFixed(2),
      residentMb,
      failed,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    '| | requests/s | of bare nginx | requests per CPU second | of bare nginx | p50 ms at 1,000/s | p99 ms at 1,000/s | resident MB | failed |',
    '|---|---|---|---|---|---|---|---|---|',
    ...rows,
    ...absent.map(name => `| ${name} | absent | | | | | | | |`),
    '',
    ...machine.map(line => `- ${line}`),
    `- Each proxy has one worker on CPU ${PROXY_CPU}; wrk (${CONNECTIONS} connections, kept alive) and the backend share the other.`,
    `- ${ROUNDS} rounds of ${SECONDS} s after one of ${WARM_UP_SECONDS} s to warm up, the proxies in turn within each; medians. Latency: open loop, 16 connections, three runs of 6 s, the first second left out; median of the runs.`,
    '- TLS from the client and mTLS to the backend everywhere; the answer is 74 bytes of JSON.',
    '- The JWT peers verify signature (ES256), issuer, audience and expiry on every request. Ringwall remembers verified tokens until they expire or their key is withdrawn; on each request it also counts two limits, authorizes (path, method, kind of client, scope), writes the request anew from its parsed form and keeps a relaxed ledger record on disk.',
  ].join('\n');
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? NaN)
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

async function versions(): Promise<readonly string[]> {
  const ask = async (program: string, ...args: string[]) => {
    try {
      const { stdout, stderr } = await run(program, args);
      return (stdout + stderr).split('\n', 1)[0] ?? '';
    } catch {
      return `${program}: absent`;
    }
  };
  return [
    `${cpus().length} CPUs (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.version}`,
    [await ask('nginx', '-v'), await ask('haproxy', '-v')].join('; '),
  ];
}

async function writeReport(report: string): Promise<void> {
  const text = await readFile(README, 'utf8');
  const begin = '<!-- results -->';
  const end = '<!-- end of results -->';
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from === -1 || to === -1) throw new Error('bench/README.md has no markers for the results');
  await writeFile(README, `${text.slice(0, from + begin.length)}\n\n${report}\n\n${text.slice(to)}`);
}

async function exists(program: string): Promise<boolean> {
  try {
    await run('sh', ['-c', `command -v ${program}`]);
    return true;
  } catch {
    return false;
  }
}

/** On Debian as root, installs what is missing; elsewhere leaves it absent. */
async function installMissing(packages: Readonly<Record<string, string>>): Promise<void> {
  if (process.getuid?.() !== 0 || !(await exists('apt-get'))) return;
  for (const [program, name] of Object.entries(packages)) {
    if (await exists(program)) continue;
    process.stderr.write(`installing ${name}\n`);
    const install = run('apt-get', ['install', '-y', '--no-install-recommends', name], { timeout: 120_000 });
    await install.catch(() => process.stderr.write(`${name} could not be installed\n`));
  }
}
