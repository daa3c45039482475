/**
 * The cost of a large model: 1,000 services with 10,000 calls, checked and compiled in a process of its own.
 *
 *     node bench/model.ts
 *
 * Bar: under 1 s and 300 MB. Prints the median of five runs and the largest peak.
 */
import { execFileSync } from 'node:child_process';
import { argv, execPath, resourceUsage, stdout } from 'node:process';
import { compile, type Placement } from '#domain/compile';
import { parseModel, type Model } from '#domain/model';

const SERVICES = 1_000;
const CALLS = 10_000;
const RUNS = 5;
const BAR_MS = 1_000;
const BAR_MB = 300;

type Measured = { readonly checkMs: number; readonly compileMs: number; readonly peakMb: number };

if (argv[2] === '--once') stdout.write(JSON.stringify(measure()));
else report();

function report(): void {
  const runs = Array.from({ length: RUNS }, (): Measured => {
    const output = execFileSync(execPath, [import.meta.filename, '--once'], { encoding: 'utf8' });
    return JSON.parse(output) as Measured;
  });
  const totals = runs.map(({ checkMs, compileMs }) => checkMs + compileMs).sort((a, b) => a - b);
  const total = totals[Math.floor(RUNS / 2)] ?? Number.NaN;
  const peak = Math.max(...runs.map(({ peakMb }) => peakMb));
  for (const { checkMs, compileMs, peakMb } of runs) {
    stdout.write(
      `check ${checkMs.toFixed(0)} ms, compile ${compileMs.toFixed(0)} ms, peak ${peakMb.toFixed(0)} MB\n`,
    );
  }
  stdout.write(
    `\n${SERVICES} services, ${CALLS} calls: ${total.toFixed(0)} ms (bar ${BAR_MS}), peak ${peak.toFixed(0)} MB (bar ${BAR_MB})\n`,
  );
}

function measure(): Measured {
  const text = writeModel();
  const started = performance.now();
  const parsed = parseModel({ file: 'ringwall.yaml', text, directory: '/' });
  if (parsed.kind === 'invalid') throw new Error(parsed.problems[0]?.message);
  const checked = performance.now();
  const bundles = compile({
    model: parsed.model,
    modelDigest: 'sha256:00',
    placement: place(parsed.model),
    version: 1,
    trustAnchors: [],
    revoked: { identities: [], serials: [] },
    issuerUrl: () => 'http://127.0.0.1:4445',
  });
  const compiled = performance.now();
  if (bundles.length !== 2) throw new Error('two bundles are expected');
  return { checkMs: checked - started, compileMs: compiled - checked, peakMb: resourceUsage().maxRSS / 1e3 };
}

function writeModel(): string {
  const lines = [
    'apiVersion: ringwall.dev/v1',
    'system: large',
    'trustDomain: large.internal',
    'edge:',
    '  hosts:',
    '    large.test:',
    '      - { path: /, methods: [GET], to: s0, clients: [anonymous], limits: [20/s burst 40 per client] }',
    'services:',
  ];
  for (let caller = 0; caller < SERVICES; caller++) {
    lines.push(`  s${caller}:`, '    data: internal', '    listen: http 8080', '    calls:');
    for (let nth = 1; nth <= CALLS / SERVICES / 2; nth++) {
      lines.push(`      s${(caller + nth * nth) % SERVICES}: [GET /items/*, POST /items/${nth}/**]`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function place({ services }: Model): Placement {
  const address = { host: '127.0.0.1', port: 1 };
  return {
    gateway: { name: 'gateway', listen: address, admin: address },
    agents: [{ name: 'agent', admin: address, services: [...services.keys()] }],
    services: new Map(
      [...services.values()].map(({ name, calls }) => [
        name,
        {
          inbound: address,
          app: address,
          outbound: new Map(calls.map(({ service }) => [service, address])),
          egress: new Map(),
        },
      ]),
    ),
  };
}
